package server

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"grep11/grep11client/extpb"
	"grep11/pkcs11/ck"
)

func TestMakeKeyStoresAndFindsAPair(t *testing.T) {
	g := newGuest(t)
	user := g.user()
	request := newID()
	made, err := user.makePair(request, ck.Template{isTrue(ck.CKA_TOKEN), label("pair")}, ck.Template{isTrue(ck.CKA_TOKEN), label("pair"), isTrue(ck.CKA_PRIVATE)})
	wantRV(t, err, ck.CKR_OK)
	again, err := user.makePair(request, ck.Template{isTrue(ck.CKA_TOKEN)}, ck.Template{isTrue(ck.CKA_TOKEN), isTrue(ck.CKA_PRIVATE)})
	wantRV(t, err, ck.CKR_OK)
	for i := range made {
		if len(made) != 2 || !bytes.Equal(made[i].Id, again[i].Id) || made[i].Handle != again[i].Handle || made[i].Handle == 0 {
			t.Fatalf("made %v, the repeat gave %v", made, again)
		}
	}
	pub, priv := templateOf(t, made[0]), templateOf(t, made[1])
	if id := pub.Bytes(ck.CKA_ID); len(id) != 20 || !bytes.Equal(id, priv.Bytes(ck.CKA_ID)) {
		t.Errorf("CKA_ID %x and %x", id, priv.Bytes(ck.CKA_ID))
	}
	if u := string(priv.Bytes(ck.CKA_UNIQUE_ID)); u != fmt.Sprintf("%x", made[1].Id) {
		t.Error("CKA_UNIQUE_ID", u)
	}
	for _, at := range []ck.AttributeType{ck.CKA_SIGN, ck.CKA_SENSITIVE, ck.CKA_LOCAL, ck.CKA_EXTRACTABLE, ck.CKA_NEVER_EXTRACTABLE,
		ck.CKA_ALWAYS_SENSITIVE, ck.CKA_EC_PARAMS, ck.CKA_KEY_GEN_MECHANISM, ck.CKA_MODIFIABLE, ck.CKA_COPYABLE, ck.CKA_DESTROYABLE,
		ck.CKA_START_DATE, ck.CKA_SUBJECT, ck.CKA_ALWAYS_AUTHENTICATE, ck.CKA_PUBLIC_KEY_INFO} {
		if !priv.Has(at) {
			t.Errorf("the private key has no %v", at)
		}
	}
	if found := g.find(label("pair")); len(found) != 1 || found[0].Handle != made[0].Handle {
		t.Error("nobody finds", found)
	}
	if found := user.find(label("pair"), ck.Ulong(ck.CKA_CLASS, ck.CKO_PRIVATE_KEY)); len(found) != 1 || found[0].Handle != made[1].Handle || found[0].Blob != nil {
		t.Error("the user finds", found)
	}
	if found := user.find(); len(found) != 2 {
		t.Error("the user finds", found)
	}
	wantRV(t, user.sign(made[1]), ck.CKR_OK)
	wantRV(t, g.sign(made[1]), ck.CKR_USER_NOT_LOGGED_IN)
	wantRV(t, g.as(ck.CKU_SO, testSOPIN).sign(made[1]), ck.CKR_USER_NOT_LOGGED_IN)
	wantRV(t, g.destroy(made[1]), ck.CKR_USER_NOT_LOGGED_IN)
	wantRV(t, user.destroy(made[1]), ck.CKR_OK)
	wantRV(t, user.sign(made[1]), ck.CKR_KEY_HANDLE_INVALID)
	wantRV(t, user.destroy(made[1]), ck.CKR_OBJECT_HANDLE_INVALID)
}

func TestHalfOfAPairMayBeASessionObject(t *testing.T) {
	user := newGuest(t).user()
	request := newID()
	for _, name := range []string{"first", "repeat"} {
		made, err := user.makePair(request, ck.Template{label("p")}, ck.Template{isTrue(ck.CKA_TOKEN), label("p")})
		wantRV(t, err, ck.CKR_OK)
		if pub := made[0]; pub.Handle != 0 || len(pub.Id) != 0 || len(pub.Blob) == 0 {
			t.Errorf("%s: public key %v", name, pub)
		}
		if priv := made[1]; priv.Handle == 0 || len(priv.Blob) != 0 {
			t.Errorf("%s: private key %v", name, priv)
		}
	}
	if found := user.find(); len(found) != 1 {
		t.Error("stored", found)
	}
}

