package vectors

import (
	"bytes"
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"

	"grep11/grep11client/grep11pb"
	"grep11/grep11client/wire"
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
func (s *service) importPQC(ctx context.Context, name string, seed, expanded []byte) ([]byte, error) {
	set, oid, err := pqcSet(name)
	if err != nil {
		return nil, err
	}
	inner := append([]byte{0x80, byte(len(seed))}, seed...)
	if expanded != nil {
		inner, err = asn1.Marshal(struct{ Seed, Expanded []byte }{seed, expanded})
	}
	if err != nil {
		return nil, err
	}
	der, err := asn1.Marshal(pkcs8{0, pkix.AlgorithmIdentifier{Algorithm: oid}, inner})
	if err != nil {
		return nil, err
	}
	return s.importPrivate(ctx, set.Key, der)
}

func signContext(v *vector) *mech.SignContext {
	return &mech.SignContext{Hedge: ck.CKH_DETERMINISTIC_REQUIRED, Context: v.Ctx}
}

func (s *service) mldsaVerify(ctx context.Context, f *file, g *group, v *vector) error {
	if err := s.need(ck.CKM_ML_DSA); err != nil {
		return err
	}
	key, err := s.public(ctx, g)
	if err != nil {
		return err
	}
	return s.verify(ctx, key, ck.CKM_ML_DSA, signContext(v), v.Msg, v.Sig)
}

// mldsaSign signs deterministically and compares. A signature with given
// randomness cannot be made through an HSM: it is verified.
func (s *service) mldsaSign(ctx context.Context, f *file, g *group, v *vector) error {
	if err := s.need(ck.CKM_ML_DSA); err != nil {
		return err
	}
	if v.Msg == nil {
		return leftOut("PKCS#11 3.2 has no mechanism for an external mu")
	}
	if v.Rnd != nil {
		return s.mldsaVerifyWith(ctx, f, g, v)
	}
	key, err := s.once("seed", func() ([]byte, error) { return s.importPQC(ctx, f.Algorithm, g.PrivateSeed, nil) })
	if err != nil {
		return err
	}
	sig, err := s.sign(ctx, key, ck.CKM_ML_DSA, signContext(v), v.Msg)
	if err != nil {
		return err
	}
	return same(sig, v.Sig)
}

func (s *service) mldsaVerifyWith(ctx context.Context, f *file, g *group, v *vector) error {
	_, oid, err := pqcSet(f.Algorithm)
	if err != nil {
		return err
	}
	var public Hex
	if err := public.UnmarshalJSON(g.PublicKey); err != nil {
		return err
	}
	key, err := s.importPublic(ctx, mustDER(pkix.AlgorithmIdentifier{Algorithm: oid}, public))
	if err != nil {
		return err
	}
	return s.verify(ctx, key, ck.CKM_ML_DSA, signContext(v), v.Msg, v.Sig)
}

// kem runs CKM_ML_KEM and gives the secret and the ciphertext.
func (s *service) kem(ctx context.Context, base []byte, mode uint64, ct []byte) (secret, out []byte, err error) {
	m, err := with(ck.CKM_ML_KEM, &mech.Kyber{Mode: mode, KDF: ck.CKD_NULL, CipherText: ct})
	if err != nil {
		return nil, nil, err
	}
	got, err := s.rpc.DeriveKey(ctx, &grep11pb.DeriveKeyRequest{Mech: m, BaseKey: blob(base), Template: readable(32)})
	if err != nil {
		return nil, nil, wire.DecodeStatus(err)
	}
	secret, err = s.value(ctx, got.NewKeyBytes)
	return secret, got.CheckSum[min(7, len(got.CheckSum)):], err
}

// hasPublic compares the public key that the service computed of a private one.
func (s *service) hasPublic(ctx context.Context, key, want []byte) error {
	got, err := s.rpc.GetAttributeValue(ctx, &grep11pb.GetAttributeValueRequest{Object: key, Attributes: template(ck.Bytes(ck.CKA_PUBLIC_KEY_INFO, nil))})
	if err != nil {
		return wire.DecodeStatus(err)
	}
	t, err := wire.DecodeTemplate(got.Attributes)
	if err == nil && !bytes.HasSuffix(t.Bytes(ck.CKA_PUBLIC_KEY_INFO), want) {
		err = errWrong
	}
	return err
}

func (s *service) mlkem(ctx context.Context, f *file, g *group, v *vector) error {
	if err := s.need(ck.CKM_ML_KEM); err != nil {
		return err
	}
	key, err := s.importPQC(ctx, g.ParameterSet, v.Seed, nil)
	if err != nil {
		return err
	}
	if err := s.hasPublic(ctx, key, v.EK); err != nil {
		return err
	}
	secret, _, err := s.kem(ctx, key, ck.CK_IBM_KEM_DECAPSULATE, v.C)
	if err != nil {
		return err
	}
	return same(secret, v.K)
}

// mlkemKeyGen has the service derive the key of a seed; the expanded key goes in
// beside it, for a service that compares the two.
func (s *service) mlkemKeyGen(ctx context.Context, f *file, g *group, v *vector) error {
	if err := s.need(ck.CKM_ML_KEM); err != nil {
		return err
	}
	key, err := s.importPQC(ctx, g.ParameterSet, v.Seed, v.DK)
	if err != nil {
		return err
	}
	return s.hasPublic(ctx, key, v.EK)
}

// mlkemEncaps: randomness cannot be given to an HSM, so a valid public key is one
// that it encapsulates with.
func (s *service) mlkemEncaps(ctx context.Context, f *file, g *group, v *vector) error {
	if err := s.need(ck.CKM_ML_KEM); err != nil {
		return err
	}
	_, oid, err := pqcSet(g.ParameterSet)
	if err != nil {
		return err
	}
	key, err := s.importPublic(ctx, mustDER(pkix.AlgorithmIdentifier{Algorithm: oid}, v.EK))
	if err != nil {
		return err
	}
	secret, ct, err := s.kem(ctx, key, ck.CK_IBM_KEM_ENCAPSULATE, nil)
	if err == nil && (len(secret) != len(v.K) || len(ct) != len(v.C)) {
		err = errWrong
	}
	return err
}
