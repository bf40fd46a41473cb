package operator

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"strings"
	"sync"

	"github.com/miekg/pkcs11"

	"grep11/pkcs11/ck"
)

// TokenURI names a signature key on a PKCS#11 token (RFC 7512):
//
//	pkcs11:token=LABEL;object=LABEL?module-path=/usr/lib/…/module.so
type TokenURI struct{ Token, Object, Module string }

// IsTokenURI tells a key on a token from a key file.
func IsTokenURI(s string) bool { return strings.HasPrefix(s, "pkcs11:") }

// ParseTokenURI takes the parts of a URI that name a key. A PIN in the URI is refused: it
// would stay in the shell's history.
func ParseTokenURI(s string) (TokenURI, error) {
	var t TokenURI
	rest, ok := strings.CutPrefix(s, "pkcs11:")
	if !ok {
		return t, fmt.Errorf("%q is not a PKCS#11 URI", s)
	}
	path, query, _ := strings.Cut(rest, "?")
	known := map[string]*string{"token": &t.Token, "object": &t.Object, "module-path": &t.Module, "type": new(string)}
	for _, a := range append(strings.Split(path, ";"), strings.Split(query, "&")...) {
		if a == "" {
			continue
		}
		name, value, _ := strings.Cut(a, "=")
		into, ok := known[name]
		if !ok {
			return t, fmt.Errorf("PKCS#11 URI: %q is not understood", name)
		}
		var err error
		if *into, err = url.PathUnescape(value); err != nil {
			return t, fmt.Errorf("PKCS#11 URI: %w", err)
		}
	}
	if t.Token == "" || t.Object == "" || t.Module == "" {
		return t, errors.New("PKCS#11 URI: token, object and module-path are needed")
	}
	return t, nil
}

// module is a loaded PKCS#11 library, shared by the keys on its tokens.
type module struct {
	*pkcs11.Ctx
	path  string
	users int // guarded by modulesMu
}

var (
	modulesMu sync.Mutex
	modules   = map[string]*module{} // guarded by modulesMu
)

func openModule(path string) (*module, error) {
	modulesMu.Lock()
	defer modulesMu.Unlock()
	if m := modules[path]; m != nil {
		m.users++
		return m, nil
	}
	m := &module{pkcs11.New(path), path, 1}
	if m.Ctx == nil {
		return nil, fmt.Errorf("PKCS#11 module %s cannot be loaded", path)
	}
	if err := m.Initialize(); err != nil {
		m.Destroy()
		return nil, fmt.Errorf("PKCS#11 module %s: %w", path, err)
	}
	modules[path] = m
	return m, nil
}

// close ends the module with its last user.
func (m *module) close() error {
	modulesMu.Lock()
	defer modulesMu.Unlock()
	if m.users--; m.users > 0 {
		return nil
	}
	delete(modules, m.path)
	err := m.Finalize()
	m.Destroy()
	return err
}

// tokenKey is a private key on a token with a session of its own.
type tokenKey struct {
	p       *module
	session pkcs11.SessionHandle
	key     pkcs11.ObjectHandle
	public  crypto.PublicKey
}

// OpenToken logs in to a token and finds a signature key and its certificate there; without a certificate
// one is made, signed by the key.
func OpenToken(uri TokenURI, pin ck.Secret) (*Key, error) {
	m, err := openModule(uri.Module)
	if err != nil {
		return nil, err
	}
	k := &tokenKey{p: m}
	cert, err := k.open(uri, pin)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("token %q, key %q: %w", uri.Token, uri.Object, err), k.close())
	}
	return &Key{Name: uri.Object, Cert: cert, signer: k, close: k.close}, nil
}

func isCode(err error, code uint) bool {
	var e pkcs11.Error
	return errors.As(err, &e) && uint(e) == code
}

func (k *tokenKey) open(uri TokenURI, pin ck.Secret) ([]byte, error) {
	slot, err := k.slot(uri.Token)
	if err != nil {
		return nil, err
	}
	if k.session, err = k.p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION); err != nil {
		return nil, err
	}
	if err := k.p.Login(k.session, pkcs11.CKU_USER, string(pin)); err != nil && !isCode(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN) {
		if isCode(err, pkcs11.CKR_PIN_INCORRECT) {
			return nil, ErrPassword
		}
		return nil, err
	}
	if k.key, err = k.find(pkcs11.CKO_PRIVATE_KEY, uri.Object); err != nil {
		return nil, err
	}
	public, err := k.find(pkcs11.CKO_PUBLIC_KEY, uri.Object)
	if err != nil {
		return nil, err
	}
	if k.public, err = k.readPublic(public); err != nil {
		return nil, err
	}
	return k.certificate(uri.Object)
}

func (k *tokenKey) slot(label string) (uint, error) {
	slots, err := k.p.GetSlotList(true)
	if err != nil {
		return 0, err
	}
	for _, s := range slots {
		if info, err := k.p.GetTokenInfo(s); err == nil && strings.TrimRight(info.Label, " \x00") == label {
			return s, nil
		}
	}
	return 0, errors.New("no such token is present")
}

