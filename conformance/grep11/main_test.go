package grep11

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"grep11/conformance/kind"
	"grep11/grep11client/grep11pb"
)

// The server's addresses, and its CA.
var plaintext, secure, folder string

const command = "../../build/out/grep11"

func TestMain(m *testing.M) { os.Exit(withServer(m)) }

func withServer(m *testing.M) int {
	path, err := filepath.Abs(command)
	if err != nil {
		log.Fatal(err)
	}
	c := exec.Command(path, kind.DevArgs("--plaintext", "127.0.0.1:0")...)
	c.Stderr = os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := c.StdoutPipe()
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Start(); err != nil {
		log.Fatalf("%v (make build makes it)", err)
	}
	defer func() { _ = c.Process.Signal(syscall.SIGTERM); _ = c.Wait() }()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		name, value, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "=")
		switch value = strings.Trim(value, "'"); name {
		case "GREP11_ADDRESS":
			secure = value
		case "GREP11_PLAINTEXT_ADDRESS":
			plaintext = value
		case "GREP11_DIR":
			folder = value
		case "ready":
			return m.Run()
		}
	}
	log.Print("the server did not become ready")
	return 1
}

// overBoth runs a test over plaintext, as Java does, and over TLS with a bearer
// token and without a client certificate, as Go and JavaScript do. It is left out
// as a whole where its parts are.
func overBoth(t *testing.T, test func(t *testing.T, c *client)) {
	leftOut := false
	for _, how := range []string{"plaintext", "TLS"} {
		t.Run(how, func(t *testing.T) {
			defer func() { leftOut = leftOut || t.Skipped() }()
			conn := dial(t, how)
			test(t, &client{CryptoClient: grep11pb.NewCryptoClient(conn), T: t, conn: conn, ctx: t.Context()})
		})
	}
	if leftOut {
		t.Skip("left out")
	}
}

func dial(t *testing.T, how string) *grpc.ClientConn {
	t.Helper()
	address, options := plaintext, []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if how == "TLS" {
		pem, err := os.ReadFile(filepath.Join(folder, "ca.pem"))
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		address = secure
		options = []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots})), grpc.WithPerRPCCredentials(bearer{})}
	}
	conn, err := grpc.NewClient(address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// bearer sends a token as the public clients do.
type bearer struct{}

func (bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": fmt.Sprintf("Bearer token of %d", time.Now().Unix())}, nil
}
func (bearer) RequireTransportSecurity() bool { return true }
