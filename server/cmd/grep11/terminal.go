package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"grep11/pkcs11/ck"
)

// terminal asks a person. Where none is there, the flags must say everything.
type terminal struct {
	in  *bufio.Reader
	fd  int
	out io.Writer
}

var errNoTerminal = errors.New("there is no terminal to ask at")

// openTerminal gives nil where the program has no terminal.
func openTerminal() *terminal {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	return &terminal{bufio.NewReader(f), int(f.Fd()), f}
}

// line asks for one line.
func (t *terminal) line(question string) (string, error) {
	if t == nil {
		return "", fmt.Errorf("%s: %w", question, errNoTerminal)
	}
	fmt.Fprintf(t.out, "%s: ", question)
	s, err := t.in.ReadString('\n')
	return strings.TrimSpace(s), err
}

// secret asks for a line that is not shown.
func (t *terminal) secret(question string) (ck.Secret, error) {
	if t == nil {
		return nil, fmt.Errorf("%s: %w; use --password-file", question, errNoTerminal)
	}
	old, err := unix.IoctlGetTermios(t.fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	quiet := *old
	quiet.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(t.fd, unix.TCSETS, &quiet); err != nil {
		return nil, err
	}
	s, err := t.line(question)
	fmt.Fprintln(t.out)
	return ck.Secret(s), errors.Join(err, unix.IoctlSetTermios(t.fd, unix.TCSETS, old))
}

// twice asks for a new password.
func (t *terminal) twice(question string) (ck.Secret, error) {
	a, err := t.secret(question)
	if err != nil {
		return nil, err
	}
	b, err := t.secret(question + " again")
	if err == nil && string(a) != string(b) {
		err = errors.New("the two passwords differ")
	}
	return a, err
}

// confirm asks for the word yes.
func (t *terminal) confirm(what string) error {
	s, err := t.line(what + " Type yes to go on")
	if errors.Is(err, errNoTerminal) {
		return fmt.Errorf("%s Use --yes where nobody can be asked", what)
	}
	if err == nil && s != "yes" {
		err = errors.New("nothing was done")
	}
	return err
}

// passwords finds the password of each key and part file: in a file that the
// flags name, or from the person who owns it.
type passwords struct {
	files []string // FILE for all, or NAME=FILE for one
	t     *terminal
}

func (p *passwords) of(name string, isNew bool) (ck.Secret, error) {
	common := ""
	for _, f := range p.files {
		for_, path, one := strings.Cut(f, "=")
		if one && for_ == name {
			return firstLine(path)
		}
		if !one {
			common = f
		}
	}
	if common != "" {
		return firstLine(common)
	}
	if isNew {
		return p.t.twice("New password for " + name)
	}
	return p.t.secret("Password for " + name)
}

// firstLine reads a secret from a file, in its first line.
func firstLine(path string) (ck.Secret, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return ck.Secret(strings.TrimSuffix(line, "\r")), nil
}