func TestCreateObjectRefuses(t *testing.T) {
	g := newGuest(t)
	user, so := g.user(), g.as(ck.CKU_SO, testSOPIN)
	session, err := user.makeAES(newID())
	wantRV(t, err, ck.CKR_OK)
	secret := ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY)}
	for _, test := range []struct {
		name string
		g    *guest
		tmpl ck.Template
		blob []byte
		rv   ck.RV
	}{
		{"a public data object by nobody", g, data(), nil, ck.CKR_OK},
		{"a private data object by the user", user, data(isTrue(ck.CKA_PRIVATE)), nil, ck.CKR_OK},
		{"a private data object by nobody", g, data(isTrue(ck.CKA_PRIVATE)), nil, ck.CKR_USER_NOT_LOGGED_IN},
		{"a private data object by the SO", so, data(isTrue(ck.CKA_PRIVATE)), nil, ck.CKR_USER_NOT_LOGGED_IN},
		{"no class", user, ck.Template{label("x")}, nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{"an unknown class", user, ck.Template{ck.Ulong(ck.CKA_CLASS, 77)}, nil, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"a class without a value", user, ck.Template{{Type: ck.CKA_CLASS}}, nil, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"a certificate without a type", user, ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_CERTIFICATE)}, nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{"a trusted certificate by the user", user, ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_CERTIFICATE),
			ck.Ulong(ck.CKA_CERTIFICATE_TYPE, 0), isTrue(ck.CKA_TRUSTED)}, nil, ck.CKR_ATTRIBUTE_READ_ONLY},
		{"a trusted certificate by the SO", so, ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_CERTIFICATE),
			ck.Ulong(ck.CKA_CERTIFICATE_TYPE, 0), isTrue(ck.CKA_TRUSTED)}, nil, ck.CKR_OK},
		{"a key without a blob", user, secret, nil, ck.CKR_TEMPLATE_INCONSISTENT},
		{"data with a blob", user, data(), session.Blob, ck.CKR_TEMPLATE_INCONSISTENT},
		{"a key", user, secret, session.Blob, ck.CKR_OK},
		{"a key of another class than its blob", user, ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY)}, session.Blob, ck.CKR_TEMPLATE_INCONSISTENT},
		{"a key with its value", user, secret.Set(ck.Bytes(ck.CKA_VALUE, make([]byte, 32))), session.Blob, ck.CKR_TEMPLATE_INCONSISTENT},
		{"a key with a damaged blob", user, secret, append([]byte("x"), session.Blob...), ck.CKR_IBM_BLOB_ERROR},
		{"a label that is too long", user, data(label(string(make([]byte, maxValue+1)))), nil, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"too much altogether", user, data(
			ck.Bytes(ck.CKA_LABEL, make([]byte, maxValue)), ck.Bytes(ck.CKA_APPLICATION, make([]byte, maxValue)),
			ck.Bytes(ck.CKA_OBJECT_ID, make([]byte, maxValue)), ck.Bytes(ck.CKA_VALUE, make([]byte, maxValue)),
			ck.Bytes(ck.CKA_SUBJECT, make([]byte, maxValue))), nil, ck.CKR_DEVICE_MEMORY},
	} {
		_, err := test.g.create(test.tmpl, test.blob)
		if d := detail(t, err); ck.RV(d.Code) != test.rv {
			t.Errorf("%s: %v (%s), want %v", test.name, ck.RV(d.Code), d.Detail, test.rv)
		}
	}
}

