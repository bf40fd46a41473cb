package soft

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"grep11/pkcs11/ck"
)

// Paddings of RFC 8017. Those that take a decrypted block look at all of it in
// constant time and have one error.

var errLong = fmt.Errorf("too long for the key: %w", ck.CKR_DATA_LEN_RANGE)

// errPadding is all that a wrong padding ever says.
var errPadding = fmt.Errorf("it does not decrypt with this key: %w", ck.CKR_ENCRYPTED_DATA_INVALID)

const lenPKCS1 = 11 // bytes that PKCS #1 v1.5 padding needs

// padPKCS1Sign is EMSA-PKCS1-v1_5 (9.2) around a DigestInfo.
func padPKCS1Sign(data []byte, size int) ([]byte, error) {
	if len(data) > size-lenPKCS1 {
		return nil, errLong
	}
	em := bytes.Repeat([]byte{0xff}, size)
	em[0], em[1], em[size-len(data)-1] = 0, 1, 0
	copy(em[size-len(data):], data)
	return em, nil
}

// padPKCS1Encrypt is EME-PKCS1-v1_5 (7.2.1).
func padPKCS1Encrypt(data []byte, size int) ([]byte, error) {
	if len(data) > size-lenPKCS1 {
		return nil, errLong
	}
	em := make([]byte, size)
	em[1] = 2
	filler := em[2 : size-len(data)-1]
	rand.Read(filler)
	for i := range filler {
		for filler[i] == 0 {
			rand.Read(filler[i : i+1])
		}
	}
	copy(em[size-len(data):], data)
	return em, nil
}

// unpadPKCS1 finds the message of a decrypted block. ok is 1 or 0; start is
// where the message begins, or 0. Time does not depend on em.
func unpadPKCS1(em []byte) (ok, start int) {
	ok = subtle.ConstantTimeByteEq(em[0], 0) & subtle.ConstantTimeByteEq(em[1], 2)
	looking := 1
	for i := 2; i < len(em); i++ {
		zero := subtle.ConstantTimeByteEq(em[i], 0)
		start = subtle.ConstantTimeSelect(looking&zero, i+1, start)
		looking &= 1 - zero
	}
	ok &= 1 - looking
	ok &= subtle.ConstantTimeLessOrEq(lenPKCS1, start) // at least 8 bytes of filler
	return ok, subtle.ConstantTimeSelect(ok, start, 0)
}

func mgf1(out []byte, h crypto.Hash, seed []byte) {
	d := h.New()
	var sum []byte
	for n := uint32(0); len(out) > 0; n++ {
		d.Reset()
		d.Write(seed)
		d.Write(binary.BigEndian.AppendUint32(nil, n))
		sum = d.Sum(sum[:0])
		out = out[subtle.XORBytes(out, out, sum):]
	}
}

// padOAEP is EME-OAEP (7.1.1).
func padOAEP(data, label []byte, h, mgf crypto.Hash, size int) ([]byte, error) {
	if len(data) > size-2*h.Size()-2 {
		return nil, errLong
	}
	em := make([]byte, size)
	seed, db := em[1:1+h.Size()], em[1+h.Size():]
	rand.Read(seed)
	copy(db, hashOf(h, label))
	db[len(db)-len(data)-1] = 1
	copy(db[len(db)-len(data):], data)
	mgf1(db, mgf, seed)
	mgf1(seed, mgf, db)
	return em, nil
}

// unpadOAEP is EME-OAEP decoding (7.1.2 step 3); em is overwritten.
func unpadOAEP(em, label []byte, h, mgf crypto.Hash) ([]byte, error) {
	if len(em) < 2*h.Size()+2 {
		return nil, errPadding
	}
	seed, db := em[1:1+h.Size()], em[1+h.Size():]
	mgf1(seed, mgf, db)
	mgf1(db, mgf, seed)
	ok := subtle.ConstantTimeByteEq(em[0], 0) & subtle.ConstantTimeCompare(db[:h.Size()], hashOf(h, label))
	looking, start := 1, 0
	for i := h.Size(); i < len(db); i++ {
		one := subtle.ConstantTimeByteEq(db[i], 1)
		zero := subtle.ConstantTimeByteEq(db[i], 0)
		start = subtle.ConstantTimeSelect(looking&one, i+1, start)
		ok &= 1 - looking&(1-one)&(1-zero)
		looking &= 1 - one
	}
	if ok&(1-looking) != 1 {
		return nil, errPadding
	}
	return bytes.Clone(db[start:]), nil
}

func hashOf(h crypto.Hash, data []byte) []byte {
	d := h.New()
	d.Write(data)
	return d.Sum(nil)
}

// padPSS is EMSA-PSS (9.1.1) for a modulus of bits bits.
func padPSS(digest []byte, h, mgf crypto.Hash, lenSalt, bits int) ([]byte, error) {
	emBits := bits - 1
	em := make([]byte, (emBits+7)/8)
	if len(em) < h.Size()+lenSalt+2 {
		return nil, errLong
	}
	salt := make([]byte, lenSalt)
	rand.Read(salt)
	db, sum := em[:len(em)-h.Size()-1], em[len(em)-h.Size()-1:len(em)-1]
	copy(sum, pssHash(h, digest, salt))
	db[len(db)-lenSalt-1] = 1
	copy(db[len(db)-lenSalt:], salt)
	mgf1(db, mgf, sum)
	em[0] &= 0xff >> (8*len(em) - emBits)
	em[len(em)-1] = 0xbc
	return em, nil
}

// checkPSS is EMSA-PSS-VERIFY (9.1.2) with a salt of known length; em is
// overwritten.
func checkPSS(em, digest []byte, h, mgf crypto.Hash, lenSalt, bits int) bool {
	emBits := bits - 1
	lead := len(em) - (emBits+7)/8 // a whole byte of the block when emBits is a multiple of 8
	for _, b := range em[:lead] {
		if b != 0 {
			return false
		}
	}
	em = em[lead:]
	unused := 8*len(em) - emBits
	if len(em) < h.Size()+lenSalt+2 || em[len(em)-1] != 0xbc || em[0]>>(8-unused) != 0 {
		return false
	}
	db, sum := em[:len(em)-h.Size()-1], em[len(em)-h.Size()-1:len(em)-1]
	mgf1(db, mgf, sum)
	db[0] &= 0xff >> unused
	lenZeros := len(db) - lenSalt - 1
	for _, b := range db[:lenZeros] {
		if b != 0 {
			return false
		}
	}
	return db[lenZeros] == 1 && bytes.Equal(sum, pssHash(h, digest, db[lenZeros+1:]))
}

func pssHash(h crypto.Hash, digest, salt []byte) []byte {
	d := h.New()
	d.Write(make([]byte, 8))
	d.Write(digest)
	d.Write(salt)
	return d.Sum(nil)
}
