package soft

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// HSMs such as SoftHSM2 wrap private keys with zeros behind them.
func TestPrivateKeysThatAnHSMFilled(t *testing.T) {
	u, ctx := newTestUnit(t), context.Background()
	kek, err := u.GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_UNWRAP, true)})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	kwp := mech.Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}
	for name, row := range map[string]struct {
		behind []byte
		want   error
	}{
		"nothing":         {nil, nil},
		"7 zeros":         {make([]byte, 7), nil},
		"15 zeros":        {make([]byte, 15), nil},
		"16 zeros":        {make([]byte, 16), ck.CKR_WRAPPED_KEY_INVALID},
		"something else":  {[]byte{0, 0, 1}, ck.CKR_WRAPPED_KEY_INVALID},
		"another element": {der, ck.CKR_WRAPPED_KEY_INVALID},
	} {
		wrapped, err := u.Single(ctx, mech.OpEncrypt, kwp, kek.Blob, unit.Input{Data: append(bytes.Clone(der), row.behind...)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = u.UnwrapKey(ctx, kwp, wrapped, kek.Blob, nil, ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_PRIVATE_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_EC)})
		if !errors.Is(err, row.want) {
			t.Errorf("%s behind the key: %v", name, err)
		}
	}
}
