//go:build cgo && !purego

package libcrypto

// #cgo LDFLAGS: -lcrypto
// #include "glue.h"
// #include <stdlib.h>
import "C"

import (
	"runtime"
	"unsafe"
)

// Available tells whether this build has libcrypto.
const Available = true

// maxOut bounds a signature, an RSA block or a shared secret, in bytes.
const maxOut = 2048

// Key is an asymmetric key, private or public. Its methods may be called by
// many goroutines.
type Key struct{ p *C.EVP_PKEY }

func newKey(p *C.EVP_PKEY) (*Key, error) {
	if p == nil {
		return nil, ErrFailed
	}
	k := &Key{p}
	runtime.AddCleanup(k, func(p *C.EVP_PKEY) { C.EVP_PKEY_free(p) }, p)
	return k, nil
}

func ptr(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.SliceData(b)) }

// Private reads a PKCS#8 PrivateKeyInfo.
func Private(pkcs8 []byte) (*Key, error) { return newKey(C.lc_private(ptr(pkcs8), C.long(len(pkcs8)))) }

// Public reads a SubjectPublicKeyInfo and checks the key: points are on their
// curves, numbers in their ranges.
func Public(spki []byte) (*Key, error) {
	k, err := newKey(C.lc_public(ptr(spki), C.long(len(spki))))
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(k)
	if C.lc_check_public(k.p) != 1 {
		return nil, ErrFailed
	}
	return k, nil
}

// GenerateRSA makes a private key; e is big-endian.
func GenerateRSA(bits int, e []byte) (*Key, error) {
	return newKey(C.lc_generate_rsa(C.int(bits), ptr(e), C.int(len(e))))
}

// GenerateEC makes a private key on a curve of libcrypto's name.
func GenerateEC(curve string) (*Key, error) {
	name := C.CString(curve)
	defer C.free(unsafe.Pointer(name))
	return newKey(C.lc_generate_ec(name))
}

// PKCS8 gives a private key as PrivateKeyInfo.
func (k *Key) PKCS8() ([]byte, error) {
	defer runtime.KeepAlive(k)
	var der *C.uint8_t
	n := C.lc_to_pkcs8(k.p, &der)
	return take(der, n)
}

// SPKI gives the public half.
func (k *Key) SPKI() ([]byte, error) {
	defer runtime.KeepAlive(k)
	var der *C.uint8_t
	n := C.lc_to_spki(k.p, &der)
	return take(der, n)
}

func take(der *C.uint8_t, n C.int) ([]byte, error) {
	if n <= 0 {
		return nil, ErrFailed
	}
	defer C.lc_free(der, n)
	return C.GoBytes(unsafe.Pointer(der), n), nil
}

// RSAPrivate is the bare RSA function with the private key, blinded. in is as
// long as the modulus and smaller; so is the result.
func (k *Key) RSAPrivate(in []byte) ([]byte, error) { return k.rsa(1, in) }

// RSAPublic is the bare RSA function with the public key.
func (k *Key) RSAPublic(in []byte) ([]byte, error) { return k.rsa(0, in) }

func (k *Key) rsa(private C.int, in []byte) ([]byte, error) {
	defer runtime.KeepAlive(k)
	out := make([]byte, len(in))
	n := C.size_t(len(out))
	if len(in) == 0 || len(in) < int(C.EVP_PKEY_get_size(k.p)) || C.lc_rsa(k.p, private, ptr(in), n, ptr(out), &n) != 1 {
		return nil, ErrFailed
	}
	return out[:n], nil
}

// Sign signs a digest and gives the DER of r and s.
func (k *Key) Sign(digest []byte) ([]byte, error) {
	defer runtime.KeepAlive(k)
	sig := make([]byte, int(C.EVP_PKEY_get_size(k.p)))
	n := C.size_t(len(sig))
	if len(sig) == 0 || C.lc_sign(k.p, ptr(digest), C.size_t(len(digest)), ptr(sig), &n) != 1 {
		return nil, ErrFailed
	}
	return sig[:n], nil
}

// Verify tells whether the DER of r and s signs a digest.
func (k *Key) Verify(digest, sig []byte) bool {
	defer runtime.KeepAlive(k)
	return C.lc_verify(k.p, ptr(digest), C.size_t(len(digest)), ptr(sig), C.size_t(len(sig))) == 1
}

// Derive agrees on a secret with the owner of a public key.
func (k *Key) Derive(peer *Key) ([]byte, error) {
	defer runtime.KeepAlive(k)
	defer runtime.KeepAlive(peer)
	out := make([]byte, maxOut)
	n := C.size_t(len(out))
	if C.lc_derive(k.p, peer.p, ptr(out), &n) != 1 {
		return nil, ErrFailed
	}
	return out[:n], nil
}
