package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"grep11/pkcs11/ck"
	"grep11/server"
)

// What `grep11 dev` initialises; scripts rely on these.
const (
	devToken = "dev"
	devSOPIN = "87654321"
	devPIN   = "12345678"
)

// devOptions are the flags of `grep11 dev`.
type devOptions struct {
	dir       string
	units     int
	zones     []string
	listen    string
	plaintext string
	hsm       []string
	hsmToken  string
	changed   func(flag string) bool
}

func devCommand() *cobra.Command {
	var o devOptions
	c := &cobra.Command{
		Use:   "dev [-- COMMAND ARG...]",
		Short: "Run a whole service for development in one command",
		Long: `Run a whole service: a private CA and certificates, a server with emulated crypto
units under a fresh master key, a SQLite key store and the token "dev"
(SO PIN 87654321, user PIN 12345678).

With a COMMAND, it is run with PKCS11_MODULE, GREP11_PKCS11_CONFIG, GREP11_TOKEN,
GREP11_SO_PIN, GREP11_PIN, GREP11_ADDRESS and GREP11_DIR set; the service stops when the
command ends, with its exit code. Without one, these are printed as export lines,
then "ready", and the service runs until a signal.

With --plaintext, GREP11_PLAINTEXT_ADDRESS is set too.

With --hsm, the crypto units are on a real HSM: its user's PIN is $GREP11_HSM_PIN
(12345678 if unset), and the master key is made in it if it has none. SoftHSM2 gets
a folder in the service's, unless $SOFTHSM2_CONF is set.`,
		Example: `  grep11 dev -- sh -c 'pkcs11-tool --module $PKCS11_MODULE --login --pin $GREP11_PIN --test'
  grep11 dev --dir ./service --listen 127.0.0.1:9876
  grep11 dev --plaintext 127.0.0.1:9877 -- go test ./...
  grep11 dev --hsm /usr/lib/softhsm/libsofthsm2.so -- bash`,
		RunE: func(c *cobra.Command, args []string) error {
			o.changed = c.Flags().Changed
			return dev(c.Context(), o, args, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&o.dir, "dir", "", "the service's folder, kept and used again (default: a temporary one)")
	f.IntVar(&o.units, "units", 2, "crypto units")
	f.StringSliceVar(&o.zones, "zones", nil, "zones to spread the units over, such as a,b")
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the TLS listener; port 0 takes a free one")
	f.StringVar(&o.plaintext, "plaintext", "", "address of a listener without TLS, on loopback only")
	f.StringArrayVar(&o.hsm, "hsm", nil, "PKCS#11 module of a real HSM to have the units on; may be repeated")
	f.StringVar(&o.hsmToken, "hsm-token", devHSMToken, "label of the HSM's token; the default one is made where an empty token is")
	return c
}

func dev(ctx context.Context, o devOptions, command []string, stdout, stderr io.Writer) error {
	if ctx == nil {
		ctx = context.Background()
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)

	d, err := openFolder(o)
	if err != nil {
		return err
	}
	defer d.close()
	s, err := d.start(ctx, stderr)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	err = d.use(ctx, s, command, stdout, signals)
	if stopErr := s.Stop(); err == nil {
		err = stopErr
	}
	<-served
	return err
}

// use makes the service ready and runs the command, or waits for a signal.
func (d *folder) use(ctx context.Context, s *server.Server, command []string, stdout io.Writer, signals <-chan os.Signal) error {
	err := s.EnsureToken(ctx, devToken, ck.Secret(devSOPIN), ck.Secret(devPIN))
	if err != nil {
		return fmt.Errorf("token %q: %w", devToken, err)
	}
	env := d.environment()
	if len(command) > 0 {
		return runCommand(command, env, signals)
	}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		fmt.Fprintf(stdout, "export %s=%s\n", name, shellQuote(value))
	}
	if _, err := fmt.Fprintln(stdout, "ready"); err != nil {
		return err
	}
	for sig := range signals {
		if sig == syscall.SIGTERM || sig == syscall.SIGINT || sig == syscall.SIGHUP || sig == syscall.SIGQUIT {
			return nil
		}
	}
	return nil
}

// environment is what a program needs to use the service.
func (d *folder) environment() []string {
	env := []string{
		"PKCS11_MODULE=" + modulePath(),
		"GREP11_PKCS11_CONFIG=" + d.path("client.toml"),
		"GREP11_TOKEN=" + devToken,
		"GREP11_SO_PIN=" + devSOPIN,
		"GREP11_PIN=" + devPIN,
		"GREP11_ADDRESS=" + d.used.Endpoint(),
		"GREP11_DIR=" + d.dir,
	}
	if d.used.Plaintext != "" {
		env = append(env, "GREP11_PLAINTEXT_ADDRESS="+d.used.Plaintext)
	}
	return env
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
