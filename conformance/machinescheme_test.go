package conformance

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"

	"grep11/pkcs11/ck"
)

// scheme is what a mechanism does, in Go's words.
type scheme struct {
	mech  ck.MechanismType
	param func(*arena) (uintptr, uintptr)
	keys  []*mkind
	// run makes what the module has to make of data; rv says why it cannot. nil
	// without a code: nobody can foretell it.
	run func(key *mobject, data []byte) (out []byte, rv ck.RV)
	// back makes of random bytes something that run can take: a ciphertext, a signature.
	back func(key *mobject, data []byte) []byte
	// good tells whether a signature that run cannot foretell is right.
	good func(data, sig []byte) bool
}

var iv = []byte("initialization v")

func withIV(a *arena) (uintptr, uintptr) { return a.bytes(iv), 16 }

// gcmParams is CK_GCM_PARAMS, in its longer form.
func gcmParams(a *arena) (uintptr, uintptr) {
	return a.words(a.bytes(iv[:12]), 12, 96, a.bytes([]byte("aad")), 3, 128), 48
}

func digestOf(f func([]byte) []byte) func(*mobject, []byte) ([]byte, ck.RV) {
	return func(_ *mobject, data []byte) ([]byte, ck.RV) { return f(data), 0 }
}

var digests = []*scheme{
	{mech: ck.CKM_SHA256, run: digestOf(func(b []byte) []byte { d := sha256.Sum256(b); return d[:] })},
	{mech: ck.CKM_SHA512, run: digestOf(func(b []byte) []byte { d := sha512.Sum512(b); return d[:] })},
	{mech: ck.CKM_SHA_1, run: digestOf(func(b []byte) []byte { d := sha1.Sum(b); return d[:] })},
}

func mac(key *mobject, data []byte) []byte {
	h := hmac.New(sha256.New, key.value)
	h.Write(data)
	return h.Sum(nil)
}

func blockOf(key *mobject) cipher.Block {
	block, err := aes.NewCipher(key.value)
	if err != nil {
		panic(err)
	}
	return block
}

func aead(key *mobject) cipher.AEAD {
	g, err := cipher.NewGCM(blockOf(key))
	if err != nil {
		panic(err)
	}
	return g
}

func padded(data []byte) []byte {
	n := 16 - len(data)%16
	return append(bytes.Clone(data), bytes.Repeat([]byte{byte(n)}, n)...)
}

func cbc(key *mobject, data []byte, mode func(cipher.Block, []byte) cipher.BlockMode) []byte {
	out := make([]byte, len(data))
	mode(blockOf(key), iv).CryptBlocks(out, data)
	return out
}

func encryptCBC(key *mobject, data []byte) ([]byte, ck.RV) {
	if len(data)%16 != 0 {
		return nil, ck.CKR_DATA_LEN_RANGE
	}
	return cbc(key, data, cipher.NewCBCEncrypter), 0
}

func decryptCBC(key *mobject, data []byte) ([]byte, ck.RV) {
	if len(data)%16 != 0 {
		return nil, ck.CKR_ENCRYPTED_DATA_LEN_RANGE
	}
	return cbc(key, data, cipher.NewCBCDecrypter), 0
}

func encryptPadded(key *mobject, data []byte) ([]byte, ck.RV) { return encryptCBC(key, padded(data)) }

func decryptPadded(key *mobject, data []byte) ([]byte, ck.RV) {
	plain, rv := decryptCBC(key, data)
	if rv != 0 || len(plain) == 0 {
		return nil, ck.CKR_ENCRYPTED_DATA_LEN_RANGE
	}
	n := int(plain[len(plain)-1])
	if n == 0 || n > 16 || !bytes.Equal(padded(plain[:len(plain)-n]), plain) {
		return nil, ck.CKR_ENCRYPTED_DATA_INVALID
	}
	return plain[:len(plain)-n], 0
}

func encryptGCM(key *mobject, data []byte) ([]byte, ck.RV) {
	return aead(key).Seal(nil, iv[:12], data, []byte("aad")), 0
}

func decryptGCM(key *mobject, data []byte) ([]byte, ck.RV) {
	if len(data) < 16 {
		return nil, ck.CKR_ENCRYPTED_DATA_LEN_RANGE
	}
	plain, err := aead(key).Open(nil, iv[:12], data, []byte("aad"))
	if err != nil {
		return nil, ck.CKR_ENCRYPTED_DATA_INVALID
	}
	return plain, 0
}