func (k *tokenKey) find(class uint, label string) (pkcs11.ObjectHandle, error) {
	t := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class), pkcs11.NewAttribute(pkcs11.CKA_LABEL, label)}
	if err := k.p.FindObjectsInit(k.session, t); err != nil {
		return 0, err
	}
	found, _, err := k.p.FindObjects(k.session, 2)
	if err := errors.Join(err, k.p.FindObjectsFinal(k.session)); err != nil {
		return 0, err
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("%d objects of class %d have this label, one is needed", len(found), class)
	}
	return found[0], nil
}

func (k *tokenKey) attribute(o pkcs11.ObjectHandle, which uint) ([]byte, error) {
	a, err := k.p.GetAttributeValue(k.session, o, []*pkcs11.Attribute{pkcs11.NewAttribute(which, nil)})
	if err != nil {
		return nil, err
	}
	return a[0].Value, nil
}

// tokenCurves are by the DER of their identifiers, as CKA_EC_PARAMS has them.
var tokenCurves = map[string]elliptic.Curve{
	string(oid(1, 2, 840, 10045, 3, 1, 7)): elliptic.P256(),
	string(oid(1, 3, 132, 0, 34)):          elliptic.P384(),
	string(oid(1, 3, 132, 0, 35)):          elliptic.P521(),
}

func oid(arcs ...int) []byte {
	der, err := asn1.Marshal(asn1.ObjectIdentifier(arcs))
	if err != nil {
		panic("operator: object identifier: " + err.Error())
	}
	return der
}

func (k *tokenKey) readPublic(o pkcs11.ObjectHandle) (crypto.PublicKey, error) {
	modulus, err := k.attribute(o, pkcs11.CKA_MODULUS)
	if err == nil && len(modulus) > 0 {
		e, err := k.attribute(o, pkcs11.CKA_PUBLIC_EXPONENT)
		exponent := new(big.Int).SetBytes(e)
		if err != nil || !exponent.IsInt64() || exponent.Int64() > 1<<31-1 {
			return nil, fmt.Errorf("RSA public exponent of %d bits: %w", exponent.BitLen(), ck.CKR_KEY_TYPE_INCONSISTENT)
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(exponent.Int64())}, nil
	}
	params, err := k.attribute(o, pkcs11.CKA_EC_PARAMS)
	if err != nil {
		return nil, err
	}
	wrapped, err := k.attribute(o, pkcs11.CKA_EC_POINT)
	if err != nil {
		return nil, err
	}
	var point []byte
	if _, err := asn1.Unmarshal(wrapped, &point); err != nil {
		point = wrapped // some tokens give the bare point
	}
	if curve, ok := tokenCurves[string(params)]; ok {
		return ecdsa.ParseUncompressedPublicKey(curve, point)
	}
	if len(point) == ed25519.PublicKeySize {
		return ed25519.PublicKey(point), nil
	}
	return nil, fmt.Errorf("curve %x cannot sign commands", params)
}

// certificate is the one with the key's label, or a new one.
func (k *tokenKey) certificate(label string) ([]byte, error) {
	if o, err := k.find(pkcs11.CKO_CERTIFICATE, label); err == nil {
		return k.attribute(o, pkcs11.CKA_VALUE)
	}
	return certificate(label, k)
}

// Public is part of crypto.Signer.
func (k *tokenKey) Public() crypto.PublicKey { return k.public }

// digestInfo precedes a SHA-256 digest in a PKCS#1 signature (RFC 8017 §9.2).
var digestInfo = []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}

// Sign implements crypto.Signer for what commands and certificates need.
func (k *tokenKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	switch pub := k.public.(type) {
	case *rsa.PublicKey:
		if opts.HashFunc() != crypto.SHA256 {
			return nil, fmt.Errorf("RSA keys on tokens sign with SHA-256 only")
		}
		return k.raw(pkcs11.CKM_RSA_PKCS, append(append([]byte(nil), digestInfo...), digest...))
	case ed25519.PublicKey:
		return k.raw(uint(ck.CKM_EDDSA), digest)
	case *ecdsa.PublicKey:
		if n := (pub.Curve.Params().BitSize + 7) / 8; len(digest) > n {
			digest = digest[:n]
		}
		s, err := k.raw(pkcs11.CKM_ECDSA, digest)
		if err != nil {
			return nil, err
		}
		half := len(s) / 2
		return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(s[:half]), new(big.Int).SetBytes(s[half:])})
	}
	return nil, ck.CKR_KEY_TYPE_INCONSISTENT
}

func (k *tokenKey) raw(mechanism uint, data []byte) ([]byte, error) {
	if err := k.p.SignInit(k.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, k.key); err != nil {
		return nil, err
	}
	return k.p.Sign(k.session, data)
}

func (k *tokenKey) close() error {
	var err error
	if k.session != 0 {
		err = k.p.CloseSession(k.session)
	}
	return errors.Join(err, k.p.close())
}
