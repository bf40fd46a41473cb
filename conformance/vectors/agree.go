package vectors

import (
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

var curves = map[string]struct {
	oid   asn1.ObjectIdentifier
	bytes int
}{
	"secp224r1": {asn1.ObjectIdentifier{1, 3, 132, 0, 33}, 28},
	"secp256r1": {asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}, 32},
	"secp384r1": {asn1.ObjectIdentifier{1, 3, 132, 0, 34}, 48},
	"secp521r1": {asn1.ObjectIdentifier{1, 3, 132, 0, 35}, 66},
}

var (
	oidEC     = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidX25519 = asn1.ObjectIdentifier{1, 3, 101, 110}
)

type pkcs8 struct {
	Version   int
	Algorithm pkix.AlgorithmIdentifier
	Key       []byte
}

// ecPKCS8 is a private scalar without its public half.
func ecPKCS8(curve string, scalar []byte) ([]byte, error) {
	c, ok := curves[curve]
	if !ok {
		return nil, leftOut("unknown curve " + curve)
	}
	for len(scalar) > c.bytes && scalar[0] == 0 {
		scalar = scalar[1:]
	}
	fixed := make([]byte, c.bytes)
	copy(fixed[c.bytes-len(scalar):], scalar)
	inner, err := asn1.Marshal(struct {
		Version int
		Key     []byte
	}{1, fixed})
	if err != nil {
		return nil, err
	}
	oid, err := asn1.Marshal(c.oid)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(pkcs8{0, pkix.AlgorithmIdentifier{Algorithm: oidEC, Parameters: asn1.RawValue{FullBytes: oid}}, inner})
}

func (r *runner) ecdhPoint(ctx context.Context, f *file, g *group, v *vector) error {
	return r.ecdh(ctx, g, v, v.Public)
}

// ecdhSPKI has the peer's key brought in as an SPKI, so that the service judges
// its encoding and curve, and agrees with the point that it made of it.
func (r *runner) ecdhSPKI(ctx context.Context, f *file, g *group, v *vector) error {
	peer, err := r.importPublic(ctx, v.Public)
	if err != nil {
		return err
	}
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Point     asn1.BitString
	}
	info, err := r.publicInfo(ctx, peer)
	if err != nil {
		return err
	}
	if _, err := asn1.Unmarshal(info, &spki); err != nil {
		return err
	}
	if oid, err := asn1.Marshal(curves[g.Curve].oid); err != nil || string(spki.Algorithm.Parameters.FullBytes) != string(oid) {
		return ck.CKR_DOMAIN_PARAMS_INVALID // a key of another curve: no caller would go on
	}
	return r.ecdh(ctx, g, v, spki.Point.Bytes)
}

func (r *runner) ecdh(ctx context.Context, g *group, v *vector, point []byte) error {
	der, err := ecPKCS8(g.Curve, v.Private)
	if err != nil {
		return err
	}
	key, err := r.importPrivate(ctx, ck.CKK_EC, der)
	if err != nil {
		return err
	}
	got, err := r.derive(ctx, key, ck.CKM_ECDH1_DERIVE, &mech.ECDH1{KDF: ck.CKD_NULL, Public: point}, curves[g.Curve].bytes)
	if err != nil {
		return err
	}
	return same(got, v.Shared)
}

func (r *runner) xdh(ctx context.Context, f *file, g *group, v *vector) error {
	if err := r.need(ck.CKM_IBM_EC_X25519); err != nil {
		return err
	}
	if !strings.EqualFold(g.Curve, "curve25519") {
		return leftOut("unknown curve " + g.Curve)
	}
	inner, err := asn1.Marshal([]byte(v.Private))
	if err != nil {
		return err
	}
	der, err := asn1.Marshal(pkcs8{0, pkix.AlgorithmIdentifier{Algorithm: oidX25519}, inner})
	if err != nil {
		return err
	}
	key, err := r.importPrivate(ctx, ck.CKK_EC_MONTGOMERY, der)
	if err != nil {
		return err
	}
	for _, t := range []ck.MechanismType{ck.CKM_ECDH1_DERIVE, ck.CKM_IBM_EC_X25519} { // the standard's, and the vendor's
		got, err := r.derive(ctx, key, t, &mech.ECDH1{KDF: ck.CKD_NULL, Public: v.Public}, len(v.Shared))
		if err == nil {
			err = same(got, v.Shared)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
