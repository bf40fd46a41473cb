package pkcs11_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"grep11/pkcs11/ck"
)

// history is what the standard has a key remember of how it came to be.
type history struct{ local, alwaysSensitive, neverExtractable bool }

func (u *user) history(o ck.ObjectHandle) history {
	u.t.Helper()
	return history{u.flag(o, ck.CKA_LOCAL), u.flag(o, ck.CKA_ALWAYS_SENSITIVE), u.flag(o, ck.CKA_NEVER_EXTRACTABLE)}
}

// TestHistories makes keys in every way, open and closed ones, and copies them.
func TestHistories(t *testing.T) {
	u := start(t)
	for _, s := range u.subjects() {
		if s.class != ck.CKO_SECRET_KEY && s.class != ck.CKO_PRIVATE_KEY {
			continue
		}
		for _, w := range s.ways {
			for _, token := range s.places() {
				for _, open := range []ck.Template{nil, w.readable(s.class), {leaves}} {
					name := fmt.Sprintf("%s by %s, token %v, %d attributes", s.name, w.name, token, len(open))
					o, err := w.make(w.base.With(open).Set(ck.Bool(ck.CKA_TOKEN, token)))
					wants(t, name, err, nil)
					if err == nil {
						u.lives(name, w, o)
					}
				}
			}
		}
	}
}

// lives holds a new key's history against the standard, and its copies'.
func (u *user) lives(name string, w way, o ck.ObjectHandle) {
	u.t.Helper()
	local := w.name == "C_GenerateKey" || w.name == "C_GenerateKeyPair"
	fresh := local || w.name == "C_DeriveKey" // of a base key that never was anything else
	is := u.history(o)
	if want := (history{local, fresh && u.flag(o, ck.CKA_SENSITIVE), fresh && !u.flag(o, ck.CKA_EXTRACTABLE)}); is != want {
		u.t.Errorf("%s: %+v, want %+v", name, is, want)
	}
	gen, err := u.get(o, ck.CKA_KEY_GEN_MECHANISM)
	if none := binary.NativeEndian.Uint64(gen) == ck.CK_UNAVAILABLE_INFORMATION; err != nil || none == local {
		u.t.Errorf("%s: made by %x, %v", name, gen, err)
	}
	for _, copied := range []ck.Template{{}, {isToken}, {ck.Bool(ck.CKA_TOKEN, false)}, {sensitive, ck.Bool(ck.CKA_EXTRACTABLE, false)}} {
		c, err := u.m.CopyObject(u.t.Context(), u.h, o, copied)
		wants(u.t, name+" copied", err, nil)
		if err != nil {
			continue
		}
		if got := u.history(c); got != is {
			u.t.Errorf("%s: copied with %d changes %+v, was %+v", name, len(copied), got, is)
		}
		if made, _ := u.get(c, ck.CKA_KEY_GEN_MECHANISM); string(made) != string(gen) {
			u.t.Errorf("%s: the copy was made by %x, the key by %x", name, made, gen)
		}
		u.own(name, o, c)
	}
}

// own: a copy has a name of its own.
func (u *user) own(name string, o, c ck.ObjectHandle) {
	u.t.Helper()
	id, _ := u.get(o, ck.CKA_UNIQUE_ID)
	other, err := u.get(c, ck.CKA_UNIQUE_ID)
	if err != nil || len(other) == 0 || string(id) == string(other) {
		u.t.Errorf("%s: the copy's unique id is %s, the object's %s, %v", name, other, id, err)
	}
	if found := u.find(ck.Template{ck.Bytes(ck.CKA_UNIQUE_ID, other)}); len(found) != 1 || found[0] != c {
		u.t.Errorf("%s: by the copy's unique id %x are found", name, found)
	}
}

// TestDerivedHistories: what came of a key that was open is not closed for that.
// PKCS#11 v3.2, key derivation by hashing.
func TestDerivedHistories(t *testing.T) {
	u := start(t)
	for _, base := range []ck.Template{{}, {leaves}, bare} {
		from, err := u.m.GenerateKey(t.Context(), u.h, mechanism(ck.CKM_GENERIC_SECRET_KEY_GEN),
			base.With(ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_DERIVE, true)}))
		wants(t, "base key", err, nil)
		was := u.history(from)
		for _, result := range []ck.Template{{}, {leaves}, bare} {
			o, err := u.m.DeriveKey(t.Context(), u.h, mechanism(ck.CKM_SHA256_KEY_DERIVATION), from, result)
			wants(t, "derive", err, nil)
			want := history{false, was.alwaysSensitive && u.flag(o, ck.CKA_SENSITIVE), was.neverExtractable && !u.flag(o, ck.CKA_EXTRACTABLE)}
			if got := u.history(o); got != want {
				t.Errorf("%d attributes of a base with %d: %+v, want %+v", len(result), len(base), got, want)
			}
		}
	}
}

// TestCopiesAreNamed: data and certificates, too, have a unique id of their own.
func TestCopiesAreNamed(t *testing.T) {
	u := start(t)
	_, cert := certificate(t)
	for _, template := range []ck.Template{data("d"), cert} {
		for _, from := range []bool{true, false} {
			o := u.create(template.Set(ck.Bool(ck.CKA_TOKEN, from)))
			for _, to := range []bool{true, false} {
				c, err := u.m.CopyObject(t.Context(), u.h, o, ck.Template{ck.Bool(ck.CKA_TOKEN, to)})
				wants(t, "copy", err, nil)
				u.own(fmt.Sprintf("token %v to %v", from, to), o, c)
			}
		}
	}
}
