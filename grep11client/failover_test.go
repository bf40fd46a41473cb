package grep11client_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server"
	"grep11/server/balancer"
	"grep11/server/keystore"
	"grep11/server/soft"
)

// serveEnv makes this test binary a server: its folder, address and master key.
const serveEnv = "GREP11CLIENT_TEST_SERVE"

func TestMain(m *testing.M) {
	if args := os.Getenv(serveEnv); args != "" {
		if err := serveForOthers(strings.Split(args, ",")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serveForOthers(args []string) error {
	dir, address := args[0], args[1]
	master, err := hex.DecodeString(args[2])
	if err != nil {
		return err
	}
	store, err := keystore.Open(ctx, filepath.Join(dir, "keystore.db"))
	if err != nil {
		return err
	}
	u, err := soft.New(soft.Config{Name: "unit", MasterKey: master})
	if err != nil {
		return err
	}
	s, err := server.New(server.Defaults(), store, []balancer.Member{{Unit: u, Kind: "soft"}}, nil)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return s.ServeOn(l)
}

// process is a server of its own, which can be killed.
type process struct {
	t       testing.TB
	cmd     *exec.Cmd
	dir     string
	master  string
	address string
}

func startProcess(t testing.TB, dir, master, address string) *process {
	t.Helper()
	p := &process{t: t, dir: dir, master: master}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), serveEnv+"="+dir+","+address+","+master)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	must(t, p.cmd.Start())
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	p.address = strings.TrimSpace(line)
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *process) again() *process {
	return startProcess(p.t, p.dir, p.master, p.address)
}

// signers runs n goroutines that sign with a session key until stopped, and
// tells about the slowest call.
type signers struct {
	t       *testing.T
	wg      sync.WaitGroup
	stop    atomic.Bool
	calls   atomic.Int64
	slowest atomic.Int64
}

func startSigners(t *testing.T, tok *grep11client.Token, n int) *signers {
	_, priv := signingPair(t, tok)
	s := &signers{t: t}
	for range n {
		s.wg.Go(func() {
			for !s.stop.Load() {
				start := time.Now()
				_, err := tok.Single(ctx, mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA}, priv.Key, make([]byte, 32), nil, false)
				if err != nil {
					t.Errorf("a call failed: %v", err)
					return
				}
				s.calls.Add(1)
				for d := int64(time.Since(start)); ; {
					if old := s.slowest.Load(); d <= old || s.slowest.CompareAndSwap(old, d) {
						break
					}
				}
			}
		})
	}
	return s
}

func (s *signers) end(limit time.Duration) {
	s.t.Helper()
	s.stop.Store(true)
	s.wg.Wait()
	slowest := time.Duration(s.slowest.Load())
	s.t.Logf("%d calls, slowest %v", s.calls.Load(), slowest)
	if slowest > limit {
		s.t.Errorf("slowest call took %v", slowest)
	}
}

func TestKilledServers(t *testing.T) {
	s := newService(t)
	master := hex.EncodeToString(s.master)
	one := startProcess(t, t.TempDir(), master, "127.0.0.1:0")
	two := startProcess(t, t.TempDir(), master, "127.0.0.1:0")
	hasty := grep11client.Timeouts{Connect: 500 * time.Millisecond, Attempt: time.Second, Unreachable: time.Second}
	t.Run("one of two killed and back, twice, fails no call", func(t *testing.T) {
		run := startSigners(t, s.client(one.address, two.address).Token(nil), 16)
		for range 2 {
			time.Sleep(300 * time.Millisecond)
			one.kill()
			time.Sleep(300 * time.Millisecond)
			one = one.again()
			time.Sleep(300 * time.Millisecond)
			two.kill()
			time.Sleep(300 * time.Millisecond)
			two = two.again()
		}
		run.end(time.Second)
	})
	t.Run("both killed and back is a delay", func(t *testing.T) {
		run := startSigners(t, s.client(one.address, two.address).Token(nil), 16)
		time.Sleep(200 * time.Millisecond)
		one.kill()
		two.kill()
		time.Sleep(500 * time.Millisecond)
		one, two = one.again(), two.again()
		time.Sleep(300 * time.Millisecond)
		run.end(3 * time.Second)
	})
	t.Run("one of two frozen costs some calls one attempt", func(t *testing.T) {
		run := startSigners(t, s.clientWith(hasty, one.address, two.address).Token(nil), 16)
		time.Sleep(200 * time.Millisecond)
		must(t, one.cmd.Process.Signal(syscall.SIGSTOP))
		time.Sleep(hasty.Attempt + 500*time.Millisecond)
		must(t, one.cmd.Process.Signal(syscall.SIGCONT))
		run.end(hasty.Attempt + time.Second)
	})
	t.Run("both dead for long is a removed device, until one is back", func(t *testing.T) {
		tok := s.clientWith(hasty, one.address, two.address).Token(nil)
		_, err := tok.Random(ctx, 8)
		must(t, err)
		one.kill()
		two.kill()
		start := time.Now()
		_, err = tok.Random(ctx, 8)
		want(t, err, ck.CKR_DEVICE_REMOVED)
		if d := time.Since(start); d > 3*hasty.Unreachable {
			t.Errorf("took %v", d)
		}
		start = time.Now()
		_, err = tok.Random(ctx, 8)
		want(t, err, ck.CKR_DEVICE_REMOVED)
		if d := time.Since(start); d > hasty.Unreachable {
			t.Errorf("the second time took %v", d)
		}
		two = two.again()
		_, err = tok.Random(ctx, 8)
		must(t, err)
	})
}
