// Package pqsign reaches what FIPS 204 and 205 call Sign_internal and
// Verify_internal (FIPS 204 algorithms 7 and 8, FIPS 205 algorithms 19 and 20)
// in cloudflare/circl. The pure and the pre-hashed forms of both standards are
// these functions on a message with another beginning; the library exports only
// some of the forms, none of which signs a digest that the caller has made.
// The tests hold them against the exported forms and against NIST's vectors.
package pqsign

import (
	"fmt"
	_ "unsafe" // for linkname

	"github.com/cloudflare/circl/sign"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
	"github.com/cloudflare/circl/sign/slhdsa"
)

// LenRandom is the length of ML-DSA's rnd, which is zero for deterministic
// signatures.
const LenRandom = 32

//go:linkname sign44 github.com/cloudflare/circl/sign/mldsa/mldsa44.(*PrivateKey).unsafeSignInternal
func sign44(sk *mldsa44.PrivateKey, msg []byte, rnd [LenRandom]byte) []byte

//go:linkname sign65 github.com/cloudflare/circl/sign/mldsa/mldsa65.(*PrivateKey).unsafeSignInternal
func sign65(sk *mldsa65.PrivateKey, msg []byte, rnd [LenRandom]byte) []byte

//go:linkname sign87 github.com/cloudflare/circl/sign/mldsa/mldsa87.(*PrivateKey).unsafeSignInternal
func sign87(sk *mldsa87.PrivateKey, msg []byte, rnd [LenRandom]byte) []byte

//go:linkname verify44 github.com/cloudflare/circl/sign/mldsa/mldsa44.unsafeVerifyInternal
func verify44(pk *mldsa44.PublicKey, msg, sig []byte) bool

//go:linkname verify65 github.com/cloudflare/circl/sign/mldsa/mldsa65.unsafeVerifyInternal
func verify65(pk *mldsa65.PublicKey, msg, sig []byte) bool

//go:linkname verify87 github.com/cloudflare/circl/sign/mldsa/mldsa87.unsafeVerifyInternal
func verify87(pk *mldsa87.PublicKey, msg, sig []byte) bool

//go:linkname signSLH github.com/cloudflare/circl/sign/slhdsa.slhSignInternal
func signSLH(sk *slhdsa.PrivateKey, msg, random []byte) ([]byte, error)

//go:linkname verifySLH github.com/cloudflare/circl/sign/slhdsa.slhVerifyInternal
func verifySLH(pk *slhdsa.PublicKey, msg, sig []byte) bool

// SignML is ML-DSA.Sign_internal.
func SignML(sk sign.PrivateKey, msg []byte, rnd [LenRandom]byte) ([]byte, error) {
	switch sk := sk.(type) {
	case *mldsa44.PrivateKey:
		return sign44(sk, msg, rnd), nil
	case *mldsa65.PrivateKey:
		return sign65(sk, msg, rnd), nil
	case *mldsa87.PrivateKey:
		return sign87(sk, msg, rnd), nil
	}
	return nil, fmt.Errorf("pqsign: %T is no key of ML-DSA", sk)
}

// VerifyML is ML-DSA.Verify_internal; the signature must have the right length.
func VerifyML(pk sign.PublicKey, msg, sig []byte) bool {
	switch pk := pk.(type) {
	case *mldsa44.PublicKey:
		return len(sig) == mldsa44.SignatureSize && verify44(pk, msg, sig)
	case *mldsa65.PublicKey:
		return len(sig) == mldsa65.SignatureSize && verify65(pk, msg, sig)
	case *mldsa87.PublicKey:
		return len(sig) == mldsa87.SignatureSize && verify87(pk, msg, sig)
	}
	return false
}

// SignSLH is slh_sign_internal. random is as long as a hash of the parameter
// set; for deterministic signatures it is PK.seed.
func SignSLH(sk *slhdsa.PrivateKey, msg, random []byte) ([]byte, error) {
	return signSLH(sk, msg, random)
}

// VerifySLH is slh_verify_internal.
func VerifySLH(pk *slhdsa.PublicKey, msg, sig []byte) bool { return verifySLH(pk, msg, sig) }
