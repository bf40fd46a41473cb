package soft

import (
	"crypto"
	"crypto/sha3"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// The forms of signatures that FIPS 204 and 205 share: the message with a
// context before it (pure), or the context and a digest (pre-hashed).

// dsaKey is an opened key of either standard, or of Dilithium.
type dsaKey interface {
	// signMessage takes M' of the standards.
	signMessage(msg []byte, hedged bool) ([]byte, error)
	verifyMessage(msg, sig []byte) bool
}

type dsaScheme interface {
	open(set *mech.ParameterSet, value, public []byte) (dsaKey, error)
}

// dsaMechanisms are a family's: those that take the message or a ready digest
// whole, those that hash, by the row's hash or with SHAKE.
type dsaMechanisms struct {
	whole, hashed      []ck.MechanismType
	shake128, shake256 ck.MechanismType
}

func provideDSA(m dsaMechanisms) {
	provide(engine{sign: signPQC, verify: verifyPQC}, m.whole...)
	provide(engine{hash: rowHash, sign: signPQC, verify: verifyPQC}, m.hashed...)
	provide(engine{hash: newSHAKE128, sign: signPQC, verify: verifyPQC}, m.shake128)
	provide(engine{hash: newSHAKE256, sign: signPQC, verify: verifyPQC}, m.shake256)
}

// openedDSA is a dsaKey with its set.
type openedDSA struct {
	dsaKey
	set *mech.ParameterSet
}

func openDSA(k *key) (*openedDSA, error) {
	info, err := parseSPKI(k.spki)
	if err != nil {
		return nil, err
	}
	set := info.set()
	if len(info.key) != set.LenPublic {
		return nil, checkPQC(info)
	}
	o, err := pqcSchemes[set.Name].(dsaScheme).open(set, k.value, info.key)
	if err != nil {
		return nil, fmt.Errorf("%s: %v: %w", set.Name, err, ck.CKR_IBM_BLOB_ERROR)
	}
	return &openedDSA{o, set}, nil
}

func signPQC(k *key, m mech.Mechanism, data []byte) ([]byte, error) {
	o, err := open(k, openDSA)
	if err != nil {
		return nil, err
	}
	msg, err := preparedMessage(m, data)
	if err != nil {
		return nil, err
	}
	p, _ := m.Param.(*mech.SignContext)
	sig, err := o.signMessage(msg, p == nil || p.Hedge != ck.CKH_DETERMINISTIC_REQUIRED)
	if err != nil && ck.RVOf(err) == ck.CKR_GENERAL_ERROR {
		err = fmt.Errorf("%v: %w", err, ck.CKR_FUNCTION_FAILED)
	}
	return sig, err
}

func verifyPQC(k *key, m mech.Mechanism, data, sig []byte) error {
	o, err := open(k, openDSA)
	if err != nil {
		return err
	}
	if len(sig) != o.set.LenOut {
		return fmt.Errorf("signature of %d bytes instead of %d: %w", len(sig), o.set.LenOut, ck.CKR_SIGNATURE_LEN_RANGE)
	}
	msg, err := preparedMessage(m, data)
	if err != nil {
		return err
	}
	if !o.verifyMessage(msg, sig) {
		return errSignature
	}
	return nil
}

// preparedMessage is M' (FIPS 204 §5.2 and §5.4, FIPS 205 §10.2); Dilithium has none.
func preparedMessage(m mech.Mechanism, data []byte) ([]byte, error) {
	if m.Type == ck.CKM_IBM_DILITHIUM {
		return data, nil
	}
	var context []byte
	if p, ok := m.Param.(*mech.SignContext); ok {
		context = p.Context
	}
	prehash, digest, err := prehashOf(m)
	if err != nil {
		return nil, err
	}
	msg := append([]byte{0, byte(len(context))}, context...)
	if digest == (digestForm{}) {
		return append(msg, data...), nil
	}
	if len(data) != digest.len {
		return nil, fmt.Errorf("%v: digest of %d bytes instead of %d: %w", prehash, len(data), digest.len, ck.CKR_DATA_LEN_RANGE)
	}
	msg[0] = 1
	msg = append(msg, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, digest.oid)
	return append(msg, data...), nil
}

// digestForm is a digest in a pre-hashed signature: the last arc of its OID,
// 2.16.840.1.101.3.4.2.x, and its length.
type digestForm struct {
	oid byte
	len int
}

var (
	digestForms = map[crypto.Hash]digestForm{
		crypto.SHA256: {1, 32}, crypto.SHA384: {2, 48}, crypto.SHA512: {3, 64}, crypto.SHA224: {4, 28},
		crypto.SHA512_224: {5, 28}, crypto.SHA512_256: {6, 32},
		crypto.SHA3_224: {7, 28}, crypto.SHA3_256: {8, 32}, crypto.SHA3_384: {9, 48}, crypto.SHA3_512: {10, 64},
	}
	shakeForms = map[ck.MechanismType]digestForm{
		ck.CKM_HASH_ML_DSA_SHAKE128: {11, 32}, ck.CKM_HASH_SLH_DSA_SHAKE128: {11, 32},
		ck.CKM_HASH_ML_DSA_SHAKE256: {12, 64}, ck.CKM_HASH_SLH_DSA_SHAKE256: {12, 64},
	}
)

// prehashOf is the digest that a mechanism signs; none for pure signatures.
func prehashOf(m mech.Mechanism) (ck.MechanismType, digestForm, error) {
	if f, ok := shakeForms[m.Type]; ok {
		return m.Type, f, nil
	}
	row, err := mech.Lookup(m.Type)
	if err != nil {
		return 0, digestForm{}, err
	}
	name, h := m.Type, row.Hash
	if p, ok := m.Param.(*mech.SignContext); ok && p.Hash != 0 {
		name = p.Hash
		h, _ = mech.HashOf(p.Hash)
	} else if h == 0 {
		return 0, digestForm{}, nil
	}
	f, ok := digestForms[h]
	if !ok {
		return 0, f, fmt.Errorf("%v for a pre-hashed signature: %w", name, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	return name, f, nil
}

// shake is SHAKE with an output of fixed length, a running hash.
type shake struct {
	*sha3.SHAKE
	len int
}

func newSHAKE128(*key, mech.Mechanism) (running, error) { return shake{sha3.NewSHAKE128(), 32}, nil }
func newSHAKE256(*key, mech.Mechanism) (running, error) { return shake{sha3.NewSHAKE256(), 64}, nil }

// Sum squeezes once; nothing is written after it.
func (s shake) Sum(b []byte) []byte {
	out := make([]byte, s.len)
	_, _ = s.Read(out) // never fails
	return append(b, out...)
}
