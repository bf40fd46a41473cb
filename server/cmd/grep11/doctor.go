package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// finding is one thing the doctor looked at.
type finding struct {
	What   string `json:"what"`
	Good   bool   `json:"good"`
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"` // what to do about it
}

// doctor collects findings; those after a failure that explains them are left out.
type doctor struct {
	findings []finding
	config   grep11client.Config
}

func doctorCommand() *cobra.Command {
	var f clientFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what keeps applications from using the service",
		Long: `Look, as the library would, at the configuration, the servers, their certificates,
the tokens and the crypto units, and make one signature with a key that is not
stored. Each failure comes with what to do. The exit status is 0 if all is well.`,
		Example: "  grep11 doctor\n  grep11 doctor --config /etc/grep11/client.toml --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var d doctor
			d.examine(background(c), &f)
			return d.report(c.OutOrStdout(), asJSON)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (d *doctor) good(what, format string, a ...any) {
	d.findings = append(d.findings, finding{What: what, Good: true, Detail: fmt.Sprintf(format, a...)})
}

func (d *doctor) bad(what, detail, advice string) {
	d.findings = append(d.findings, finding{What: what, Detail: detail, Advice: advice})
}

func (d *doctor) report(w io.Writer, asJSON bool) error {
	ill := 0
	for _, f := range d.findings {
		if !f.Good {
			ill++
		}
	}
	if asJSON {
		if err := printJSON(w, d.findings); err != nil {
			return err
		}
	} else {
		d.print(w, ill)
	}
	if ill > 0 {
		return exitStatus(1)
	}
	return nil
}

func (d *doctor) print(w io.Writer, ill int) {
	for _, f := range d.findings {
		mark := "ok   "
		if !f.Good {
			mark = "FAIL "
		}
		fmt.Fprintf(w, "%s%-14s %s\n", mark, f.What, f.Detail)
		if f.Advice != "" {
			fmt.Fprintf(w, "     %-14s -> %s\n", "", f.Advice)
		}
	}
	if ill == 0 {
		fmt.Fprintln(w, "All is well.")
		return
	}
	fmt.Fprintf(w, "%d of %d checks failed.\n", ill, len(d.findings))
}

func (d *doctor) examine(ctx context.Context, f *clientFlags) {
	file, err := f.file()
	if err != nil {
		d.bad("configuration", err.Error(), "correct the file, or name another with --config or GREP11_PKCS11_CONFIG")
		return
	}
	d.good("configuration", "%s, [[slot]] %d of %d", file.Path, f.slot, len(file.Slots))
	d.config = file.Slots[f.slot-1]
	d.clientCertificate()
	reached := 0
	for _, e := range d.config.Endpoints {
		if d.endpoint(ctx, e.Address) {
			reached++
		}
	}
	if reached > 0 {
		d.service(ctx)
	}
}

// certWarning is how long before its end a certificate counts as ill.
const certWarning = 14 * 24 * time.Hour

func (d *doctor) clientCertificate() {
	t := d.config.TLS
	if t == nil || t.Cert == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		d.bad("client cert", err.Error(), "slot.tls.cert and slot.tls.key must be PEM files that belong together and may be read")
		return
	}
	d.validity("client cert", t.Cert, pair.Leaf)
}

func (d *doctor) validity(what, name string, c *x509.Certificate) {
	left := time.Until(c.NotAfter)
	detail := fmt.Sprintf("%s: valid until %s", name, c.NotAfter.Format(time.DateOnly))
	switch {
	case time.Now().Before(c.NotBefore):
		d.bad(what, fmt.Sprintf("%s: valid only from %s", name, c.NotBefore.Format(time.DateTime)), "check this machine's clock")
	case left < 0:
		d.bad(what, detail, "it expired: have a new one issued")
	case left < certWarning:
		d.bad(what, detail, "it expires soon: have a new one issued; server and library read it again by themselves")
	default:
		d.good(what, "%s, %d days", detail, int(left.Hours()/24))
	}
}

// endpoint tells whether a server can be reached and its certificate is good.
func (d *doctor) endpoint(ctx context.Context, address string) bool {
	network, addr := "tcp", address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, addr = "unix", path
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		d.bad("server", err.Error(), "is the server running and listening there, and is no firewall in between?")
		return false
	}
	defer conn.Close()
	if d.config.TLS == nil || network == "unix" {
		d.good("server", "%s answers, without TLS", address)
		return true
	}
	return d.handshake(ctx, conn, address)
}

func (d *doctor) handshake(ctx context.Context, conn net.Conn, address string) bool {
	config, err := d.tlsConfig(address)
	if err != nil {
		d.bad("server", err.Error(), "slot.tls.ca must be a PEM file that may be read")
		return false
	}
	t := tls.Client(conn, config)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		d.bad("server", address+": "+err.Error(), tlsAdvice(err))
		return false
	}
	d.validity("server", address, t.ConnectionState().PeerCertificates[0])
	return true
}

