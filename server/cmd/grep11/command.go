package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// runCommand runs a program with more environment, passes signals on, and
// gives its exit status. The program dies with this process, however that ends.
func runCommand(command, env []string, signals <-chan os.Signal) error {
	c := exec.Command(command[0], command[1:]...)
	c.Env = append(os.Environ(), env...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	done := make(chan error, 1)
	started := make(chan error, 1)
	go func() {
		// The kernel sends Pdeathsig when the thread that started the child ends.
		runtime.LockOSThread()
		err := c.Start()
		started <- err
		if err == nil {
			done <- c.Wait()
		}
	}()
	if err := <-started; err != nil {
		return startError(command[0], err)
	}
	for {
		select {
		case sig := <-signals:
			_ = c.Process.Signal(sig) // one that has ended needs none
		case err := <-done:
			return statusOf(err)
		}
	}
}

// startError uses the shell's statuses for programs that cannot be run.
func startError(name string, err error) error {
	fmt.Fprintf(os.Stderr, "grep11: %s: %v\n", name, err)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		return exitStatus(127)
	}
	return exitStatus(126)
}

func statusOf(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return exitStatus(128 + int(ws.Signal()))
	}
	return exitStatus(exit.ExitCode())
}

const moduleName = "libgrep11-pkcs11.so"

// moduleFolders are searched after the command's own folder.
var moduleFolders = []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/local/lib", "/usr/lib"}

// modulePath finds the library, beside this program first.
func modulePath() string {
	var folders []string
	if self, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		folders = append(folders, filepath.Dir(self))
	}
	folders = append(folders, moduleFolders...)
	for _, f := range folders {
		path := filepath.Join(f, moduleName)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return filepath.Join(folders[0], moduleName)
}
