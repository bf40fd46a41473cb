package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// The doctor's look at what the service says of itself.

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
	d.keys(ctx, c)
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
	if u.Drained {
		d.good("unit", "%s healthy, but drained: grep11 unit resume %s", name, u.Name)
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
