package mech

import (
	"errors"
	"math"
	"testing"

	"grep11/pkcs11/ck"
)

func TestLengths(t *testing.T) {
	gcm := &GCM{IV: make([]byte, 12), TagBits: 128}
	for _, c := range []struct {
		name string
		got  int
		want int
	}{
		{"an RSA signature is as long as the modulus", Mechanism{Type: ck.CKM_RSA_PKCS}.OutLen(OpSign, 256, 32), 256},
		{"an ECDSA signature is two numbers of the order's length", Mechanism{Type: ck.CKM_ECDSA}.OutLen(OpSign, 66, 32), 132},
		{"verification gives nothing", Mechanism{Type: ck.CKM_ECDSA}.OutLen(OpVerify, 66, 32), 0},
		{"an HMAC is as long as the hash", Mechanism{Type: ck.CKM_SHA384_HMAC}.OutLen(OpSign, 0, 5), 48},
		{"padding adds a block to full blocks", Mechanism{Type: ck.CKM_AES_CBC_PAD}.OutLen(OpEncrypt, 0, 32), 48},
		{"padding fills a part block", Mechanism{Type: ck.CKM_DES3_CBC_PAD}.OutLen(OpEncrypt, 0, 9), 16},
		{"GCM adds its tag", Mechanism{Type: ck.CKM_AES_GCM, Param: gcm}.OutLen(OpEncrypt, 0, 5), 21},
		{"GCM takes its tag off", Mechanism{Type: ck.CKM_AES_GCM, Param: gcm}.OutLen(OpDecrypt, 0, 21), 5},
		{"less than a tag is nothing", Mechanism{Type: ck.CKM_AES_GCM, Param: gcm}.OutLen(OpDecrypt, 0, 3), 0},
		{"key wrap adds a check block", Mechanism{Type: ck.CKM_AES_KEY_WRAP}.OutLen(OpEncrypt, 0, 32), 40},
		{"padded key wrap rounds up", Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}.OutLen(OpEncrypt, 0, 33), 48},
		{"an update gives full blocks", Mechanism{Type: ck.CKM_AES_CBC}.UpdateLen(OpEncrypt, 10, 7), 16},
		{"a padded decryption holds its last block back", Mechanism{Type: ck.CKM_AES_CBC_PAD}.UpdateLen(OpDecrypt, 0, 32), 16},
		{"a counter mode gives all at once", Mechanism{Type: ck.CKM_AES_CTR}.UpdateLen(OpEncrypt, 0, 7), 7},
		{"GCM gives no plaintext early", Mechanism{Type: ck.CKM_AES_GCM, Param: gcm}.UpdateLen(OpDecrypt, 0, 70), 0},
		{"a stream of a block cipher gives all at once", Mechanism{Type: ck.CKM_AES_OFB}.UpdateLen(OpEncrypt, 0, 7), 7},
		{"what needs all its data gives nothing early", Mechanism{Type: ck.CKM_AES_CTS}.UpdateLen(OpEncrypt, 32, 32), 0},
		{"and everything at the end", Mechanism{Type: ck.CKM_AES_CCM, Param: &CCM{MACLen: 8}}.FinalLen(OpEncrypt, 0, 33), 41},
		{"a MAC is as long as asked for", Mechanism{Type: ck.CKM_SHA256_HMAC_GENERAL, Param: &MACLen{Bytes: 9}}.OutLen(OpSign, 0, 5), 9},
		{"GMAC gives a tag", Mechanism{Type: ck.CKM_AES_GMAC, Param: gcm}.OutLen(OpSign, 0, 5), 16},
		{"SipHash gives 8 bytes", Mechanism{Type: ck.CKM_IBM_SIPHASH}.OutLen(OpSign, 0, 5), 8},
		{"a multiple of a point is a point", Mechanism{Type: ck.CKM_IBM_EC_MULTIPLY}.OutLen(OpEncrypt, 32, 5), 65},
		{"an unknown mechanism gives nothing", Mechanism{Type: 0x7fffffff}.OutLen(OpSign, 256, 1), 0},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", c.name, c.got, c.want)
		}
	}
}

