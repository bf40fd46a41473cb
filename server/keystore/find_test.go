package keystore

import (
	"context"
	"fmt"
	"testing"

	"grep11/pkcs11/ck"
)

func TestFind(t *testing.T) {
	s, tok := withToken(t)
	public := newKey(tok.ID, "public")
	public.Private = false
	private := newKey(tok.ID, "private")
	nested := newKey(tok.ID, "nested")
	nested.Attributes = append(nested.Attributes,
		ck.Attribute{Type: ck.CKA_WRAP_TEMPLATE, Sub: ck.Template{ck.Bool(ck.CKA_TRUSTED, true)}},
		ck.Ulongs(ck.CKA_ALLOWED_MECHANISMS, []ck.MechanismType{ck.CKM_AES_CBC, ck.CKM_AES_GCM}))
	empty := newKey(tok.ID, "")
	create(t, s, public, private, nested, empty)
	label := func(l string) ck.Attribute { return ck.Bytes(ck.CKA_LABEL, []byte(l)) }
	unique := func(o *Object) ck.Attribute { return ck.Bytes(ck.CKA_UNIQUE_ID, fmt.Appendf(nil, "%x", o.ID[:])) }
	for _, test := range []struct {
		name   string
		t      ck.Template
		hidden bool // the caller is no user
		want   string
	}{
		{"nothing asked gives all", nil, false, "[\"public\" \"private\" \"nested\" \"\"]"},
		{"nothing asked by nobody gives what is public", nil, true, "[\"public\"]"},
		{"a private object's label asked by nobody", ck.Template{label("private")}, true, "[]"},
		{"a label", ck.Template{label("private")}, false, "[\"private\"]"},
		{"the empty label", ck.Template{label("")}, false, "[\"\"]"},
		{"label and class", ck.Template{label("private"), ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY)}, false, "[\"private\"]"},
		{"label and another class", ck.Template{label("private"), ck.Ulong(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY)}, false, "[]"},
		{"a key type", ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)}, false, "[\"public\" \"private\" \"nested\" \"\"]"},
		{"an attribute without index", ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32)}, false, "[\"public\" \"private\" \"nested\" \"\"]"},
		{"another value of it", ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 16)}, false, "[]"},
		{"label and a Boolean", ck.Template{label("public"), ck.Bool(ck.CKA_SIGN, true)}, false, "[\"public\"]"},
		{"label and a false Boolean", ck.Template{label("public"), ck.Bool(ck.CKA_SIGN, false)}, false, "[]"},
		{"an id", ck.Template{ck.Bytes(ck.CKA_ID, private.ID[:])}, false, "[\"private\"]"},
		{"a nested template", ck.Template{nested.Attributes[12]}, false, "[\"nested\"]"},
		{"another nested template", ck.Template{{Type: ck.CKA_WRAP_TEMPLATE, Sub: ck.Template{ck.Bool(ck.CKA_TRUSTED, false)}}}, false, "[]"},
		{"an array of numbers", ck.Template{nested.Attributes[13]}, false, "[\"nested\"]"},
		{"an attribute nobody has", ck.Template{ck.Bytes(0x80001234, []byte("x"))}, false, "[]"},
		{"a class of three bytes", ck.Template{ck.Bytes(ck.CKA_CLASS, []byte{1, 2, 3})}, false, "[]"},
		{"a unique id", ck.Template{unique(private)}, false, "[\"private\"]"},
		{"a unique id and more", ck.Template{unique(private), label("private")}, false, "[\"private\"]"},
		{"a unique id and what does not fit", ck.Template{unique(private), label("public")}, false, "[]"},
		{"a private unique id asked by nobody", ck.Template{unique(private)}, true, "[]"},
		{"a unique id that is no hexadecimal", ck.Template{ck.Bytes(ck.CKA_UNIQUE_ID, []byte("not hexadecimal"))}, false, "[]"},
		{"a unique id with more behind", ck.Template{ck.Bytes(ck.CKA_UNIQUE_ID, append(unique(private).Value, '0'))}, false, "[]"},
		{"an unknown unique id", ck.Template{ck.Bytes(ck.CKA_UNIQUE_ID, make([]byte, 32))}, false, "[]"},
	} {
		found, more, err := s.Find(context.Background(), tok.ID, Query{Template: test.t, Private: !test.hidden})
		var labels []string
		for _, o := range found {
			labels = append(labels, string(o.Attributes.Bytes(ck.CKA_LABEL)))
		}
		if got := fmt.Sprintf("%q", labels); got != test.want || more || err != nil {
			t.Errorf("%s: %s, more %v: %v, want %s", test.name, got, more, err, test.want)
		}
	}
}

func TestFindInPages(t *testing.T) {
	s, tok := withToken(t)
	var all []*Object
	for i := range 25 {
		o := newKey(tok.ID, []string{"odd", "even"}[i%2])
		o.Attributes = o.Attributes.Set(ck.Ulong(ck.CKA_VALUE_LEN, uint64(i%2)))
		all = append(all, o)
	}
	create(t, s, all...)
	for _, test := range []struct {
		name string
		t    ck.Template
		max  int
		want int
	}{
		{"all in pages of 7", nil, 7, 25},
		{"all in pages of 25", nil, 25, 25},
		{"all in pages of 24", nil, 24, 25},
		{"a label in pages of 5", byLabel("even").Template, 5, 12},
		{"a label in pages of 12", byLabel("even").Template, 12, 12},
		{"without index in pages of 1", ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 1)}, 1, 12},
		{"more than a page may have", nil, 1 << 30, 25},
		{"no maximum", nil, 0, 25},
	} {
		seen := map[ck.ObjectHandle]bool{}
		for q := (Query{Template: test.t, Max: test.max, Private: true}); ; {
			found, more, err := s.Find(context.Background(), tok.ID, q)
			if err != nil || more && len(found) != test.max {
				t.Fatal(test.name, len(found), more, err)
			}
			for _, o := range found {
				if o.Handle <= q.After {
					t.Errorf("%s: handle %d after %d", test.name, o.Handle, q.After)
				}
				q.After, seen[o.Handle] = o.Handle, true
			}
			if !more {
				break
			}
		}
		if len(seen) != test.want {
			t.Errorf("%s: %d objects, want %d", test.name, len(seen), test.want)
		}
	}
}

func TestPagesOfLargeObjectsAreShort(t *testing.T) {
	s, tok := withToken(t)
	for range 12 {
		o := newKey(tok.ID, "large")
		o.Attributes = append(o.Attributes, ck.Bytes(ck.CKA_SUBJECT, make([]byte, MaxEncoded-1000)))
		create(t, s, o)
	}
	found, more, err := s.Find(context.Background(), tok.ID, Query{Private: true})
	if err != nil || !more || len(found) > 10 || len(found) < 8 {
		t.Error(len(found), more, err)
	}
}
