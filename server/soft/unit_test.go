package soft

import (
	"bytes"
	"crypto/rand"
	"os"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit/unittest"
)

func newTestUnit(t testing.TB) *Unit {
	t.Helper()
	master := make(ck.Secret, 32)
	rand.Read(master)
	return unitWith(t, master)
}

func unitWith(t testing.TB, master ck.Secret) *Unit {
	t.Helper()
	u, err := New(Config{Name: "test", MasterKey: master})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	return u
}

func TestUnit(t *testing.T) {
	u := unitWith(t, bytes.Clone(master))
	used := unittest.Run(t, u, unitWith(t, bytes.Clone(master)))
	for _, m := range used.Unchecked(u.Mechanisms()) {
		t.Errorf("%v is compared with nothing", m)
	}
}

func TestWycheproof(t *testing.T) {
	if dir := os.Getenv("WYCHEPROOF_DIR"); dir != "" {
		unittest.Wycheproof(t, newTestUnit(t), dir)
	}
}

// TestEveryRowHasItsEngine: the table of mechanisms lists what works, and
// nothing works that it does not list.
func TestEveryRowHasItsEngine(t *testing.T) {
	for _, row := range mech.All() {
		e := engines[row.Type]
		if e == nil {
			t.Errorf("%v has a row and no engine", row.Type)
			continue
		}
		for _, c := range []struct {
			use ck.Flags
			has bool
		}{
			{ck.CKF_DIGEST, e.hash != nil},
			{ck.CKF_SIGN, e.sign != nil},
			{ck.CKF_VERIFY, e.verify != nil},
			{ck.CKF_ENCRYPT | ck.CKF_DECRYPT, e.crypt != nil},
			{ck.CKF_GENERATE, e.generate != nil || e.parameters != nil},
			{ck.CKF_GENERATE_KEY_PAIR, e.pair != nil},
			{ck.CKF_DERIVE | ck.CKF_ENCAPSULATE | ck.CKF_DECAPSULATE, e.derive != nil},
			{ck.CKF_WRAP | ck.CKF_UNWRAP, e.kek != nil || e.wrap != nil || e.unwrap != nil || row.Use&(ck.CKF_WRAP|ck.CKF_UNWRAP) != 0 && e.crypt != nil},
		} {
			if (row.Use&c.use != 0) != c.has && !(c.use == ck.CKF_DIGEST && row.Use&(ck.CKF_SIGN|ck.CKF_VERIFY) != 0) {
				t.Errorf("%v: row and engine differ about the uses 0x%x", row.Type, c.use)
			}
		}
	}
	for m := range engines {
		if _, err := mech.Lookup(m); err != nil {
			t.Errorf("%v has an engine and no row", m)
		}
	}
}