func TestNamesThatAreNone(t *testing.T) {
	g := newGuest(t).user()
	o, err := g.create(data(isTrue(ck.CKA_PRIVATE)), nil)
	wantRV(t, err, ck.CKR_OK)
	for _, test := range []struct {
		name string
		call func() error
		rv   ck.RV
	}{
		{"a request id of 15 bytes", func() error {
			_, err := g.keys.CreateObject(g.ctx, &extpb.CreateObjectRequest{RequestId: make([]byte, 15), Token: g.token, Attributes: attributes(t, data())})
			return err
		}, ck.CKR_ARGUMENTS_BAD},
		{"a token id of 3 bytes", func() error {
			_, err := g.keys.CreateObject(g.ctx, &extpb.CreateObjectRequest{RequestId: newID(), Token: []byte("abc"), Attributes: attributes(t, data())})
			return err
		}, ck.CKR_ARGUMENTS_BAD},
		{"an unknown token", func() error {
			_, err := g.keys.CreateObject(g.ctx, &extpb.CreateObjectRequest{RequestId: newID(), Token: newID(), Attributes: attributes(t, data())})
			return err
		}, ck.CKR_TOKEN_NOT_RECOGNIZED},
		{"a search on an unknown token", func() error {
			_, err := g.keys.FindObjects(g.ctx, &extpb.FindObjectsRequest{Token: newID()})
			return err
		}, ck.CKR_TOKEN_NOT_RECOGNIZED},
		{"an unknown object", func() error {
			_, err := g.keys.GetObject(g.ctx, &extpb.GetObjectRequest{Token: g.token, Id: newID()})
			return err
		}, ck.CKR_OBJECT_HANDLE_INVALID},
		{"an unknown handle", func() error {
			_, err := g.keys.GetObject(g.ctx, &extpb.GetObjectRequest{Token: g.token, Handle: 1 << 63})
			return err
		}, ck.CKR_OBJECT_HANDLE_INVALID},
		{"no name at all", func() error {
			_, err := g.keys.GetObject(g.ctx, &extpb.GetObjectRequest{Token: g.token})
			return err
		}, ck.CKR_OBJECT_HANDLE_INVALID},
		{"a private object's handle, by nobody", func() error {
			_, err := g.keys.GetObject(t.Context(), &extpb.GetObjectRequest{Token: g.token, Handle: o.Handle})
			return err
		}, ck.CKR_OBJECT_HANDLE_INVALID},
		{"the user of another token", func() error {
			other := guestOf(t, g.conn)
			_, err := g.keys.GetObject(other.user().ctx, &extpb.GetObjectRequest{Token: g.token, Id: o.Id})
			return err
		}, ck.CKR_USER_NOT_LOGGED_IN},
		{"no way to make a key", func() error {
			_, err := g.keys.MakeKey(g.ctx, &extpb.MakeKeyRequest{RequestId: newID(), Token: g.token})
			return err
		}, ck.CKR_ARGUMENTS_BAD},
		{"a key that is data", func() error { return g.sign(o) }, ck.CKR_KEY_HANDLE_INVALID},
	} {
		if d := detail(t, test.call()); ck.RV(d.Code) != test.rv || d.Retry {
			t.Errorf("%s: %v (%s), want %v", test.name, ck.RV(d.Code), d.Detail, test.rv)
		}
	}
}

