package soft

import (
	"crypto"
	"crypto/pbkdf2"
	"crypto/sha1"
	"fmt"
	"hash"
	"unicode/utf16"
	"unicode/utf8"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() {
	provide(engine{generate: generatePBE}, ck.CKM_PBE_SHA1_DES3_EDE_CBC)
	provide(engine{generate: generatePBKDF2}, ck.CKM_PKCS5_PBKD2)
}

// Bounds of grep11-wire 15.1, and of the work that one request may ask for:
// iterations times blocks.
const (
	maxPassword   = 1024
	maxSalt       = 256
	maxPBE        = 65536
	maxIterations = 4_000_000
)

func badPassword(format string, a ...any) error {
	return fmt.Errorf("password: %s: %w", fmt.Sprintf(format, a...), ck.CKR_MECHANISM_PARAM_INVALID)
}

func generatePBE(m mech.Mechanism, r *request) (*key, error) {
	p, err := mech.As[*mech.PBE](m)
	if err != nil {
		return nil, err
	}
	if err := r.want(ck.CKK_DES3); err != nil {
		return nil, err
	}
	if len(p.Password) > maxPassword || len(p.Salt) == 0 || len(p.Salt) > maxSalt || p.Iterations < 1 || p.Iterations > maxPBE {
		return nil, badPassword("%d bytes, a salt of %d, %d iterations", len(p.Password), len(p.Salt), p.Iterations)
	}
	text, err := bmpString(p.Password)
	if err != nil {
		return nil, err
	}
	defer text.Wipe()
	k := &key{typ: ck.CKK_DES3, value: pkcs12KDF(text, p.Salt, int(p.Iterations), pkcs12Key, 24)}
	oddParity(k.value)
	return k, nil
}

// bmpString is the password as PKCS #12 takes it (RFC 7292 B.1): UTF-16 with a
// zero at its end.
func bmpString(password ck.Secret) (ck.Secret, error) {
	if !utf8.Valid(password) {
		return nil, badPassword("not UTF-8")
	}
	out := make(ck.Secret, 0, 2*len(password)+2)
	for rest := password; len(rest) > 0; {
		c, n := utf8.DecodeRune(rest)
		rest = rest[n:]
		if c > 0xffff {
			hi, lo := utf16.EncodeRune(c)
			out = append(out, byte(hi>>8), byte(hi), byte(lo>>8), byte(lo))
			continue
		}
		out = append(out, byte(c>>8), byte(c))
	}
	return append(out, 0, 0), nil
}

const pkcs12Key = 1 // what is derived: an encryption key

// pkcs12KDF is RFC 7292 B.2 with SHA-1.
func pkcs12KDF(password, salt []byte, iterations int, id byte, n int) ck.Secret {
	const v = sha1.BlockSize
	d := make([]byte, v)
	for i := range d {
		d[i] = id
	}
	in := append(repeated(salt, v), repeated(password, v)...)
	var out ck.Secret
	for {
		a := sha1.Sum(append(append([]byte(nil), d...), in...))
		for range iterations - 1 {
			a = sha1.Sum(a[:])
		}
		if out = append(out, a[:]...); len(out) >= n {
			clear(in)
			return out[:n]
		}
		b := repeated(a[:], v)[:v]
		for i := 0; i < len(in); i += v {
			addOne(in[i:i+v], b)
		}
	}
}

// repeated fills whole blocks of v bytes with copies of b.
func repeated(b []byte, v int) []byte {
	n := (len(b) + v - 1) / v * v
	out := make([]byte, 0, n+len(b))
	for len(out) < n && len(b) > 0 {
		out = append(out, b...)
	}
	return out[:n]
}

// addOne sets x to x + b + 1, modulo 2^(8v).
func addOne(x, b []byte) {
	carry := 1
	for i := len(x) - 1; i >= 0; i-- {
		carry += int(x[i]) + int(b[i])
		x[i] = byte(carry)
		carry >>= 8
	}
}

var pbkdf2PRFs = map[uint64]crypto.Hash{
	ck.CKP_PKCS5_PBKD2_HMAC_SHA1: crypto.SHA1, ck.CKP_PKCS5_PBKD2_HMAC_SHA224: crypto.SHA224, ck.CKP_PKCS5_PBKD2_HMAC_SHA256: crypto.SHA256,
	ck.CKP_PKCS5_PBKD2_HMAC_SHA384: crypto.SHA384, ck.CKP_PKCS5_PBKD2_HMAC_SHA512: crypto.SHA512,
	ck.CKP_PKCS5_PBKD2_HMAC_SHA512_224: crypto.SHA512_224, ck.CKP_PKCS5_PBKD2_HMAC_SHA512_256: crypto.SHA512_256,
}

// generatePBKDF2 is RFC 8018 5.2.
func generatePBKDF2(m mech.Mechanism, r *request) (*key, error) {
	p, err := mech.As[*mech.PBKDF2](m)
	if err != nil {
		return nil, err
	}
	h, ok := pbkdf2PRFs[p.PRF]
	if !ok || len(p.Password) > maxPassword || len(p.Salt) > maxSalt {
		return nil, badPassword("PRF %d, %d bytes, a salt of %d", p.PRF, len(p.Password), len(p.Salt))
	}
	n, err := r.secretLen(0)
	if err != nil {
		return nil, err
	}
	if blocks := uint64((n + h.Size() - 1) / h.Size()); p.Iterations < 1 || p.Iterations > maxIterations/blocks {
		return nil, badPassword("%d iterations for %d bytes", p.Iterations, n)
	}
	out, err := pbkdf2.Key(func() hash.Hash { return h.New() }, string(p.Password), p.Salt, int(p.Iterations), n)
	if err != nil {
		return nil, fmt.Errorf("PBKDF2: %v: %w", err, ck.CKR_FUNCTION_FAILED)
	}
	k := &key{typ: r.typ, value: out}
	if k.typ == ck.CKK_DES2 || k.typ == ck.CKK_DES3 {
		oddParity(k.value)
	}
	return k, nil
}
