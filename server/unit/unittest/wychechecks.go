package unittest

import (
	"bytes"
	"strings"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

var checks = []struct {
	algorithm, schema string
	run               check
}{
	{"AES-CBC-PKCS5", "", checkCBC},
	{"AES-GCM", "", checkGCM},
	{"AES-KWP", "", checkWrap(ck.CKM_AES_KEY_WRAP_KWP)},
	{"AES-WRAP", "", checkWrap(ck.CKM_AES_KEY_WRAP)},
	{"HMAC", "", checkHMAC},
	{"AES-CMAC", "", checkCMAC},
	{"XDH", "", checkXDH},
	{"ECDH", "ecdh_", checkECDH},
	{"ECDSA", "ecdsa_p1363", checkECDSA},
	{"EDDSA", "", checkEdDSA},
	{"RSAES-OAEP", "", checkOAEP},
	{"RSAES-PKCS1", "", checkPKCS1},
	{"RSASSA-PSS", "", checkPSS},
	{"RSASSA-PKCS1", "", checkRSASSA},
}

func checkCBC(k *kit, _ *group, v *vector) (bool, string) {
	key, err := k.secret(ck.CKK_AES, v.Key)
	if err != nil {
		return false, ""
	}
	m := mech.Mechanism{Type: ck.CKM_AES_CBC_PAD, Param: mech.IV(v.IV)}
	if v.Result == "valid" {
		if c, err := k.Single(ctx, mech.OpEncrypt, m, key.Blob, unit.Input{Data: v.Msg}); err != nil || !bytes.Equal(c, v.CT) {
			return false, ""
		}
	}
	p, err := k.Single(ctx, mech.OpDecrypt, m, key.Blob, unit.Input{Data: v.CT})
	return same(p, v.Msg, err)
}

func checkGCM(k *kit, g *group, v *vector) (bool, string) {
	key, err := k.secret(ck.CKK_AES, v.Key)
	if err != nil {
		return false, ""
	}
	m := mech.Mechanism{Type: ck.CKM_AES_GCM, Param: &mech.GCM{IV: v.IV, AAD: v.AAD, TagBits: uint64(g.TagSize)}}
	return checkAEAD(k, m, key.Blob, v)
}

// checkAEAD also decrypts in parts, and encrypts valid cases.
func checkAEAD(k *kit, m mech.Mechanism, key unit.Blob, v *vector) (bool, string) {
	sealed := append(bytes.Clone(v.CT), v.Tag...)
	p, err := k.Single(ctx, mech.OpDecrypt, m, key, unit.Input{Data: sealed})
	parts, errParts := k.inParts(mech.OpDecrypt, m, key, sealed)
	if (err == nil) != (errParts == nil) || !bytes.Equal(p, parts) {
		return v.Result != "valid", ""
	}
	if v.Result == "valid" {
		c, err := k.inParts(mech.OpEncrypt, m, key, v.Msg)
		if err != nil || !bytes.Equal(c, sealed) {
			return false, ""
		}
	}
	return same(p, v.Msg, err)
}

// inParts runs a cipher over pieces of growing length.
func (k *kit) inParts(op mech.Op, m mech.Mechanism, key unit.Blob, data []byte) ([]byte, error) {
	s, err := k.Init(ctx, op, m, key)
	if err != nil {
		return nil, err
	}
	var out []byte
	for n := 1; len(data) > 0; n = n*2 + 1 {
		n = min(n, len(data))
		var part []byte
		if part, s, err = k.Update(ctx, op, s, data[:n]); err != nil {
			return nil, err
		}
		out, data = append(out, part...), data[n:]
	}
	last, err := k.Finish(ctx, op, s, unit.Input{}, false)
	return append(out, last...), err
}

func checkWrap(t ck.MechanismType) check {
	m := mech.Mechanism{Type: t}
	return func(k *kit, _ *group, v *vector) (bool, string) {
		key, err := k.secret(ck.CKK_AES, v.Key)
		if err != nil {
			return false, ""
		}
		if v.Result == "valid" {
			c, err := k.Single(ctx, mech.OpEncrypt, m, key.Blob, unit.Input{Data: v.Msg})
			if err != nil || !bytes.Equal(c, v.CT) {
				return false, ""
			}
		}
		p, err := k.Single(ctx, mech.OpDecrypt, m, key.Blob, unit.Input{Data: v.CT})
		return same(p, v.Msg, err)
	}
}

var hmacs = map[string]ck.MechanismType{
	"HMACSHA1": ck.CKM_SHA_1_HMAC, "HMACSHA224": ck.CKM_SHA224_HMAC, "HMACSHA256": ck.CKM_SHA256_HMAC,
	"HMACSHA384": ck.CKM_SHA384_HMAC, "HMACSHA512": ck.CKM_SHA512_HMAC,
	"HMACSHA512/224": ck.CKM_SHA512_224_HMAC, "HMACSHA512/256": ck.CKM_SHA512_256_HMAC,
	"HMACSHA3-256": ck.CKM_SHA3_256_HMAC, "HMACSHA3-512": ck.CKM_SHA3_512_HMAC,
}

func checkHMAC(k *kit, g *group, v *vector) (bool, string) {
	t := hmacs[g.algorithm]
	if !k.has(t) {
		return skip("%s is not offered", g.algorithm)
	}
	key, err := k.secret(ck.CKK_GENERIC_SECRET, v.Key)
	if err != nil {
		return false, ""
	}
	m := mech.Mechanism{Type: t}
	mac, err := k.sign(m, key.Blob, v.Msg)
	if err != nil {
		return false, ""
	}
	if len(v.Tag) == len(mac) {
		return k.verify(m, key.Blob, v.Msg, v.Tag) == nil, ""
	}
	return same(mac[:min(len(v.Tag), len(mac))], v.Tag, nil) // truncated by the caller
}

func checkCMAC(k *kit, _ *group, v *vector) (bool, string) {
	key, err := k.secret(ck.CKK_AES, v.Key)
	if err != nil {
		return false, ""
	}
	mac, err := k.sign(mech.Mechanism{Type: ck.CKM_AES_CMAC}, key.Blob, v.Msg)
	return same(mac, v.Tag, err)
}

func checkXDH(k *kit, _ *group, v *vector) (bool, string) {
	key, err := k.private(ck.CKK_EC_MONTGOMERY, append(unhex("302e020100300506032b656e04220420"), v.Private...))
	if err != nil {
		return false, ""
	}
	m := mech.Mechanism{Type: ck.CKM_ECDH1_DERIVE, Param: &mech.ECDH1{KDF: ck.CKD_NULL, Public: v.Public}}
	z, err := k.DeriveKey(ctx, m, key.Blob, nil, readable(32))
	if err != nil {
		return false, ""
	}
	a, err := k.Attributes(ctx, z.Blob, []ck.AttributeType{ck.CKA_VALUE})
	return same(a.Bytes(ck.CKA_VALUE), v.Shared, err)
}

var hashes = map[string]struct {
	hash            ck.MechanismType
	mgf             uint64
	ecdsa, rsa, pss ck.MechanismType
}{
	"SHA-1":   {ck.CKM_SHA_1, ck.CKG_MGF1_SHA1, ck.CKM_ECDSA_SHA1, ck.CKM_SHA1_RSA_PKCS, ck.CKM_SHA1_RSA_PKCS_PSS},
	"SHA-224": {ck.CKM_SHA224, ck.CKG_MGF1_SHA224, ck.CKM_ECDSA_SHA224, ck.CKM_SHA224_RSA_PKCS, ck.CKM_SHA224_RSA_PKCS_PSS},
	"SHA-256": {ck.CKM_SHA256, ck.CKG_MGF1_SHA256, ck.CKM_ECDSA_SHA256, ck.CKM_SHA256_RSA_PKCS, ck.CKM_SHA256_RSA_PKCS_PSS},
	"SHA-384": {ck.CKM_SHA384, ck.CKG_MGF1_SHA384, ck.CKM_ECDSA_SHA384, ck.CKM_SHA384_RSA_PKCS, ck.CKM_SHA384_RSA_PKCS_PSS},
	"SHA-512": {ck.CKM_SHA512, ck.CKG_MGF1_SHA512, ck.CKM_ECDSA_SHA512, ck.CKM_SHA512_RSA_PKCS, ck.CKM_SHA512_RSA_PKCS_PSS},
}

func (k *kit) checkVerify(m mech.Mechanism, spki []byte, g *group, v *vector) (bool, string) {
	if g.imported == nil {
		pub, err := k.public(spki)
		if err != nil {
			return skip("the public key: %v", err)
		}
		g.imported = pub.Blob
	}
	return k.verify(m, g.imported, v.Msg, v.Sig) == nil, ""
}

func checkECDSA(k *kit, g *group, v *vector) (bool, string) {
	return k.checkVerify(mech.Mechanism{Type: hashes[g.SHA].ecdsa}, g.PublicKeyDER, g, v)
}

func checkEdDSA(k *kit, g *group, v *vector) (bool, string) {
	return k.checkVerify(mech.Mechanism{Type: ck.CKM_EDDSA}, g.PublicKeyDER, g, v)
}

func checkRSASSA(k *kit, g *group, v *vector) (bool, string) {
	return k.checkVerify(mech.Mechanism{Type: hashes[g.SHA].rsa}, g.PublicKeyDER, g, v)
}

func checkPSS(k *kit, g *group, v *vector) (bool, string) {
	h := hashes[g.SHA]
	m := mech.Mechanism{Type: h.pss, Param: &mech.PSS{Hash: h.hash, MGF: hashes[g.MGFSHA].mgf, SaltLen: uint64(g.SLen)}}
	spki := g.PublicKeyDER
	if bytes.Contains(spki, oidPSS) { // id-RSASSA-PSS with parameters: the key itself
		if spki = plainRSA(spki); spki == nil {
			return skip("SPKI of id-RSASSA-PSS")
		}
	}
	return k.checkVerify(m, spki, g, v)
}

func checkOAEP(k *kit, g *group, v *vector) (bool, string) {
	key, err := k.rsa(g)
	if err != nil {
		return skip("the private key: %v", err)
	}
	p := &mech.OAEP{Hash: hashes[g.SHA].hash, MGF: hashes[g.MGFSHA].mgf, Source: ck.CKZ_DATA_SPECIFIED, Label: v.Label}
	m := mech.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Param: p}
	plain, err := k.Single(ctx, mech.OpDecrypt, m, key, unit.Input{Data: v.CT})
	return same(plain, v.Msg, err)
}

