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
type Key struct {
	held
	size int // bytes of a signature at most, of an RSA block
}

// held is what a key has of C's, and gives back when it is garbage.
type held struct {
	p     *C.EVP_PKEY
	ready chan *C.EVP_PKEY_CTX // contexts that no call uses; a key has one use
}

// maxReady is how many contexts a key keeps, for as many calls at a time.
const maxReady = 8

func newKey(p *C.EVP_PKEY) (*Key, error) {
	if p == nil {
		return nil, ErrFailed
	}
	k := &Key{held{p, make(chan *C.EVP_PKEY_CTX, maxReady)}, int(C.EVP_PKEY_get_size(p))}
	runtime.AddCleanup(k, held.free, k.held)
	return k, nil
}

func (h held) free() {
	close(h.ready)
	for c := range h.ready {
		C.EVP_PKEY_CTX_free(c)
	}
	C.EVP_PKEY_free(h.p)
}

// with runs one operation in a context that is ready, making one where none is.
func (k *Key) with(begin func(*C.EVP_PKEY) *C.EVP_PKEY_CTX, run func(*C.EVP_PKEY_CTX) C.int) error {
	defer runtime.KeepAlive(k)
	var c *C.EVP_PKEY_CTX
	select {
	case c = <-k.ready:
	default:
		if c = begin(k.p); c == nil {
			return ErrFailed
		}
	}
	if run(c) != 1 {
		C.EVP_PKEY_CTX_free(c)
		return ErrFailed
	}
	select {
	case k.ready <- c:
	default:
		C.EVP_PKEY_CTX_free(c)
	}
	return nil
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
func (k *Key) RSAPrivate(in []byte) ([]byte, error) {
	if len(in) == 0 || len(in) < k.size {
		return nil, ErrFailed
	}
	out := make([]byte, len(in))
	n := C.size_t(len(out))
	err := k.with(func(p *C.EVP_PKEY) *C.EVP_PKEY_CTX { return C.lc_ready_for_rsa(p) },
		func(c *C.EVP_PKEY_CTX) C.int { return C.lc_rsa_private(c, ptr(in), n, ptr(out), &n) })
	return out[:n], err
}

// RSAPublic is the bare RSA function with the public key.
func (k *Key) RSAPublic(in []byte) ([]byte, error) {
	defer runtime.KeepAlive(k)
	out := make([]byte, len(in))
	n := C.size_t(len(out))
	if len(in) == 0 || len(in) < k.size || C.lc_rsa_public(k.p, ptr(in), n, ptr(out), &n) != 1 {
		return nil, ErrFailed
	}
	return out[:n], nil
}

// Sign signs a digest and gives the DER of r and s. It is for keys that do not
// decrypt: EC and DSA.
func (k *Key) Sign(digest []byte) ([]byte, error) {
	if k.size <= 0 {
		return nil, ErrFailed
	}
	sig := make([]byte, k.size)
	n := C.size_t(len(sig))
	err := k.with(func(p *C.EVP_PKEY) *C.EVP_PKEY_CTX { return C.lc_ready_to_sign(p) },
		func(c *C.EVP_PKEY_CTX) C.int {
			return C.lc_sign(c, ptr(digest), C.size_t(len(digest)), ptr(sig), &n)
		})
	return sig[:n], err
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