func (d *doctor) tlsConfig(address string) (*tls.Config, error) {
	c := &tls.Config{ServerName: d.config.TLS.ServerName, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12}
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(address)
	}
	if d.config.TLS.CA != "" {
		text, err := os.ReadFile(d.config.TLS.CA)
		if err != nil {
			return nil, err
		}
		if block, _ := pem.Decode(text); block == nil {
			return nil, fmt.Errorf("%s holds no certificate", d.config.TLS.CA)
		}
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AppendCertsFromPEM(text)
	}
	if d.config.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(d.config.TLS.Cert, d.config.TLS.Key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func tlsAdvice(err error) string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "slot.tls.ca must hold the CA that issued the server's certificate"
	case errors.As(err, &host):
		return "the certificate is for another name: set slot.tls.server_name, or dial a name that it holds"
	case errors.As(err, &invalid):
		return "the server's certificate is not valid now: have a new one issued, or check this machine's clock"
	}
	return "the server may want another client certificate, or speak no TLS on this address"
}

// service asks the servers themselves.
func (d *doctor) service(ctx context.Context) {
	c, err := grep11client.New(d.config)
	if err != nil {
		d.bad("service", err.Error(), "correct the configuration")
		return
	}
	defer c.Close()
	s, err := c.Service(ctx)
	if err != nil {
		d.bad("service", err.Error(), serviceAdvice(err))
		return
	}
	d.good("service", "version %s, %d mechanisms", s.Version, len(s.Mechanisms))
	for _, u := range s.Units {
		d.unit(u)
	}
	tokens, _, err := c.Tokens(ctx)
	if err != nil {
		d.bad("tokens", err.Error(), "the server's log names the cause")
	}
	d.tokens(tokens)
	d.signature(ctx, c)
}

func serviceAdvice(err error) string {
	if errors.Is(err, ck.CKR_IBM_GREP11_NOT_AUTHENTICATED) {
		return "the server wants a client certificate or a bearer token: set slot.tls.cert and slot.tls.key, or slot.auth.bearer_file"
	}
	return "the server's log names the cause"
}

func (d *doctor) unit(u grep11client.UnitStatus) {
	name := fmt.Sprintf("%s (%s", u.Name, u.Kind)
	if u.Zone != "" {
		name += ", zone " + u.Zone
	}
	name += ")"
	if !u.Healthy {
		d.bad("unit", name+": "+u.Detail, "the other units go on; look at this one's state folder, key file or HSM")
		return
	}
	d.good("unit", "%s healthy, wrapping key %.16s...", name, hex.EncodeToString(u.WrappingKey))
}

func (d *doctor) tokens(tokens []grep11client.TokenInfo) {
	seen := false
	for _, t := range tokens {
		if d.config.Token != "" && t.Label != d.config.Token {
			continue
		}
		seen = true
		r := show(t)
		if r.UserPIN == "locked" {
			d.bad("token", fmt.Sprintf("%q: the user PIN is locked", t.Label), "the security officer sets a new one: C_InitPIN, or pkcs11-tool --login --login-type so --init-pin")
			continue
		}
		d.good("token", "%q: user PIN %s, SO PIN %s", t.Label, r.UserPIN, r.SOPIN)
	}
	if seen {
		return
	}
	if d.config.Token != "" {
		d.bad("token", fmt.Sprintf("%q does not exist", d.config.Token), fmt.Sprintf("grep11 token init --label %q", d.config.Token))
		return
	}
	d.bad("token", "the service has no token yet", "grep11 token init --label NAME")
}

// signature makes and checks one with a key that is not stored.
func (d *doctor) signature(ctx context.Context, c *grep11client.Client) {
	start := time.Now()
	if err := testSignature(ctx, c); err != nil {
		d.bad("signature", err.Error(), "the server's log names the cause; is a crypto unit healthy?")
		return
	}
	d.good("signature", "a P-256 key was made, has signed and was verified in %v", time.Since(start).Round(time.Millisecond))
}

var oidP256 = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}

func testSignature(ctx context.Context, c *grep11client.Client) error {
	t := c.Token(nil)
	pub := ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, oidP256), ck.Bool(ck.CKA_VERIFY, true)}
	priv := ck.Template{ck.Bool(ck.CKA_SIGN, true)}
	pubKey, privKey, err := t.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_EC_KEY_PAIR_GEN}, pub, priv)
	if err != nil {
		return err
	}
	m, text := mech.Mechanism{Type: ck.CKM_ECDSA_SHA256}, []byte("grep11 doctor")
	sig, err := t.Single(ctx, mech.OpSign, m, privKey.Key, text, nil, false)
	if err != nil {
		return err
	}
	_, err = t.Single(ctx, mech.OpVerify, m, pubKey.Key, text, sig, false)
	return err
}