// made is the second half of a run that cannot fail.
func made(run func(*mobject, []byte) ([]byte, ck.RV)) func(*mobject, []byte) []byte {
	return func(key *mobject, data []byte) []byte { out, _ := run(key, data[:len(data)/16*16]); return out }
}

// An AES key may make a MAC of hashes, too.
var aesKeys, macKeys = []*mkind{&aesKind}, []*mkind{&macKind, &aesKind}

var encryptions = []*scheme{
	{mech: ck.CKM_AES_CBC, param: withIV, keys: aesKeys, run: encryptCBC},
	{mech: ck.CKM_AES_CBC_PAD, param: withIV, keys: aesKeys, run: encryptPadded},
	{mech: ck.CKM_AES_GCM, param: gcmParams, keys: aesKeys, run: encryptGCM},
}

var decryptions = []*scheme{
	{mech: ck.CKM_AES_CBC, param: withIV, keys: aesKeys, run: decryptCBC, back: made(encryptCBC)},
	{mech: ck.CKM_AES_CBC_PAD, param: withIV, keys: aesKeys, run: decryptPadded, back: made(encryptPadded)},
	{mech: ck.CKM_AES_GCM, param: gcmParams, keys: aesKeys, run: decryptGCM, back: made(encryptGCM)},
}

var signatures = []*scheme{
	{mech: ck.CKM_SHA256_HMAC, keys: macKeys, run: func(key *mobject, data []byte) ([]byte, ck.RV) { return mac(key, data), 0 }},
	{mech: ck.CKM_ECDSA_SHA256, keys: []*mkind{&ecPrivate}, good: goodECDSA,
		run: func(*mobject, []byte) ([]byte, ck.RV) { return nil, 0 }},
	{mech: ck.CKM_SHA256_RSA_PKCS, keys: []*mkind{&rsaPrivate}, run: func(_ *mobject, data []byte) ([]byte, ck.RV) {
		return signRSA(crypto.SHA256, data)
	}},
}

func goodECDSA(data, sig []byte) bool {
	d := sha256.Sum256(data)
	return len(sig) == 64 && ecdsa.Verify(&ecKey.PublicKey, d[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
}

// signRSA signs a digest of data, or with no hash data itself.
func signRSA(hash crypto.Hash, data []byte) ([]byte, ck.RV) {
	if hash != 0 {
		d := sha256.Sum256(data)
		data = d[:]
	}
	if len(data) > 256-11 {
		return nil, ck.CKR_DATA_LEN_RANGE
	}
	sig, err := rsa.SignPKCS1v15(nil, rsaKey, hash, data)
	if err != nil {
		panic(err)
	}
	return sig, 0
}

// Verifications have signatures to make: back.
var verifications = []*scheme{
	{mech: ck.CKM_SHA256_HMAC, keys: macKeys, back: mac},
	{mech: ck.CKM_ECDSA_SHA256, keys: []*mkind{&ecPublic}, back: func(_ *mobject, data []byte) []byte {
		d := sha256.Sum256(data)
		r, s, err := ecdsa.Sign(rand.Reader, ecKey, d[:])
		if err != nil {
			panic(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}},
	{mech: ck.CKM_SHA256_RSA_PKCS, keys: []*mkind{&rsaPublic}, back: func(_ *mobject, data []byte) []byte {
		sig, _ := signRSA(crypto.SHA256, data)
		return sig
	}},
}

var recoverSigns = []*scheme{{mech: ck.CKM_RSA_PKCS, keys: []*mkind{&rsaPrivate}, run: func(_ *mobject, data []byte) ([]byte, ck.RV) {
	return signRSA(0, data)
}}}

var recoveries = []*scheme{{
	mech: ck.CKM_RSA_PKCS, keys: []*mkind{&rsaPublic},
	back: func(_ *mobject, data []byte) []byte { sig, _ := signRSA(0, data); return sig },
	run: func(_ *mobject, sig []byte) ([]byte, ck.RV) {
		if len(sig) != 256 {
			return nil, ck.CKR_SIGNATURE_LEN_RANGE
		}
		m := new(big.Int).Exp(new(big.Int).SetBytes(sig), big.NewInt(int64(rsaKey.E)), rsaKey.N).FillBytes(make([]byte, 256))
		if end := bytes.IndexByte(m[2:], 0); m[0] == 0 && m[1] == 1 && end >= 8 && bytes.Count(m[2:2+end], []byte{0xff}) == end {
			return m[2+end+1:], 0
		}
		return nil, ck.CKR_SIGNATURE_INVALID
	},
}}
