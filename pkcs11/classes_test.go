package pkcs11_test

import (
	"bytes"
	"fmt"
	"testing"

	"grep11/pkcs11/ck"
)

// TestClassesOfTheModule: objects that a token shows by itself are not made, and
// those that this one has nothing to show for are not there. A search that does
// not ask for profiles finds none.
func TestClassesOfTheModule(t *testing.T) {
	u := start(t)
	for class, shown := range map[ck.ObjectClass]int{
		ck.CKO_HW_FEATURE: 0, ck.CKO_MECHANISM: 0, ck.CKO_OTP_KEY: 0, ck.CKO_PROFILE: 3, ck.CKO_VALIDATION: 0,
		ck.CKO_VENDOR_DEFINED: 0, 0x4321: 0,
	} {
		for _, more := range []ck.Template{nil, {isToken}, {ck.Ulong(ck.CKA_HW_FEATURE_TYPE, ck.CKH_CLOCK)}, {ck.Ulong(ck.CKA_PROFILE_ID, 1)},
			{ck.Ulong(ck.CKA_MECHANISM_TYPE, ck.CKM_SHA256)}, {ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_HOTP), ck.Bytes(ck.CKA_VALUE, make([]byte, 20))}} {
			_, err := u.m.CreateObject(t.Context(), u.h, append(ck.Template{ck.Ulong(ck.CKA_CLASS, class)}, more...))
			wants(t, fmt.Sprintf("%v with %d attributes", class, len(more)), err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
		}
		if found := u.find(ck.Template{ck.Ulong(ck.CKA_CLASS, class)}); len(found) != shown {
			t.Errorf("%d objects of %v, want %d", len(found), class, shown)
		}
	}
	if found := u.find(nil); len(found) != 0 {
		t.Errorf("%d objects of an empty token", len(found))
	}
	flags, err := u.m.GetSessionValidationFlags(t.Context(), u.h, ck.CKS_LAST_VALIDATION_OK)
	if err != nil || flags != 0 {
		t.Errorf("validated by %x, without a validation object: %v", flags, err)
	}
}

// TestProfilesStay: the module's own objects are neither changed, copied nor
// destroyed.
func TestProfilesStay(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	for _, o := range u.find(ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_PROFILE)}) {
		wants(t, "change", u.m.SetAttributeValue(ctx, u.h, o, ck.Template{ck.Bytes(ck.CKA_LABEL, nil)}), ck.CKR_ACTION_PROHIBITED)
		_, err := u.m.CopyObject(ctx, u.h, o, nil)
		wants(t, "copy", err, ck.CKR_ACTION_PROHIBITED)
		wants(t, "destroy", u.m.DestroyObject(ctx, u.h, o), ck.CKR_ACTION_PROHIBITED)
		if !u.flag(o, ck.CKA_TOKEN) || u.flag(o, ck.CKA_PRIVATE) {
			t.Error("a profile is no public token object")
		}
	}
}

// TestDomainParameters generates and creates parameters, copies them and makes a
// pair of what another module reads of them.
func TestDomainParameters(t *testing.T) {
	s := newStack(t)
	u, other := login(t, s.module("")), login(t, s.module(""))
	ctx := t.Context()
	for _, gen := range []ck.MechanismType{ck.CKM_DSA_PARAMETER_GEN, ck.CKM_DH_PKCS_PARAMETER_GEN} {
		o, err := u.m.GenerateKey(ctx, u.h, mechanism(gen), ck.Template{ck.Ulong(ck.CKA_PRIME_BITS, 2048), isToken})
		wants(t, gen.String(), err, nil)
		stays, err := u.m.CopyObject(ctx, u.h, o, ck.Template{ck.Bool(ck.CKA_TOKEN, false)})
		wants(t, "to the session", err, nil)
		back, err := u.m.CopyObject(ctx, u.h, stays, ck.Template{isToken, ck.Bytes(ck.CKA_LABEL, []byte("copy"))})
		wants(t, "and back", err, nil)
		for _, at := range []ck.AttributeType{ck.CKA_KEY_TYPE, ck.CKA_LOCAL, ck.CKA_PRIME, ck.CKA_BASE, ck.CKA_PRIME_BITS} {
			want, err := u.get(o, at)
			wants(t, at.String(), err, nil)
			for who, o := range map[*user]ck.ObjectHandle{u: stays, other: back} {
				if got, err := who.get(o, at); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%v of %v: %x, want %x, %v", at, gen, got, want, err)
				}
			}
		}
		if !other.flag(back, ck.CKA_LOCAL) {
			t.Error("generated parameters are not local")
		}
		given := other.components(back, ck.CKO_DOMAIN_PARAMETERS, 0).With(other.components(back, ck.CKO_DOMAIN_PARAMETERS, uint64(ck.CKK_DSA)))
		made := other.create(given.Set(isToken))
		if other.flag(made, ck.CKA_LOCAL) {
			t.Error("parameters from outside are local")
		}
		pair := map[ck.MechanismType]ck.MechanismType{ck.CKM_DSA_PARAMETER_GEN: ck.CKM_DSA_KEY_PAIR_GEN, ck.CKM_DH_PKCS_PARAMETER_GEN: ck.CKM_DH_PKCS_KEY_PAIR_GEN}[gen]
		_, _, err = other.m.GenerateKeyPair(ctx, other.h, mechanism(pair), given.Without(ck.CKA_CLASS), nil)
		wants(t, "a pair of them", err, nil)
	}
}