func TestSetAttributes(t *testing.T) {
	g := newGuest(t)
	user := g.user()
	made, err := user.makePair(newID(), ck.Template{isTrue(ck.CKA_TOKEN)}, ck.Template{isTrue(ck.CKA_TOKEN), isTrue(ck.CKA_EXTRACTABLE), isTrue(ck.CKA_PRIVATE)})
	wantRV(t, err, ck.CKR_OK)
	key := made[1]
	fixed, err := user.create(data(isFalse(ck.CKA_MODIFIABLE)), nil)
	wantRV(t, err, ck.CKR_OK)
	plain, err := user.create(data(isFalse(ck.CKA_PRIVATE)), nil)
	wantRV(t, err, ck.CKR_OK)
	certificate := ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_CERTIFICATE), ck.Ulong(ck.CKA_CERTIFICATE_TYPE, ck.CKC_X_509_ATTR_CERT)}
	cert, err := user.create(certificate, nil)
	wantRV(t, err, ck.CKR_OK)
	trusted, err := g.as(ck.CKU_SO, testSOPIN).create(certificate.Set(isTrue(ck.CKA_TRUSTED)), nil)
	wantRV(t, err, ck.CKR_OK)
	for _, test := range []struct {
		name string
		g    *guest
		o    *extpb.Object
		a    ck.Attribute
		rv   ck.RV
	}{
		{"the label", user, key, label("new"), ck.CKR_OK},
		{"the id", user, key, ck.Bytes(ck.CKA_ID, []byte{1}), ck.CKR_OK},
		{"the label by nobody", g, key, label("x"), ck.CKR_USER_NOT_LOGGED_IN},
		{"the label of a public object by nobody", g, plain, label("x"), ck.CKR_OK},
		{"the class", user, key, ck.Ulong(ck.CKA_CLASS, ck.CKO_DATA), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"CKA_TOKEN", user, key, isFalse(ck.CKA_TOKEN), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"CKA_PRIVATE", user, key, isFalse(ck.CKA_PRIVATE), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"CKA_MODIFIABLE", user, key, isFalse(ck.CKA_MODIFIABLE), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"CKA_LOCAL", user, key, isFalse(ck.CKA_LOCAL), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"CKA_EC_PARAMS", user, key, ck.Bytes(ck.CKA_EC_PARAMS, []byte{5}), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"CKA_UNIQUE_ID", user, key, ck.Bytes(ck.CKA_UNIQUE_ID, []byte{5}), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"CKA_EXTRACTABLE to false", user, key, isFalse(ck.CKA_EXTRACTABLE), ck.CKR_OK},
		{"CKA_EXTRACTABLE back to true", user, key, isTrue(ck.CKA_EXTRACTABLE), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"CKA_SENSITIVE to false", user, key, isFalse(ck.CKA_SENSITIVE), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"CKA_TRUSTED by the user", user, key, isTrue(ck.CKA_TRUSTED), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"CKA_COPYABLE to false", user, key, isFalse(ck.CKA_COPYABLE), ck.CKR_OK},
		{"CKA_COPYABLE back to true", user, key, isTrue(ck.CKA_COPYABLE), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"the right to sign", user, key, isFalse(ck.CKA_SIGN), ck.CKR_OK},
		{"a label of another kind", user, key, ck.Attribute{Type: ck.CKA_SIGN}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"the value of data", user, plain, ck.Bytes(ck.CKA_VALUE, []byte("new")), ck.CKR_OK},
		{"the application of data", user, plain, ck.Bytes(ck.CKA_APPLICATION, []byte("new")), ck.CKR_OK},
		{"the value of a certificate", user, cert, ck.Bytes(ck.CKA_VALUE, []byte("new")), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"the types of an attribute certificate", user, cert, ck.Bytes(ck.CKA_ATTR_TYPES, []byte("new")), ck.CKR_OK},
		{"a trusted certificate", user, trusted, ck.Bytes(ck.CKA_ID, []byte("new")), ck.CKR_ACTION_PROHIBITED},
		{"an object that is not modifiable", user, fixed, label("x"), ck.CKR_ACTION_PROHIBITED},
		{"an object that is not there", user, &extpb.Object{Id: newID()}, label("x"), ck.CKR_OBJECT_HANDLE_INVALID},
	} {
		got, err := test.g.set(test.o, test.a)
		if d := detail(t, err); ck.RV(d.Code) != test.rv {
			t.Errorf("%s: %v (%s), want %v", test.name, ck.RV(d.Code), d.Detail, test.rv)
		}
		if err != nil {
			continue
		}
		if a, _ := templateOf(t, got).Get(test.a.Type); !bytes.Equal(a.Value, test.a.Value) {
			t.Errorf("%s: % x in the answer", test.name, a.Value)
		}
	}
	wantRV(t, user.sign(key), ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
	if found := user.find(label("new"), isFalse(ck.CKA_SIGN), isFalse(ck.CKA_EXTRACTABLE)); len(found) != 1 {
		t.Error("found", found)
	}
}

