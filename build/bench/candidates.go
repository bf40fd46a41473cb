package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	softhsmModule = "/usr/lib/softhsm/libsofthsm2.so"
	p11KitModule  = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so"
	pin           = "12345678"
)

// candidates in the order of the table's columns.
var candidates = []struct {
	name    string
	measure func(*bench) error
}{
	{"libcrypto", (*bench).libcrypto},
	{"softhsm", (*bench).softhsm},
	{"p11-kit", (*bench).p11Kit},
	{"grep11", (*bench).grep11},
}

// withKeys are the operations that need a filled token; the others run on one
// with a few keys only, to SoftHSM2's advantage.
var withKeys = []string{"find by label", "create token keys"}

var withoutKeys = []string{"RSA-2048 sign", "P-256 sign", "Ed25519 sign", "AES-CBC 4 kB", "SHA-256 of 32 B",
	"random 32 B", "open + close session", "sign 64 kB in 16 parts"}

func (b *bench) compile() error {
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return err
	}
	for name, libs := range map[string][]string{"module": {"-ldl"}, "libcrypto": {"-lcrypto"}} {
		args := append([]string{"-std=c11", "-O2", "-o", b.worker(name), "build/bench/worker/" + name + ".c",
			"build/bench/worker/loop.c", "-lpthread"}, libs...)
		if _, err := output(nil, "cc", args...); err != nil {
			return err
		}
	}
	return nil
}

func seconds() string { return fmt.Sprintf("%.3f", perWork.Seconds()) }

func threads() string { return fmt.Sprintf("1,%d", manyThreads) }

// moduleArgs is the command line of the worker, without the works.
func (b *bench) moduleArgs(module, token string) []string {
	return []string{b.worker("module"), module, token, pin, seconds(), fmt.Sprint(*keyCount), threads()}
}

func (b *bench) measureModule(candidate, module string, env, works []string) error {
	if works = wanted(works...); len(works) == 0 {
		return nil
	}
	args := append(b.moduleArgs(module, "dev"), works...)
	out, err := output(env, args[0], args[1:]...)
	if err != nil {
		return err
	}
	return b.take(candidate, out)
}

func (b *bench) libcrypto() error {
	works := wanted(withoutKeys...)
	if len(works) == 0 {
		works = []string{"none"}
	}
	out, err := output(nil, b.worker("libcrypto"), append([]string{seconds(), threads()}, works...)...)
	if err != nil {
		return err
	}
	if err := b.take("libcrypto", out); err != nil {
		return err
	}
	return b.handshakes("libcrypto", hsm{})
}

func (b *bench) softhsm() error {
	few, err := softhsmToken(filepath.Join(b.dir, "few"))
	if err != nil {
		return err
	}
	if err := b.measureModule("softhsm", softhsmModule, few, withoutKeys); err != nil {
		return err
	}
	web, err := softhsmToken(filepath.Join(b.dir, "web"))
	if err != nil {
		return err
	}
	if err := b.handshakes("softhsm", hsm{module: softhsmModule, env: web}); err != nil {
		return err
	}
	if len(wanted(withKeys...)) == 0 {
		return nil
	}
	many, err := b.filledToken()
	if err != nil {
		return err
	}
	return b.measureModule("softhsm", softhsmModule, many, withKeys)
}

// softhsmToken makes a token in a folder; a program finds it by the environment.
func softhsmToken(dir string) (env []string, err error) {
	tokens := filepath.Join(dir, "tokens")
	conf := filepath.Join(dir, "softhsm2.conf")
	env = []string{"SOFTHSM2_CONF=" + conf}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\n"), 0o600); err != nil {
		return nil, err
	}
	if os.Mkdir(tokens, 0o700) != nil {
		return env, nil // there already
	}
	_, err = output(env, "softhsm2-util", "--init-token", "--free", "--label", "dev", "--so-pin", "87654321", "--pin", pin)
	return env, err
}

// filledToken copies a token with many keys: filling one takes SoftHSM2 up to
// a minute, so it is done once and kept.
func (b *bench) filledToken() ([]string, error) {
	kept := b.worker(fmt.Sprintf("softhsm-%d-keys", *keyCount))
	if _, err := os.Stat(kept); err != nil {
		fmt.Fprintf(os.Stderr, "filling SoftHSM2 with %d keys, this once ...\n", *keyCount)
		os.RemoveAll(kept + ".part")
		env, err := softhsmToken(kept + ".part")
		if err != nil {
			return nil, err
		}
		args := append(b.moduleArgs(softhsmModule, "dev"), "find by label")
		args[4], args[6] = "0.01", "1"
		if _, err := output(env, args[0], args[1:]...); err != nil {
			return nil, err
		}
		if err := os.Rename(kept+".part", kept); err != nil {
			return nil, err
		}
	}
	copied := filepath.Join(b.dir, "many")
	if _, err := output(nil, "cp", "-r", kept, copied); err != nil {
		return nil, err
	}
	return softhsmToken(copied)
}

// p11Kit serves a SoftHSM2 token over p11-kit's socket, as its users would.
func (b *bench) p11Kit() error {
	env, err := softhsmToken(filepath.Join(b.dir, "p11kit"))
	if err != nil {
		return err
	}
	socket := filepath.Join(b.dir, "p11kit.socket")
	server := exec.Command("p11-kit", "server", "--foreground", "--name", socket, "--provider", softhsmModule, "pkcs11:token=dev")
	server.Env = append(os.Environ(), env...)
	if err := server.Start(); err != nil {
		return err
	}
	defer func() { server.Process.Kill(); server.Wait() }()
	for range 100 {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return b.measureModule("p11-kit", p11KitModule, append(env, "P11_KIT_SERVER_ADDRESS=unix:path="+socket), withoutKeys)
}

// grep11 runs the worker as the command of `grep11 dev`, which listens on TCP
// with mutual TLS.
func (b *bench) grep11() error {
	for _, works := range [][]string{wanted(withoutKeys...), wanted(withKeys...)} {
		if len(works) == 0 {
			continue
		}
		args := append(b.moduleArgs("$PKCS11_MODULE", "$GREP11_TOKEN"), works...)
		for i, a := range args {
			if !strings.HasPrefix(a, "$") {
				args[i] = "'" + a + "'"
			}
		}
		out, err := output(nil, "build/out/grep11", "dev", "--", "sh", "-c", "exec "+strings.Join(args, " "))
		if err != nil {
			return err
		}
		if err := b.take("grep11", out); err != nil {
			return err
		}
	}
	env, stop, err := startDev()
	if err != nil {
		return err
	}
	defer stop()
	config := env["GREP11_PKCS11_CONFIG"]
	return b.handshakes("grep11", hsm{module: env["PKCS11_MODULE"], initArgs: "config=" + config,
		env: []string{"GREP11_PKCS11_CONFIG=" + config}})
}

// output runs a program and gives its standard output.
func output(env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, complaints.String())
	}
	return out.String(), nil
}