func checkPKCS1(k *kit, g *group, v *vector) (bool, string) {
	key, err := k.rsa(g)
	if err != nil {
		return skip("the private key: %v", err)
	}
	m := mech.Mechanism{Type: ck.CKM_RSA_PKCS}
	plain, err := k.Single(ctx, mech.OpDecrypt, m, key, unit.Input{Data: v.CT})
	return same(plain, v.Msg, err)
}

// rsa imports a group's key once.
func (k *kit) rsa(g *group) (unit.Blob, error) {
	if g.imported == nil {
		key, err := k.private(ck.CKK_RSA, g.PrivateKeyPKCS8)
		if err != nil {
			return nil, err
		}
		g.imported = key.Blob
	}
	return g.imported, nil
}

func checkECDH(k *kit, g *group, v *vector) (bool, string) {
	c := ecCurves[g.Curve]
	d := append(make([]byte, max(0, c.bytes-len(v.Private))), v.Private...)
	d = d[len(d)-c.bytes:]
	key, err := k.private(ck.CKK_EC, ecPKCS8(c.oid, d))
	if err != nil {
		return skip("the private key: %v", err)
	}
	point := []byte(v.Public)
	if g.Encoding == "asn" {
		if point = pointOf(v.Public, c.oid); point == nil {
			return false, "" // the caller takes the point out of an SPKI
		}
	}
	m := mech.Mechanism{Type: ck.CKM_ECDH1_DERIVE, Param: &mech.ECDH1{KDF: ck.CKD_NULL, Public: point}}
	z, err := k.DeriveKey(ctx, m, key.Blob, nil, readable(c.bytes))
	if err != nil {
		if v.Result == "valid" && strings.Contains(strings.Join(v.Flags, " "), "Compressed") {
			return skip("compressed points are not taken (grep11-wire 11.2)")
		}
		return false, ""
	}
	a, err := k.Attributes(ctx, z.Blob, []ck.AttributeType{ck.CKA_VALUE})
	return same(a.Bytes(ck.CKA_VALUE), v.Shared, err)
}
