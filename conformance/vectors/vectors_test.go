package vectors

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"grep11/conformance/kind"
)

const out = "../../build/out/"

// TestWycheproof runs the folder WYCHEPROOF_DIR names, or the few files of
// testdata, against a service in its own process: over GREP11, and through the
// library's C functions.
func TestWycheproof(t *testing.T) {
	d := startDev(t)
	t.Run("GREP11", func(t *testing.T) {
		conn, err := grpc.NewClient(d.setting["GREP11_ADDRESS"], grpc.WithTransportCredentials(clientTLS(t, d.dir)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		s, err := OverGREP11(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		check(t, s)
	})
	t.Run("PKCS11", func(t *testing.T) {
		s, end, err := ThroughModule(out+"libgrep11-pkcs11.so", d.config(t), d.setting["GREP11_PIN"])
		if err != nil {
			t.Fatal(err)
		}
		defer end()
		check(t, s)
	})
}

// check runs the vectors and prints the report.
func check(t *testing.T, s Service) {
	dir := os.Getenv("WYCHEPROOF_DIR")
	if dir == "" {
		dir = "testdata"
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	report, err := Run(ctx, s, dir)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(t.Name())
	report.Print(os.Stdout)
	if report.Run() == 0 || report.Wrong() != 0 {
		t.Errorf("%d cases run, %d wrong answers", report.Run(), report.Wrong())
	}
}

// dev is a running `grep11 dev`.
type dev struct {
	dir     string
	setting map[string]string // what it exports
}

// startDev starts `grep11 dev` for the test.
func startDev(t *testing.T) dev {
	t.Helper()
	d := dev{filepath.Join(t.TempDir(), "dev"), map[string]string{}}
	cmd := exec.Command(out+"grep11", kind.DevArgs("--dir", d.dir, "--listen", "127.0.0.1:0")...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	lines, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: make build makes it", err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	for s := bufio.NewScanner(lines); s.Scan() && s.Text() != "ready"; {
		if export, ok := strings.CutPrefix(s.Text(), "export "); ok {
			name, value, _ := strings.Cut(export, "=")
			d.setting[name] = strings.Trim(value, `'"`)
		}
	}
	return d
}

// config is the library's, of the kind of service that is asked for.
func (d dev) config(t *testing.T) string {
	t.Helper()
	if !kind.Plain() {
		return d.setting["GREP11_PKCS11_CONFIG"]
	}
	config, stop, err := kind.MakePlain(out+"grep11", d.dir, d.setting["GREP11_ADDRESS"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return config
}

func clientTLS(t *testing.T, dir string) credentials.TransportCredentials {
	t.Helper()
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	own, err := tls.LoadX509KeyPair(filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	return credentials.NewTLS(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13})
}
