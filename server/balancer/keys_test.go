package balancer

import (
	"context"
	"errors"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/server/unit"
)

// twoKeys is a stub in a rotation.
type twoKeys struct {
	*stub
	next []byte
}

func (u twoKeys) CommittedKey() []byte { return u.next }

func TestUnitsInARotation(t *testing.T) {
	for _, row := range []struct {
		name   string
		a, b   [2]string // current and committed
		refuse bool
	}{
		{"no rotation", [2]string{"old"}, [2]string{"old"}, false},
		{"the second committed first", [2]string{"old"}, [2]string{"old", "new"}, false},
		{"both committed", [2]string{"old", "new"}, [2]string{"old", "new"}, false},
		{"the first finalized", [2]string{"new"}, [2]string{"old", "new"}, false},
		{"the second finalized", [2]string{"old", "new"}, [2]string{"new"}, false},
		{"both finalized", [2]string{"new"}, [2]string{"new"}, false},
		{"the second finalized alone", [2]string{"old"}, [2]string{"new"}, true},
		{"the first committed another", [2]string{"old", "other"}, [2]string{"new"}, true},
		{"no key at all", [2]string{}, [2]string{}, false},
		{"a key in one", [2]string{}, [2]string{"new"}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			var members []Member
			for i, k := range [][2]string{row.a, row.b} {
				u := twoKeys{stub: &stub{name: string(rune('a' + i))}}
				if k[0] != "" {
					u.pattern = []byte(k[0])
				}
				if k[1] != "" {
					u.next = []byte(k[1])
				}
				members = append(members, Member{Unit: u})
			}
			b, err := New(members, Options{})
			if (err != nil) != row.refuse || err != nil && !errors.Is(err, ck.CKR_IBM_WKID_MISMATCH) {
				t.Fatalf("got %v", err)
			}
			if err == nil {
				b.Close()
			}
		})
	}
}

func TestABlobOfTheOldKeyGoesToAUnitThatHasItStill(t *testing.T) {
	b := service(t, Options{}, &stub{name: "near", pattern: wk}, &stub{name: "far", pattern: wk})
	for _, have := range []string{"near", "far", "none"} {
		name, err := Do(context.Background(), b, false, func(u unit.Unit) (string, error) {
			if u.Name() != have {
				return "", ck.CKR_IBM_WKID_MISMATCH
			}
			return u.Name(), nil
		})
		if want := have == "none"; want != errors.Is(err, ck.CKR_IBM_WKID_MISMATCH) || !want && name != have {
			t.Errorf("%s: %q, %v", have, name, err)
		}
	}
	for _, u := range b.Units() {
		if !u.Healthy {
			t.Errorf("%s was set aside", u.Name)
		}
	}
}
