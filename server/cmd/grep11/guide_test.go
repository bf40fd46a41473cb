package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// person sits at a terminal, types what CEREMONY.md says and answers what is asked.
type person struct {
	*testing.T
	dir    string
	script io.WriteCloser // what bash reads
	tty    *os.File
	shell  *exec.Cmd

	mu   sync.Mutex
	seen bytes.Buffer // guarded by mu; all that the terminal showed
}

// sitDown starts a shell with a terminal of its own.
func sitDown(t *testing.T) *person {
	t.Helper()
	p := &person{T: t, dir: t.TempDir()}
	master, slave, err := openPty()
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	wrapper := fmt.Sprintf("#!/bin/sh\n%s=1 exec %s \"$@\"\n", asCommand, quick)
	if err := os.WriteFile(filepath.Join(p.dir, "grep11"), []byte(wrapper), 0o700); err != nil {
		t.Fatal(err)
	}
	p.tty, p.shell = master, exec.Command("bash", "-e")
	p.shell.Dir = p.dir
	p.shell.Env = append(os.Environ(), "PATH="+p.dir+":"+os.Getenv("PATH"), "HOME="+p.dir, "XDG_CONFIG_HOME=", "GREP11_PKCS11_CONFIG=", "GREP11_SO_PIN=", "GREP11_PIN=")
	p.shell.Stdout, p.shell.Stderr = slave, slave
	p.shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 1}
	if p.script, err = p.shell.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.shell.Start(); err != nil {
		t.Fatal(err)
	}
	go p.answer()
	t.Cleanup(func() {
		_ = syscall.Kill(-p.shell.Process.Pid, syscall.SIGKILL) // its session's processes
		_ = p.shell.Wait()
		_ = master.Close()
	})
	return p
}

func openPty() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	slave, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	return master, slave, err
}

var question = regexp.MustCompile(`(?:assword for (\S+?)(?: again)?|(Type yes) to go on): $`)

// answer gives each file's owner's password, and agrees.
func (p *person) answer() {
	buf := make([]byte, 4096)
	answered := 0
	for {
		n, err := p.tty.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.seen.Write(buf[:n])
		if m := question.FindSubmatch(p.seen.Bytes()[answered:]); m != nil {
			answered = p.seen.Len()
			if word := "of " + string(m[1]); len(m[2]) > 0 {
				fmt.Fprintln(p.tty, "yes")
			} else {
				fmt.Fprintln(p.tty, word)
			}
		}
		p.mu.Unlock()
	}
}

func (p *person) shown() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.String()
}

// types has the shell run commands, up to the end of the last.
func (p *person) types(commands string) {
	p.Helper()
	before := len(p.shown())
	fmt.Fprintf(p.script, "%s\necho '@@' done\n", commands)
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if strings.Contains(p.shown()[before:], "@@ done") {
			return
		}
		if time.Now().After(end) || !p.alive() {
			p.Fatalf("typed:\n%s\nshown:\n%s", commands, p.shown()[before:])
		}
	}
}

func (p *person) alive() bool { return alive(fmt.Sprint(p.shell.Process.Pid)) }

// TestTheGuideOfTheCeremony types what the page says, at a terminal. Keys made in
// the first service sign in the one that was restored after it was lost.
func TestTheGuideOfTheCeremony(t *testing.T) {
	text, err := os.ReadFile("CEREMONY.md")
	if err != nil {
		t.Fatal(err)
	}
	p := sitDown(t)
	var keys *signers
	for i, chapter := range strings.Split(string(text), "\n## ")[1:] {
		for _, block := range strings.Split(chapter, "```sh\n")[1:] {
			commands, _, _ := strings.Cut(block, "```")
			p.types(commands)
		}
		switch i + 1 {
		case 3:
			keys = newSigners(t, filepath.Join(p.dir, "service", "client.toml"), 100)
		case 4, 6, 7:
			keys.sign(t)
		}
	}
	for _, want := range []string{"first contact", "All is well.", "3 crypto units, all alike"} {
		if !strings.Contains(p.shown(), want) {
			t.Errorf("%q was not shown in\n%s", want, p.shown())
		}
	}
}

// signers are stored keys, known by their handles and their public keys.
type signers struct {
	token  *grep11client.Token
	public []*ecdsa.PublicKey
	labels []string
}

func newSigners(t *testing.T, config string, n int) *signers {
	t.Helper()
	c := clientOf(t, config)
	info, err := findToken(t.Context(), c, "web")
	if err != nil {
		t.Fatal(err)
	}
	s := &signers{token: c.Token(info.ID)}
	s.login(t)
	for i := range n {
		label := ck.Bytes(ck.CKA_LABEL, []byte(fmt.Sprint("key ", i)))
		pub := ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, oidP256), ck.Bool(ck.CKA_TOKEN, true), label}
		priv := ck.Template{ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_TOKEN, true), ck.Bool(ck.CKA_PRIVATE, true), label}
		public, _, err := s.token.GenerateKeyPair(t.Context(), mech.Mechanism{Type: ck.CKM_EC_KEY_PAIR_GEN}, pub, priv)
		if err != nil {
			t.Fatal(err)
		}
		s.public = append(s.public, ecPoint(t, public.Attributes))
		s.labels = append(s.labels, fmt.Sprint("key ", i))
	}
	return s
}

func ecPoint(t *testing.T, attrs ck.Template) *ecdsa.PublicKey {
	t.Helper()
	var point []byte
	if _, err := asn1.Unmarshal(attrs.Bytes(ck.CKA_EC_POINT), &point); err != nil {
		t.Fatal(err)
	}
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (s *signers) login(t *testing.T) {
	t.Helper()
	if err := s.token.Login(t.Context(), ck.CKU_USER, ck.Secret("12345678")); err != nil {
		t.Fatal(err)
	}
}

// sign has every key sign, found by its label, and verifies with its old public key.
func (s *signers) sign(t *testing.T) {
	t.Helper()
	s.login(t)
	digest := sha256.Sum256([]byte(time.Now().String()))
	for i, label := range s.labels {
		found, err := s.find(label)
		if err != nil {
			t.Fatal(label, err)
		}
		sig, err := s.token.Single(t.Context(), mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA}, found, digest[:], nil, false)
		if err != nil || len(sig) != 64 {
			t.Fatal(label, len(sig), err)
		}
		if !ecdsa.Verify(s.public[i], digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
			t.Errorf("%s signs as another key", label)
		}
	}
}

func (s *signers) find(label string) (grep11client.Key, error) {
	found, _, err := s.token.FindObjects(context.Background(), ck.Template{ck.Ulong(ck.CKA_CLASS, uint64(ck.CKO_PRIVATE_KEY)), ck.Bytes(ck.CKA_LABEL, []byte(label))}, 0, 2)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%d keys", len(found))
	}
	if err != nil {
		return grep11client.Key{}, err
	}
	return grep11client.Key{ID: found[0].ID}, nil
}