// TestTrust stores what applications think of a certificate.
func TestTrust(t *testing.T) {
	s := newStack(t)
	u, other := login(t, s.module("")), open(t, s.module(""), ro)
	ctx := t.Context()
	c, cert := certificate(t)
	trust := func(more ...ck.Attribute) ck.Template {
		return append(ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_TRUST), isToken, ck.Bytes(ck.CKA_ISSUER, c.RawIssuer),
			ck.Bytes(ck.CKA_SERIAL_NUMBER, cert.Bytes(ck.CKA_SERIAL_NUMBER))}, more...)
	}
	hash := []ck.Attribute{ck.Bytes(ck.CKA_HASH_OF_CERTIFICATE, make([]byte, 32)), ck.Ulong(ck.CKA_NAME_HASH_ALGORITHM, ck.CKM_SHA256)}
	anchor, distrust := ck.Ulong(ck.CKA_TRUST_SERVER_AUTH, ck.CKT_TRUST_ANCHOR), ck.Ulong(ck.CKA_TRUST_CODE_SIGNING, ck.CKT_NOT_TRUSTED)
	for _, row := range []struct {
		name string
		t    ck.Template
		want error
	}{
		{"nothing known", trust(), nil},
		{"distrust", trust(distrust), nil},
		{"trust without a hash", trust(anchor), ck.CKR_TEMPLATE_INCOMPLETE},
		{"trust without the hash's kind", trust(anchor, hash[0]), ck.CKR_TEMPLATE_INCOMPLETE},
		{"no trust that there is", trust(ck.Ulong(ck.CKA_TRUST_IPSEC_IKE, 5)), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"without a serial number", trust().Without(ck.CKA_SERIAL_NUMBER), ck.CKR_TEMPLATE_INCOMPLETE},
	} {
		o, err := u.m.CreateObject(ctx, u.h, row.t)
		wants(t, row.name, err, row.want)
		if err == nil {
			u.drop(o)
		}
	}
	o := u.create(append(trust(anchor, distrust), hash...))
	found := other.find(ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_TRUST), ck.Bytes(ck.CKA_ISSUER, c.RawIssuer), anchor})
	if len(found) != 1 || found[0] != o {
		t.Fatalf("another application finds %x, want %x", found, o)
	}
	for at, want := range map[ck.AttributeType]uint64{ck.CKA_TRUST_SERVER_AUTH: ck.CKT_TRUST_ANCHOR, ck.CKA_TRUST_CODE_SIGNING: ck.CKT_NOT_TRUSTED, ck.CKA_TRUST_OCSP_SIGNING: ck.CKT_TRUST_UNKNOWN} {
		if got, err := other.get(o, at); err != nil || !bytes.Equal(got, ck.Ulong(at, want).Value) {
			t.Errorf("%v is %x, want %d, %v", at, got, want, err)
		}
	}
	unhashed := u.create(trust(distrust))
	wants(t, "trust without a hash, later", u.m.SetAttributeValue(ctx, u.h, unhashed, ck.Template{anchor}), ck.CKR_TEMPLATE_INCONSISTENT)
}

// TestCertificatesElsewhere: a certificate is here, or at a URL.
func TestCertificatesElsewhere(t *testing.T) {
	u := start(t)
	_, cert := certificate(t)
	url, none := ck.Bytes(ck.CKA_URL, []byte("http://localhost/c")), ck.Bytes(ck.CKA_VALUE, nil)
	hashes := ck.Template{ck.Bytes(ck.CKA_HASH_OF_SUBJECT_PUBLIC_KEY, make([]byte, 20)), ck.Bytes(ck.CKA_HASH_OF_ISSUER_PUBLIC_KEY, make([]byte, 20))}
	for _, row := range []struct {
		name string
		t    ck.Template
		want error
	}{
		{"here", cert, nil},
		{"elsewhere", cert.Set(none).Set(url).With(hashes), nil},
		{"nowhere", cert.Set(none), ck.CKR_TEMPLATE_INCOMPLETE},
		{"elsewhere without hashes", cert.Set(none).Set(url), ck.CKR_TEMPLATE_INCOMPLETE},
		{"elsewhere without a value's attribute", cert.Without(ck.CKA_VALUE).Set(url).With(hashes), ck.CKR_TEMPLATE_INCOMPLETE},
	} {
		_, err := u.m.CreateObject(t.Context(), u.h, row.t)
		wants(t, row.name, err, row.want)
	}
}
