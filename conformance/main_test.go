package conformance

import (
	"bufio"
	"flag"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"grep11/conformance/kind"
)

var (
	moduleFlag  = flag.String("module", "", "library to test; ours from build/out, with a server, if empty")
	libraryFlag = flag.String("library", out+"libgrep11-pkcs11.so", "ours, where it was built in another way")
	tokenFlag   = flag.String("token", "dev", "label of an initialised token")
	pinFlag     = flag.String("pin", "12345678", "its user PIN")
)

const out = "../build/out/"

// ours tells whether the library under test is the project's.
func ours() bool { return *moduleFlag == "" }

// modulePath is the library under test.
func modulePath(t *testing.T) string {
	t.Helper()
	path := *moduleFlag
	if ours() {
		path = *libraryFlag
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("%v (make build makes it)", err)
	}
	return path
}

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		log.Fatal(err)
	}
	stop := func() {}
	if ours() {
		// Nobody's own configuration shall be found.
		os.Setenv("XDG_CONFIG_HOME", dir)
		os.Unsetenv("GREP11_PKCS11_CONFIG")
		stop = startServer(dir)
	} else {
		os.Setenv("GREP11_TOKEN", *tokenFlag)
		os.Setenv("GREP11_PIN", *pinFlag)
	}
	code := m.Run()
	stop()
	os.RemoveAll(dir)
	os.Exit(code)
}

// configuration is where `grep11 dev` wrote what the library needs; tests that
// want a token put it into the environment of the program they run.
var service []string

// startServer starts `grep11 dev` for all tests and returns what ends it.
func startServer(dir string) (stop func()) {
	if _, err := os.Stat(out + "grep11"); err != nil {
		return func() {} // tests that need the service say so
	}
	cmd := exec.Command(out+"grep11", kind.DevArgs("--dir", dir+"/dev", "--listen", freeAddress())...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	lines, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		log.Fatalf("grep11 dev: %v (make build makes it)", err)
	}
	stuck := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer stuck.Stop()
	for s := bufio.NewScanner(lines); s.Scan(); {
		if s.Text() == "ready" {
			plain := makePlain(dir + "/dev")
			return func() { plain(); cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() }
		}
		if export, ok := strings.CutPrefix(s.Text(), "export "); ok {
			name, value, _ := strings.Cut(export, "=")
			service = append(service, name+"="+strings.Trim(value, `'"`))
		}
	}
	log.Fatalf("grep11 dev ended before it was ready: %v", cmd.Wait())
	return nil
}

// makePlain has the library see grep11.Crypto alone, if that is asked for.
func makePlain(dir string) (stop func()) {
	if !kind.Plain() {
		return func() {}
	}
	config, stop, err := kind.MakePlain(out+"grep11", dir, strings.TrimPrefix(*exported("GREP11_ADDRESS="), "GREP11_ADDRESS="))
	if err != nil {
		log.Fatal(err)
	}
	*exported("GREP11_PKCS11_CONFIG=") = "GREP11_PKCS11_CONFIG=" + config
	return stop
}

// exported is the service's variable with a name.
func exported(name string) *string {
	return &service[slices.IndexFunc(service, func(s string) bool { return strings.HasPrefix(s, name) })]
}

func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// load loads the module for one test.
func load(t *testing.T) *Module {
	t.Helper()
	m, err := Load(modulePath(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// initialized is a module between C_Initialize and the test's end.
func initialized(t *testing.T) *Module {
	t.Helper()
	m := load(t)
	if rv := m.Call("C_Initialize", 0); rv != 0 {
		t.Fatalf("C_Initialize: %v", rv)
	}
	t.Cleanup(func() {
		if rv := m.Call("C_Finalize", 0); rv != 0 {
			t.Errorf("C_Finalize: %v", rv)
		}
	})
	return m
}

// compile makes a program of testdata, or of a C text, with cryptoki.h and with
// what CFLAGS says.
func compile(t *testing.T, source string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	args := []string{"-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-I", "../c", "-o", program}
	args = append(args, strings.Fields(os.Getenv("CFLAGS"))...)
	cmd := exec.Command("cc")
	if strings.HasSuffix(source, ".c") {
		args = append(args, "testdata/"+source)
	} else {
		args = append(args, "-x", "c", "-")
		cmd.Stdin = strings.NewReader(source)
	}
	cmd.Args = append(cmd.Args, append(args, "-ldl", "-pthread")...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, text)
	}
	return program
}

// run runs a compiled program on the module under test, with the service's
// environment, and fails the test if it does; it gives what the program printed.
func run(t *testing.T, env []string, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stuck := time.AfterFunc(5*time.Minute, func() { cmd.Process.Kill() })
	defer stuck.Stop()
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %v: %v\n%s", filepath.Base(program), args, err, text)
	}
	return string(text)
}
