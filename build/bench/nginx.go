package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// handshakes is nginx with four workers and a P-256 key, and clients that shake
// hands over and over, each time in full. Its clients share the processors with
// it, for every candidate alike. The key of "libcrypto" is in a file.
const handshakes = "nginx handshake, P-256"

// An hsm is how nginx reaches a key: a module, through OpenSSL's engine.
type hsm struct {
	module   string // empty: the key is in a file
	initArgs string
	env      []string
}

const opensslConf = `openssl_conf = init
[init]
engines = engines
[engines]
pkcs11 = pkcs11
[pkcs11]
engine_id = pkcs11
MODULE_PATH = %s
%s
PIN = ` + pin + `
init = 0
[req]
distinguished_name = name
[name]
`

const nginxConf = `user %s;
%s
pid nginx.pid;
error_log error.log;
worker_processes 4;
%s
events { }
http {
	access_log off;
	client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
	server {
		listen %s ssl;
		ssl_protocols TLSv1.3;
		ssl_certificate web.pem;
		ssl_certificate_key "%s";
	}
}
`

const webKey = "pkcs11:token=dev;object=web;type=private"

// handshakes measures nginx with its key in h.
func (b *bench) handshakes(candidate string, h hsm) error {
	if len(wanted(handshakes)) == 0 {
		return nil
	}
	dir := filepath.Join(b.dir, "nginx-"+candidate)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	env := append(slices.Clone(h.env), "OPENSSL_CONF="+filepath.Join(dir, "openssl.cnf"))
	address, err := freeAddress()
	if err != nil {
		return err
	}
	if err := h.makeKey(dir, address, env); err != nil {
		return err
	}
	nginx := exec.Command("/usr/sbin/nginx", "-p", dir, "-c", "nginx.conf", "-g", "daemon off;", "-e", "error.log")
	nginx.Env = append(os.Environ(), env...)
	if err := nginx.Start(); err != nil {
		return err
	}
	defer func() { nginx.Process.Signal(syscall.SIGTERM); nginx.Wait() }()
	if err := warm(address); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
		return fmt.Errorf("%w\n%s", err, log)
	}
	for _, clients := range []int{1, manyThreads} {
		b.add(candidate, handshakes, clients, shakeHands(address, clients))
	}
	return nil
}

// makeKey makes key, certificate and configurations.
func (h hsm) makeKey(dir, address string, env []string) error {
	me, err := user.Current()
	if err != nil {
		return err
	}
	var engine, keep string
	key, initArgs := "key.pem", ""
	request := []string{"req", "-new", "-x509", "-days", "2", "-subj", "/CN=localhost", "-out", filepath.Join(dir, "web.pem")}
	if h.module == "" {
		request = append(request, "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", filepath.Join(dir, key))
	} else {
		engine, key = "ssl_engine pkcs11;", "engine:pkcs11:"+webKey
		request = append(request, "-engine", "pkcs11", "-keyform", "engine", "-key", webKey)
		_, err := output(h.env, "pkcs11-tool", "--module", h.module, "--token-label", "dev", "--login", "--pin", pin,
			"--keypairgen", "--key-type", "EC:prime256v1", "--label", "web", "--id", "77")
		if err != nil {
			return err
		}
	}
	if h.initArgs != "" {
		initArgs = "INIT_ARGS = " + h.initArgs
	}
	for _, e := range h.env {
		name, _, _ := strings.Cut(e, "=")
		keep += "env " + name + ";\n"
	}
	for name, text := range map[string]string{
		"openssl.cnf": fmt.Sprintf(opensslConf, h.module, initArgs),
		"nginx.conf":  fmt.Sprintf(nginxConf, me.Username, keep, engine, address, key),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	_, err = output(env, "openssl", request...)
	return err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// warm waits for nginx and lets all workers load what they need.
func warm(address string) error {
	err := shakeHand(address)
	for end := time.Now().Add(10 * time.Second); err != nil; err = shakeHand(address) {
		if time.Now().After(end) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	for range 3 {
		if r := shakeHands(address, manyThreads); r.failure != "" {
			return fmt.Errorf("nginx: %s", r.failure)
		}
	}
	return nil
}

func shakeHands(address string, clients int) (r result) {
	var all sync.WaitGroup
	var mu sync.Mutex
	var took []float64
	began := time.Now()
	end := began.Add(*perWork)
	for range clients {
		all.Go(func() {
			for last := time.Now(); last.Before(end); {
				err := shakeHand(address)
				now := time.Now()
				mu.Lock()
				if took = append(took, float64(now.Sub(last).Microseconds())); err != nil {
					r.failure = err.Error()
				}
				mu.Unlock()
				last = now
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	r.perSecond, r.medianMicros = float64(len(took))/time.Since(began).Seconds(), took[len(took)/2]
	return r
}

// shakeHand spends little itself: whose certificate it is does not matter here.
func shakeHand(address string) error {
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}})
	if err != nil {
		return err
	}
	return conn.Close()
}

// startDev starts a service and gives its environment.
func startDev() (env map[string]string, stop func(), err error) {
	dev := exec.Command("build/out/grep11", "dev")
	dev.Stderr = os.Stderr
	out, err := dev.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := dev.Start(); err != nil {
		return nil, nil, err
	}
	stop = func() { dev.Process.Signal(syscall.SIGTERM); dev.Wait() }
	env = map[string]string{}
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "ready"; {
		name, value, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "=")
		env[name] = strings.Trim(value, "'")
	}
	if env["PKCS11_MODULE"] == "" {
		stop()
		return nil, nil, fmt.Errorf("grep11 dev did not get ready")
	}
	return env, stop, nil
}
