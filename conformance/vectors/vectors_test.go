package vectors

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
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

// TestWycheproof runs the folder WYCHEPROOF_DIR names, or the few files of
// testdata, against a server in its own process over mTLS.
func TestWycheproof(t *testing.T) {
	dir := os.Getenv("WYCHEPROOF_DIR")
	if dir == "" {
		dir = "testdata"
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	report, err := Run(ctx, dial(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	report.Print(os.Stdout)
	if report.Run() == 0 || report.Wrong() != 0 {
		t.Errorf("%d cases run, %d wrong answers", report.Run(), report.Wrong())
	}
}

// dial starts `grep11 dev` for the test and connects as its client.
func dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "dev")
	cmd := exec.Command("../../build/out/grep11", kind.DevArgs("--dir", dir, "--listen", "127.0.0.1:0")...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := cmd.StdoutPipe()
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
	address := ""
	for s := bufio.NewScanner(out); s.Scan() && s.Text() != "ready"; {
		if a, ok := strings.CutPrefix(s.Text(), "export GREP11_ADDRESS="); ok {
			address = strings.Trim(a, `'"`)
		}
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(clientTLS(t, dir)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
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
