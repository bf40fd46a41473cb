package vectors

import (
	"bytes"
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// pqcSet is the parameter set that a file or group names, as its OID.
func pqcSet(name string) (*mech.ParameterSet, asn1.ObjectIdentifier, error) {
	all := mech.ParameterSets()
	for i := range all {
		if all[i].Name == name {
			var oid asn1.ObjectIdentifier
			_, err := asn1.Unmarshal(all[i].OID, &oid)
			return &all[i], oid, err
		}
	}
	return nil, nil, leftOut("unknown parameter set " + name)
}

// importPQC brings a private key in by its seed and, where there is one, the
// expanded key, in the forms of RFC 9881 and 9935.
func (r *runner) importPQC(ctx context.Context, name string, seed, expanded []byte) (key, error) {
	set, oid, err := pqcSet(name)
	if err != nil {
		return key{}, err
	}
	inner := append([]byte{0x80, byte(len(seed))}, seed...)
	if expanded != nil {
		inner, err = asn1.Marshal(struct{ Seed, Expanded []byte }{seed, expanded})
	}
	if err != nil {
		return key{}, err
	}
	der, err := asn1.Marshal(pkcs8{0, pkix.AlgorithmIdentifier{Algorithm: oid}, inner})
	if err != nil {
		return key{}, err
	}
	return r.importPrivate(ctx, set.Key, der)
}

func signContext(v *vector) *mech.SignContext {
	return &mech.SignContext{Hedge: ck.CKH_DETERMINISTIC_REQUIRED, Context: v.Ctx}
}

func (r *runner) mldsaVerify(ctx context.Context, f *file, g *group, v *vector) error {
	if err := r.need(ck.CKM_ML_DSA); err != nil {
		return err
	}
	key, err := r.public(ctx, g)
	if err != nil {
		return err
	}
	return r.verify(ctx, key, ck.CKM_ML_DSA, signContext(v), v.Msg, v.Sig)
}

// mldsaSign signs deterministically and compares. A signature with given
// randomness cannot be made through an HSM: it is verified.
func (r *runner) mldsaSign(ctx context.Context, f *file, g *group, v *vector) error {
	if err := r.need(ck.CKM_ML_DSA); err != nil {
		return err
	}
	if v.Msg == nil {
		return leftOut("PKCS#11 3.2 has no mechanism for an external mu")
	}
	if v.Rnd != nil {
		return r.mldsaVerifyWith(ctx, f, g, v)
	}
	key, err := r.once("seed", func() (key, error) { return r.importPQC(ctx, f.Algorithm, g.PrivateSeed, nil) })
	if err != nil {
		return err
	}
	sig, err := r.sign(ctx, key, ck.CKM_ML_DSA, signContext(v), v.Msg)
	if err != nil {
		return err
	}
	return same(sig, v.Sig)
}

func (r *runner) mldsaVerifyWith(ctx context.Context, f *file, g *group, v *vector) error {
	_, oid, err := pqcSet(f.Algorithm)
	if err != nil {
		return err
	}
	var public Hex
	if err := public.UnmarshalJSON(g.PublicKey); err != nil {
		return err
	}
	key, err := r.importPublic(ctx, mustDER(pkix.AlgorithmIdentifier{Algorithm: oid}, public))
	if err != nil {
		return err
	}
	return r.verify(ctx, key, ck.CKM_ML_DSA, signContext(v), v.Msg, v.Sig)
}

// hasPublic compares the public key that the service computed of a private one.
func (r *runner) hasPublic(ctx context.Context, k key, want []byte) error {
	info, err := r.publicInfo(ctx, k)
	if err == nil && !bytes.HasSuffix(info, want) {
		err = errWrong
	}
	return err
}

func (r *runner) mlkem(ctx context.Context, f *file, g *group, v *vector) error {
	if err := r.need(ck.CKM_ML_KEM); err != nil {
		return err
	}
	key, err := r.importPQC(ctx, g.ParameterSet, v.Seed, nil)
	if err != nil {
		return err
	}
	if err := r.hasPublic(ctx, key, v.EK); err != nil {
		return err
	}
	secret, err := r.decapsulate(ctx, key, v.C)
	if err != nil {
		return err
	}
	return same(secret, v.K)
}

// mlkemKeyGen has the service derive the key of a seed; the expanded key goes in
// beside it, for a service that compares the two.
func (r *runner) mlkemKeyGen(ctx context.Context, f *file, g *group, v *vector) error {
	if err := r.need(ck.CKM_ML_KEM); err != nil {
		return err
	}
	key, err := r.importPQC(ctx, g.ParameterSet, v.Seed, v.DK)
	if err != nil {
		return err
	}
	return r.hasPublic(ctx, key, v.EK)
}

// mlkemEncaps: randomness cannot be given to an HSM, so a valid public key is one
// that it encapsulates with.
func (r *runner) mlkemEncaps(ctx context.Context, f *file, g *group, v *vector) error {
	if err := r.need(ck.CKM_ML_KEM); err != nil {
		return err
	}
	_, oid, err := pqcSet(g.ParameterSet)
	if err != nil {
		return err
	}
	key, err := r.importPublic(ctx, mustDER(pkix.AlgorithmIdentifier{Algorithm: oid}, v.EK))
	if err != nil {
		return err
	}
	secret, ct, err := r.encapsulate(ctx, key)
	if err == nil && (len(secret) != len(v.K) || len(ct) != len(v.C)) {
		err = errWrong
	}
	return err
}
