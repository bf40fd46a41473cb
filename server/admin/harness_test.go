package admin

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"grep11/pkcs11/ck"
	"grep11/server/admin/command"
)

// rig is a domain with a host in memory.
type rig struct {
	t         *testing.T
	d         *Domain
	saved     []byte
	saveErr   error
	installed Registers
	points    command.ControlPoints
	logPath   string
}

func (r *rig) host() Host {
	return Host{
		Save: func(b []byte) error {
			if r.saveErr == nil {
				r.saved = append([]byte(nil), b...)
			}
			return r.saveErr
		},
		Install: func(g Registers, p command.ControlPoints) { r.installed, r.points = g, p },
		Rewrap: func(_ context.Context, blob []byte) ([]byte, error) {
			if string(blob) == "bad" {
				return nil, ck.CKR_IBM_BLOB_ERROR
			}
			return append([]byte("rewrapped "), blob...), nil
		},
		Log: slog.New(slog.DiscardHandler),
	}
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, logPath: filepath.Join(t.TempDir(), "audit.log")}
	log, err := OpenLog(r.logPath)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.d.log.Close() })
	if r.d, err = Create(r.host(), log, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// reopen is a restart of the unit.
func (r *rig) reopen() error {
	if r.d != nil {
		r.d.log.Close()
	}
	log, err := OpenLog(r.logPath)
	if err != nil {
		return err
	}
	d, err := Open(r.host(), log, r.saved)
	if err == nil {
		r.d = d
	}
	return err
}

// signer is an administrator's key with its certificate.
type signer struct {
	key  crypto.Signer
	cert []byte
}

func (s signer) ski() []byte {
	ski, err := command.SKIOf(s.key.Public())
	if err != nil {
		panic(err)
	}
	return ski[:]
}

// signers are made once for all tests, by kind of key.
var signers = sync.OnceValue(func() map[string][]signer {
	all := map[string][]signer{}
	add := func(kind string, key crypto.Signer, err error) {
		if err != nil {
			panic(err)
		}
		t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "administrator"},
			NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0)} // expired: units have no clock
		cert, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
		if err != nil {
			panic(err)
		}
		all[kind] = append(all[kind], signer{key, cert})
	}
	for range 9 {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		add("P-256", k, err)
	}
	for _, c := range []elliptic.Curve{elliptic.P224(), elliptic.P384(), elliptic.P521()} {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		add(c.Params().Name, k, err)
	}
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	add("RSA", k, err)
	_, e, err := ed25519.GenerateKey(rand.Reader)
	add("Ed25519", e, err)
	return all
})

// person is one of nine with keys on P-256, which are quick.
func person(i int) signer { return signers()["P-256"][i] }

// cmd builds the next command for the rig's domain.
func (r *rig) cmd(fn command.Function, payload []byte) *command.Command {
	s := r.d.s
	next := s.counter
	binary.BigEndian.PutUint64(next[8:], binary.BigEndian.Uint64(next[8:])+1)
	return &command.Command{Function: fn, Domain: s.domain.Bytes(), Module: s.module.Bytes(), Counter: next[:], Payload: payload}
}

func sign(block []byte, by ...signer) []byte {
	var out []byte
	for _, s := range by {
		sig, err := command.Sign(rand.Reader, s.key, block)
		if err != nil {
			panic(err)
		}
		out = append(out, sig...)
	}
	return out
}

// send executes raw bytes, checks the response's own signature, and gives the answer.
func (r *rig) send(block, signatures []byte) ([]byte, error) {
	r.t.Helper()
	device, before, audited := r.d.s.device, r.snapshot(), r.d.s.audit.seq
	response, signature, err := r.d.Execute(context.Background(), block, signatures)
	if err != nil {
		r.t.Fatal(err)
	}
	sigs, err := command.ParseSignatures(signature)
	if err != nil || len(sigs) != 1 || !sigs[0].Verify(&device.PublicKey, response) {
		r.t.Fatalf("response is not signed by the device key: %v", err)
	}
	parsed, err := command.ParseResponse(response)
	if err != nil {
		r.t.Fatal(err)
	}
	err = parsed.Err()
	r.unchanged(before, audited, err)
	return parsed.Payload, err
}

// unchanged checks that a refused command left nothing behind but its record.
func (r *rig) unchanged(before string, audited uint64, err error) {
	r.t.Helper()
	if err == nil {
		return
	}
	if r.snapshot() != before {
		r.t.Fatal("a refused command changed the state")
	}
	if n := r.d.s.audit.seq; n > audited+1 {
		r.t.Fatalf("a refused command left %d records", n-audited)
	}
}

