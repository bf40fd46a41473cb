// Package kind is the kind of service that the suites run against, as the
// environment variable GREP11_SERVICE says:
//
//	emulated  emulated crypto units; the default
//	softhsm   crypto units on SoftHSM2
//	plain     emulated units behind grep11.Crypto alone: the library keeps tokens
//	          and their objects in a file
package kind

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"google.golang.org/grpc/credentials"

	"grep11/grep11client/plaintest"
)

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// Name is the kind's.
func Name() string {
	if name := os.Getenv("GREP11_SERVICE"); name != "" {
		return name
	}
	return "emulated"
}

// Plain tells whether the library gets grep11.Crypto alone.
func Plain() bool { return Name() == "plain" }

// DevArgs are the arguments of `grep11 dev` for the kind, after those given.
func DevArgs(args ...string) []string {
	args = append([]string{"dev"}, args...)
	switch Name() {
	case "emulated", "plain":
	case "softhsm":
		args = append(args, "--hsm", softHSM)
	default:
		panic("GREP11_SERVICE: " + Name() + " is unknown")
	}
	return args
}

// MakePlain stands between the library and a service that `grep11 dev` runs in
// dir: it gives a configuration for the library, beside dev's own, and a token
// with dev's label and PINs.
func MakePlain(command, dir, address string) (config string, stop func(), err error) {
	creds, err := clientOf(dir)
	if err != nil {
		return "", nil, err
	}
	front, stop, err := plaintest.Front(address, creds)
	if err != nil {
		return "", nil, err
	}
	config = filepath.Join(dir, "plain.toml")
	text := fmt.Sprintf("[[slot]]\nendpoints = [%q]\nstore = \"keys.store\"\n", front)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		stop()
		return "", nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "keys.store")); err == nil {
		return config, stop, nil
	}
	c := exec.Command(command, "token", "init", "--label", "dev", "--so-pin", "87654321", "--pin", "12345678")
	c.Env = append(os.Environ(), "GREP11_PKCS11_CONFIG="+config)
	if out, err := c.CombinedOutput(); err != nil {
		stop()
		return "", nil, fmt.Errorf("token init: %w: %s", err, out)
	}
	return config, stop, nil
}

func clientOf(dir string) (credentials.TransportCredentials, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key"))
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots}), nil
}
