package soft

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() {
	provide(engine{hash: rowHMAC, sign: cutMAC, verify: verifyCut},
		ck.CKM_SHA_1_HMAC_GENERAL, ck.CKM_SHA224_HMAC_GENERAL, ck.CKM_SHA256_HMAC_GENERAL, ck.CKM_SHA384_HMAC_GENERAL, ck.CKM_SHA512_HMAC_GENERAL,
		ck.CKM_SHA512_224_HMAC_GENERAL, ck.CKM_SHA512_256_HMAC_GENERAL,
		ck.CKM_SHA3_224_HMAC_GENERAL, ck.CKM_SHA3_256_HMAC_GENERAL, ck.CKM_SHA3_384_HMAC_GENERAL, ck.CKM_SHA3_512_HMAC_GENERAL)
	provide(engine{hash: keyCMAC, sign: cutMAC, verify: verifyCut}, ck.CKM_AES_CMAC_GENERAL, ck.CKM_DES3_CMAC_GENERAL)
	provide(engine{hash: keyGMAC, sign: asIs, verify: verifyMAC}, ck.CKM_AES_GMAC)
}

// cutMAC gives the MAC's first bytes, as many as the parameter says.
func cutMAC(_ *key, m mech.Mechanism, mac []byte) ([]byte, error) {
	p, err := mech.As[*mech.MACLen](m)
	if err != nil {
		return nil, err
	}
	return mac[:p.Bytes], nil
}

func verifyCut(k *key, m mech.Mechanism, mac, given []byte) error {
	mac, err := cutMAC(k, m, mac)
	if err != nil {
		return err
	}
	return verifyMAC(k, m, mac, given)
}

// gmac is GCM's tag of a message that is authenticated alone (SP 800-38D 3).
type gmac struct {
	hash   ghash
	mask   [aes.BlockSize]byte
	length uint64
	lenTag int
}

func keyGMAC(k *key, m mech.Mechanism) (running, error) {
	p, err := mech.As[*mech.GCM](m)
	if err != nil {
		return nil, err
	}
	block, err := blockCipher(k)
	if err != nil {
		return nil, err
	}
	var h [aes.BlockSize]byte
	block.Encrypt(h[:], h[:])
	g := &gmac{hash: newGHASH(h), mask: firstCounter(h, p.IV), lenTag: m.TagLen()}
	block.Encrypt(g.mask[:], g.mask[:])
	return g, nil
}

func (g *gmac) Write(p []byte) (int, error) {
	g.hash.write(p)
	g.length += uint64(len(p))
	return len(p), nil
}

// Sum ends the MAC; it is called once.
func (g *gmac) Sum(b []byte) []byte {
	sum := g.hash.sum(g.length, 0)
	subtle.XORBytes(sum[:], sum[:], g.mask[:])
	return append(b, sum[:g.lenTag]...)
}

func (g *gmac) MarshalBinary() ([]byte, error) {
	return g.hash.save(binary.BigEndian.AppendUint64(nil, g.length)), nil
}

func (g *gmac) UnmarshalBinary(b []byte) error {
	if len(b) < 8 {
		return errState
	}
	g.length = binary.BigEndian.Uint64(b)
	return g.hash.load(b[8:])
}