func TestManyChangesOfOneObjectAllHappen(t *testing.T) {
	user := newGuest(t).user()
	o, err := user.makeAES(newID(), isTrue(ck.CKA_TOKEN))
	wantRV(t, err, ck.CKR_OK)
	var wg sync.WaitGroup
	changes := []ck.Attribute{label("l"), ck.Bytes(ck.CKA_ID, []byte("id")), isFalse(ck.CKA_SIGN), isFalse(ck.CKA_ENCRYPT), ck.Bytes(ck.CKA_START_DATE, []byte("20260101"))}
	for _, a := range changes {
		wg.Go(func() {
			if _, err := user.set(o, a); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if found := user.find(changes...); len(found) != 1 || found[0].Version != uint64(1+len(changes)) {
		t.Error("found", found)
	}
}

func TestCopyObject(t *testing.T) {
	user := newGuest(t).user()
	made, err := user.makePair(newID(), ck.Template{isTrue(ck.CKA_TOKEN)}, ck.Template{isTrue(ck.CKA_TOKEN), isTrue(ck.CKA_PRIVATE), label("source")})
	wantRV(t, err, ck.CKR_OK)
	key := made[1]
	single, err := user.create(data(isFalse(ck.CKA_COPYABLE)), nil)
	wantRV(t, err, ck.CKR_OK)
	for _, test := range []struct {
		name string
		o    *extpb.Object
		a    ck.Template
		rv   ck.RV
	}{
		{"as it is", key, nil, ck.CKR_OK},
		{"with another label", key, ck.Template{label("copy")}, ck.CKR_OK},
		{"as a session object", key, ck.Template{isFalse(ck.CKA_TOKEN)}, ck.CKR_OK},
		{"as a public object that is not modifiable", key, ck.Template{isFalse(ck.CKA_PRIVATE), isFalse(ck.CKA_MODIFIABLE)}, ck.CKR_OK},
		{"with fewer rights", key, ck.Template{isFalse(ck.CKA_SIGN)}, ck.CKR_OK},
		{"as extractable", key, ck.Template{isTrue(ck.CKA_EXTRACTABLE)}, ck.CKR_ATTRIBUTE_READ_ONLY},
		{"as another class", key, ck.Template{ck.Ulong(ck.CKA_CLASS, 0)}, ck.CKR_ATTRIBUTE_READ_ONLY},
		{"with another key type", key, ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_RSA)}, ck.CKR_ATTRIBUTE_READ_ONLY},
		{"of what is not copyable", single, nil, ck.CKR_ACTION_PROHIBITED},
		{"of what is not there", &extpb.Object{Id: newID()}, nil, ck.CKR_OBJECT_HANDLE_INVALID},
	} {
		got, err := user.copy(test.o, test.a...)
		if d := detail(t, err); ck.RV(d.Code) != test.rv {
			t.Errorf("%s: %v (%s), want %v", test.name, ck.RV(d.Code), d.Detail, test.rv)
		}
		if err != nil {
			continue
		}
		tmpl := templateOf(t, got)
		for _, a := range test.a {
			if now, _ := tmpl.Get(a.Type); !bytes.Equal(now.Value, a.Value) {
				t.Errorf("%s: %v is % x", test.name, a.Type, now.Value)
			}
		}
		rv := ck.CKR_OK
		if signs, _ := tmpl.Bool(ck.CKA_SIGN, false); !signs {
			rv = ck.CKR_KEY_FUNCTION_NOT_PERMITTED
		}
		wantRV(t, user.sign(got), rv)
		if got.Handle == key.Handle || bytes.Equal(got.Id, key.Id) {
			t.Errorf("%s: no copy but the object itself", test.name)
		}
	}
	wantRV(t, user.sign(key), ck.CKR_OK)
}

func TestSessionKeyBecomesATokenKey(t *testing.T) {
	user := newGuest(t).user()
	session, err := user.makeAES(newID(), label("session"))
	wantRV(t, err, ck.CKR_OK)
	lies := templateOf(t, session).Set(isTrue(ck.CKA_EXTRACTABLE)).Set(ck.Bytes(ck.CKA_CHECK_VALUE, []byte("lie")))
	r := &extpb.CopyObjectRequest{RequestId: newID(), Token: user.token, Blob: session.Blob,
		Source: attributes(t, lies), Attributes: attributes(t, ck.Template{isTrue(ck.CKA_TOKEN)})}
	first, err := user.keys.CopyObject(user.ctx, r)
	wantRV(t, err, ck.CKR_OK)
	again, err := user.keys.CopyObject(user.ctx, r)
	wantRV(t, err, ck.CKR_OK)
	if first.Object.Handle == 0 || first.Object.Handle != again.Object.Handle {
		t.Error(first.Object, again.Object)
	}
	tmpl := templateOf(t, first.Object)
	if ex, _ := tmpl.Bool(ck.CKA_EXTRACTABLE, true); ex || string(tmpl.Bytes(ck.CKA_CHECK_VALUE)) == "lie" {
		t.Error("the store believes what the blob does not say:", tmpl)
	}
	if found := user.find(label("session"), isFalse(ck.CKA_EXTRACTABLE)); len(found) != 1 {
		t.Error("found", found)
	}
}

func TestRightsOfASessionKeyChangeInItsBlob(t *testing.T) {
	user := newGuest(t).user()
	made, err := user.makePair(newID(), nil, nil)
	wantRV(t, err, ck.CKR_OK)
	r, err := user.keys.SetAttributes(user.ctx, &extpb.SetAttributesRequest{RequestId: newID(), Token: user.token,
		Blob: made[1].Blob, Attributes: attributes(t, ck.Template{isFalse(ck.CKA_SIGN)})})
	wantRV(t, err, ck.CKR_OK)
	wantRV(t, user.sign(r.Object), ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
}

func TestDestroyIsAnsweredTwiceForOneRequest(t *testing.T) {
	user := newGuest(t).user()
	o, err := user.create(data(), nil)
	wantRV(t, err, ck.CKR_OK)
	r := &extpb.DestroyObjectRequest{RequestId: newID(), Token: user.token, Id: o.Id}
	for range 2 {
		_, err := user.keys.DestroyObject(user.ctx, r)
		wantRV(t, err, ck.CKR_OK)
	}
	stays, err := user.create(data(isFalse(ck.CKA_DESTROYABLE)), nil)
	wantRV(t, err, ck.CKR_OK)
	wantRV(t, user.destroy(stays), ck.CKR_ACTION_PROHIBITED)
}