func TestParameters(t *testing.T) {
	pss := func(h ck.MechanismType, g uint64) *PSS { return &PSS{Hash: h, MGF: g, SaltLen: 32} }
	for _, c := range []struct {
		name string
		m    Mechanism
		want error
	}{
		{"CBC takes an IV of a block", Mechanism{ck.CKM_AES_CBC, IV(make([]byte, 16))}, nil},
		{"CBC refuses a short IV", Mechanism{ck.CKM_AES_CBC, IV(make([]byte, 15))}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"CBC needs an IV", Mechanism{Type: ck.CKM_AES_CBC}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"ECB refuses an IV", Mechanism{ck.CKM_AES_ECB, IV(make([]byte, 16))}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"key wrap needs no IV", Mechanism{Type: ck.CKM_AES_KEY_WRAP}, nil},
		{"padded key wrap takes 4 bytes", Mechanism{ck.CKM_AES_KEY_WRAP_KWP, IV{1, 2, 3, 4}}, nil},
		{"PSS takes a hash and its MGF", Mechanism{ck.CKM_RSA_PKCS_PSS, pss(ck.CKM_SHA256, ck.CKG_MGF1_SHA256)}, nil},
		{"PSS refuses a hash that is none", Mechanism{ck.CKM_RSA_PKCS_PSS, pss(ck.CKM_AES_CBC, 2)}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"PSS refuses an unknown MGF", Mechanism{ck.CKM_RSA_PKCS_PSS, pss(ck.CKM_SHA256, 77)}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"a combined PSS insists on its hash", Mechanism{ck.CKM_SHA384_RSA_PKCS_PSS, pss(ck.CKM_SHA256, 2)}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"OAEP without a source has no label", Mechanism{ck.CKM_RSA_PKCS_OAEP, &OAEP{ck.CKM_SHA_1, 1, 0, []byte("x")}}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"OAEP takes a label", Mechanism{ck.CKM_RSA_PKCS_OAEP, &OAEP{ck.CKM_SHA_1, 1, 1, []byte("x")}}, nil},
		{"GCM refuses a tag of 100 bits", Mechanism{ck.CKM_AES_GCM, &GCM{IV: make([]byte, 12), TagBits: 100}}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"CTR refuses to count no bits", Mechanism{ck.CKM_AES_CTR, &CTR{}}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"EdDSA needs no parameter", Mechanism{Type: ck.CKM_EDDSA}, nil},
		{"a MAC cannot be longer than its hash", Mechanism{ck.CKM_SHA256_HMAC_GENERAL, &MACLen{33}}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"ChaCha20's short counter has 32 bits", Mechanism{ck.CKM_CHACHA20, &ChaCha20{1 << 32, make([]byte, 12)}}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"with a short nonce it has 64", Mechanism{ck.CKM_CHACHA20, &ChaCha20{1 << 32, make([]byte, 8)}}, nil},
		{"GMAC's data is the message", Mechanism{ck.CKM_AES_GMAC, &GCM{IV: make([]byte, 12), AAD: []byte{1}, TagBits: 128}}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"SipHash needs no parameter", Mechanism{Type: ck.CKM_IBM_SIPHASH}, nil},
		{"a retained key has credits", Mechanism{ck.CKM_IBM_RETAINKEY, &Retain{math.MaxUint32, make(ck.Secret, 64)}}, nil},
		{"a retained key has not that many credits", Mechanism{ck.CKM_IBM_RETAINKEY, &Retain{Credits: math.MaxUint32 + 1}}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"refill data has 64 bytes at most", Mechanism{ck.CKM_IBM_RETAINKEY, &Retain{Refill: make(ck.Secret, 65)}}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"retaining needs its parameter", Mechanism{Type: ck.CKM_IBM_RETAINKEY}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"a mechanism without a row is unknown", Mechanism{Type: 0x7fffffff}, ck.CKR_MECHANISM_INVALID},
	} {
		if err := c.m.Check(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