// snapshot is the state without the audit chain.
func (r *rig) snapshot() string {
	s := *r.d.s
	s.audit = chain{}
	b, err := s.marshal()
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// do sends a command signed by some.
func (r *rig) do(fn command.Function, payload []byte, by ...signer) ([]byte, error) {
	r.t.Helper()
	block := r.cmd(fn, payload).Marshal()
	return r.send(block, sign(block, by...))
}

func (r *rig) must(fn command.Function, payload []byte, by ...signer) []byte {
	r.t.Helper()
	out, err := r.do(fn, payload, by...)
	if err != nil {
		r.t.Fatalf("%s: %v", FunctionName(fn), err)
	}
	return out
}

func attrs(pairs ...uint32) []byte {
	a := command.Attributes{}
	for i := 0; i < len(pairs); i += 2 {
		a[command.AttributeIndex(pairs[i])] = pairs[i+1]
	}
	return a.Marshal()
}

const (
	signThr   = uint32(command.XCP_ADMINT_SIGN_THR)
	revokeThr = uint32(command.XCP_ADMINT_REVOKE_THR)
	perms     = uint32(command.XCP_ADMINT_PERMS)
	mode      = uint32(command.XCP_ADMINT_MODE)
	extPerms  = uint32(command.XCP_ADMINT_PERMS_EXT01)
	keyKinds  = uint32(command.XCP_ADMINT_GEN_KTYPES)
)

// inOperation is the state and log of a domain with administrators 0, 1 and 2
// and thresholds 2, made once.
var inOperation struct {
	once       sync.Once
	saved, log []byte
}

// operational has administrators 0, 1 and 2 and thresholds 2.
func operational(t *testing.T) *rig {
	t.Helper()
	inOperation.once.Do(func() {
		r := newRig(t)
		for i := range 3 {
			r.must(command.XCP_ADM_DOM_ADMIN_LOGIN, person(i).cert)
		}
		r.must(command.XCP_ADM_DOM_SET_ATTR, attrs(signThr, 2, revokeThr, 2), person(0), person(1))
		log, err := os.ReadFile(r.logPath)
		if err != nil {
			t.Fatal(err)
		}
		inOperation.saved, inOperation.log = r.saved, log
	})
	r := &rig{t: t, logPath: filepath.Join(t.TempDir(), "audit.log"), saved: inOperation.saved}
	if err := os.WriteFile(r.logPath, inOperation.log, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.reopen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.d.log.Close() })
	return r
}

// another is the same with an identity of its own.
func another(t *testing.T) *rig {
	t.Helper()
	r := operational(t)
	s := r.d.s.clone()
	s.module.Serial[0] ^= 1
	r.d.s = s
	return r
}

// permit adds permissions.
func (r *rig) permit(bits uint32) {
	r.t.Helper()
	r.must(command.XCP_ADM_DOM_SET_ATTR, attrs(perms, r.d.s.attributes[command.XCP_ADMINT_PERMS]|bits), person(0), person(1))
}

// ceremony generates an importer of a type and gives its public key.
func (r *rig) ceremony(kind command.ImporterType) crypto.PublicKey {
	r.t.Helper()
	spki := r.must(command.XCP_ADM_GEN_DOM_IMPORTER, binary.BigEndian.AppendUint32(nil, uint32(kind)), person(0))
	pub, err := command.ParseImporter(spki)
	if err != nil {
		r.t.Fatal(err)
	}
	return pub
}

// partRequest encrypts and signs one part.
func (r *rig) partRequest(importer crypto.PublicKey, part []byte, by ...signer) command.PartRequest {
	r.t.Helper()
	sealed, err := command.EncryptPart(importer, part)
	if err != nil {
		r.t.Fatal(err)
	}
	block := r.cmd(command.XCP_ADM_IMPORT_WK, sealed).Marshal()
	return command.PartRequest{Block: block, Signatures: sign(block, by...)}
}

func randomPart() ck.Secret {
	b := make(ck.Secret, command.LenKey)
	rand.Read(b)
	return b
}

// load imports parts and gives the pattern.
func (r *rig) load(parts ...ck.Secret) []byte {
	r.t.Helper()
	importer := r.ceremony(command.XCP_IMPRKEY_EC_P521)
	var payload []byte
	for _, p := range parts {
		q := r.partRequest(importer, p, person(1))
		payload = append(payload, q.Marshal()...)
	}
	return r.must(command.XCP_ADM_IMPORT_WK, payload)
}

// active gives the domain a current master key.
func (r *rig) active() []byte {
	r.t.Helper()
	vp := r.load(randomPart(), randomPart())
	r.must(command.XCP_ADM_COMMIT_WK, vp, person(0), person(2))
	r.must(command.XCP_ADM_FINALIZE_WK, vp, person(0))
	return vp
}

// reasons that tests saw; the last test compares them with those the sources give.
var (
	reasonsMu   sync.Mutex
	reasonsSeen = map[command.Reason]bool{}
)

func reasonOf(err error) command.Reason {
	var r *command.Refusal
	if !errors.As(err, &r) {
		return 0
	}
	reasonsMu.Lock()
	defer reasonsMu.Unlock()
	reasonsSeen[r.Reason] = true
	return r.Reason
}

func (r *rig) want(err error, reason command.Reason) {
	r.t.Helper()
	if got := reasonOf(err); got != reason || err == nil {
		r.t.Errorf("got %v, want %v", err, reason)
	}
}
