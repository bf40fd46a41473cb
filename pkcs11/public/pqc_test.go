package public

import (
	"bytes"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"testing"

	"filippo.io/mldsa"
	"github.com/cloudflare/circl/sign/slhdsa"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// TestPostQuantum: ML-DSA against filippo.io/mldsa; SLH-DSA against the library's
// other interface, as the unit's tests have NIST's vectors.
func TestPostQuantum(t *testing.T) {
	data := []byte("signed")
	ml, err := mldsa.GenerateKey(mldsa.MLDSA87())
	if err != nil {
		t.Fatal(err)
	}
	mlSig := must(ml.Sign(nil, data, &mldsa.Options{Context: "here"}))
	pub, priv, err := slhdsa.GenerateKey(rand.Reader, slhdsa.SHA2_128f)
	if err != nil {
		t.Fatal(err)
	}
	slhSig := must(slhdsa.SignRandomized(&priv, rand.Reader, slhdsa.NewMessage(data), []byte("here")))
	mlValue, slhValue := ml.PublicKey().Bytes(), must(pub.MarshalBinary())
	for _, c := range []struct {
		name       string
		kt         ck.KeyType
		set        uint64
		value, sig []byte
		m          ck.MechanismType
	}{
		{"ML-DSA", ck.CKK_ML_DSA, ck.CKP_ML_DSA_87, mlValue, mlSig, ck.CKM_ML_DSA},
		{"SLH-DSA", ck.CKK_SLH_DSA, ck.CKP_SLH_DSA_SHA2_128F, slhValue, slhSig, ck.CKM_SLH_DSA},
	} {
		k, err := Parse(c.kt, ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, c.set), ck.Bytes(ck.CKA_VALUE, c.value)})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		m := mech.Mechanism{Type: c.m, Param: &mech.SignContext{Context: []byte("here")}}
		altered := bytes.Clone(c.sig)
		altered[9] ^= 1
		for what, v := range map[string]struct {
			m    mech.Mechanism
			sig  []byte
			want error
		}{
			"the signature":     {m, c.sig, nil},
			"altered":           {m, altered, ck.CKR_SIGNATURE_INVALID},
			"short":             {m, c.sig[1:], ck.CKR_SIGNATURE_LEN_RANGE},
			"another context":   {mech.Mechanism{Type: c.m}, c.sig, ck.CKR_SIGNATURE_INVALID},
			"the other's":       {mech.Mechanism{Type: ck.CKM_EDDSA}, c.sig, ck.CKR_MECHANISM_INVALID},
			"a pre-hashed form": {mech.Mechanism{Type: ck.CKM_HASH_ML_DSA_SHA256}, c.sig, ck.CKR_MECHANISM_INVALID},
		} {
			if err := k.Verify(v.m, data, v.sig, false); !errors.Is(err, v.want) {
				t.Errorf("%s, %s: %v, want %v", c.name, what, err, v.want)
			}
		}
		var info struct {
			Algorithm asn1.RawValue
			Key       asn1.BitString
		}
		if rest, err := asn1.Unmarshal(k.Info(), &info); err != nil || len(rest) != 0 || !bytes.Equal(info.Key.Bytes, c.value) || !bytes.Equal(info.Algorithm.Bytes, mech.SetByID(c.kt, c.set).OID) {
			t.Errorf("%s: SubjectPublicKeyInfo: %v", c.name, err)
		}
	}
	for name, tmpl := range map[string]ck.Template{
		"no set":         {ck.Bytes(ck.CKA_VALUE, mlValue)},
		"an unknown set": {ck.Ulong(ck.CKA_PARAMETER_SET, 4), ck.Bytes(ck.CKA_VALUE, mlValue)},
		"a short value":  {ck.Ulong(ck.CKA_PARAMETER_SET, ck.CKP_ML_DSA_87), ck.Bytes(ck.CKA_VALUE, mlValue[1:])},
	} {
		if _, err := Parse(ck.CKK_ML_DSA, tmpl); !errors.Is(err, ck.CKR_PUBLIC_KEY_INVALID) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
