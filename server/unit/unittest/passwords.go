package unittest

import (
	"bytes"
	"errors"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// testPasswords: keys made of passwords, with known answers.
func testPasswords(t *testing.T, k *kit) {
	pbkdf2 := func(prf, iterations uint64) mech.Mechanism {
		return mech.Mechanism{Type: ck.CKM_PKCS5_PBKD2, Param: &mech.PBKDF2{PRF: prf, Salt: []byte("salt"), Iterations: iterations, Password: ck.Secret("password")}}
	}
	pbe := func(password string, iterations uint64) mech.Mechanism {
		return mech.Mechanism{Type: ck.CKM_PBE_SHA1_DES3_EDE_CBC, Param: &mech.PBE{Password: ck.Secret(password), Salt: unhex("0a58cf64530d823f"), Iterations: iterations}}
	}
	for _, c := range []struct {
		name string
		mech mech.Mechanism
		typ  ck.KeyType
		want string
	}{
		// RFC 6070, and RFC 7914 section 11's neighbour with SHA-256
		{"PBKDF2 with SHA-1", pbkdf2(ck.CKP_PKCS5_PBKD2_HMAC_SHA1, 4096), ck.CKK_GENERIC_SECRET, "4b007901b765489abead49d926f721d065a429c1"},
		{"PBKDF2 with SHA-256", pbkdf2(ck.CKP_PKCS5_PBKD2_HMAC_SHA256, 1), ck.CKK_AES, "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b"},
		// openssl kdf -keylen 24 -kdfopt digest:SHA1 … -kdfopt id:1 PKCS12KDF, but for DES's parity bits
		{"PBE", pbe("smeg", 1), ck.CKK_DES3, "8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3"},
		{"PBE with a password that is not ASCII", pbe("smüg\U0001d11e", 1000), ck.CKK_DES3, "2419d73419b86585745bd6b26f362e53260b0eedce0b1e52"},
	} {
		if !k.has(c.mech.Type) {
			continue
		}
		got, err := k.GenerateKey(ctx, c.mech, readable(len(c.want)/2).Set(ck.Ulong(ck.CKA_KEY_TYPE, c.typ)))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		v, want := k.value(t, got.Blob), unhex(c.want)
		if c.typ == ck.CKK_DES3 {
			for i := range v {
				v[i], want[i] = v[i]|1, want[i]|1
			}
		}
		if !bytes.Equal(v, want) {
			t.Errorf("%s: %x", c.name, v)
		}
	}
	for _, c := range []struct {
		name string
		mech mech.Mechanism
		n    int
	}{
		{"endless iterations", pbkdf2(ck.CKP_PKCS5_PBKD2_HMAC_SHA1, 1<<40), 16},
		{"many iterations for a long key", pbkdf2(ck.CKP_PKCS5_PBKD2_HMAC_SHA1, 1<<20), 16 << 10},
		{"no iterations", pbkdf2(ck.CKP_PKCS5_PBKD2_HMAC_SHA1, 0), 16},
		{"an unknown PRF", pbkdf2(99, 1), 16},
		{"more iterations than PBE has", pbe("smeg", 65537), 24},
		{"a password that is no text", pbe("\xff", 1), 24},
	} {
		if !k.has(c.mech.Type) {
			continue
		}
		typ := uint64(ck.CKK_GENERIC_SECRET)
		if c.mech.Type == ck.CKM_PBE_SHA1_DES3_EDE_CBC {
			typ = uint64(ck.CKK_DES3)
		}
		if _, err := k.GenerateKey(ctx, c.mech, readable(c.n).Set(ck.Ulong(ck.CKA_KEY_TYPE, typ))); !errors.Is(err, ck.CKR_MECHANISM_PARAM_INVALID) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
