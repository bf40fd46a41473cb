package mech

import (
	"encoding/asn1"

	"grep11/pkcs11/ck"
)

// ParameterSet is what is known of one set of a post-quantum algorithm. Lengths
// are in bytes.
type ParameterSet struct {
	Key  ck.KeyType
	ID   uint64 // CKA_PARAMETER_SET; 0: the vendor's, named by OID alone
	Name string
	// OID is the DER of the algorithm's identifier: of the key formats of RFC
	// 9881, 9909 and 9935, or CKA_IBM_PQC_PARAMS.
	OID []byte
	// Computes names the algorithm where it is not the one of the OID: round 2
	// of the competition has no kept implementation.
	Computes string
	// Strength in bits, of the symmetric cipher that the category compares with.
	Strength  int
	LenPublic int
	// LenPrivate is that of the expanded private key, LenSeed of what it is
	// made from (0: it has no such form).
	LenPrivate, LenSeed int
	// LenOut is that of a signature or a ciphertext.
	LenOut int
}

// nist and ibm are the arcs under which the sets have their numbers:
// 2.16.840.1.101.3.4 and 1.3.6.1.4.1.2.267.
func nist(arcs ...int) []byte { return arc([]int{2, 16, 840, 1, 101, 3, 4}, arcs) }
func ibm(arcs ...int) []byte  { return arc([]int{1, 3, 6, 1, 4, 1, 2, 267}, arcs) }

func arc(under, arcs []int) []byte {
	der, err := asn1.Marshal(asn1.ObjectIdentifier(append(under, arcs...)))
	if err != nil {
		panic("mech: " + err.Error()) // the arcs are constants
	}
	return der
}

// parameterSets: FIPS 203, 204 and 205, and grep11-wire 7.3.
var parameterSets = []ParameterSet{
	{Key: ck.CKK_ML_KEM, ID: ck.CKP_ML_KEM_512, Name: "ML-KEM-512", OID: nist(4, 1), Strength: 128, LenPublic: 800, LenPrivate: 1632, LenSeed: 64, LenOut: 768},
	{Key: ck.CKK_ML_KEM, ID: ck.CKP_ML_KEM_768, Name: "ML-KEM-768", OID: nist(4, 2), Strength: 192, LenPublic: 1184, LenPrivate: 2400, LenSeed: 64, LenOut: 1088},
	{Key: ck.CKK_ML_KEM, ID: ck.CKP_ML_KEM_1024, Name: "ML-KEM-1024", OID: nist(4, 3), Strength: 256, LenPublic: 1568, LenPrivate: 3168, LenSeed: 64, LenOut: 1568},

	{Key: ck.CKK_ML_DSA, ID: ck.CKP_ML_DSA_44, Name: "ML-DSA-44", OID: nist(3, 17), Strength: 128, LenPublic: 1312, LenPrivate: 2560, LenSeed: 32, LenOut: 2420},
	{Key: ck.CKK_ML_DSA, ID: ck.CKP_ML_DSA_65, Name: "ML-DSA-65", OID: nist(3, 18), Strength: 192, LenPublic: 1952, LenPrivate: 4032, LenSeed: 32, LenOut: 3309},
	{Key: ck.CKK_ML_DSA, ID: ck.CKP_ML_DSA_87, Name: "ML-DSA-87", OID: nist(3, 19), Strength: 256, LenPublic: 2592, LenPrivate: 4896, LenSeed: 32, LenOut: 4627},

	{Key: ck.CKK_SLH_DSA, ID: ck.CKP_SLH_DSA_SHA2_128S, Name: "SLH-DSA-SHA2-128s", OID: nist(3, 20), Strength: 128, LenPublic: 32, LenPrivate: 64, LenOut: 7856},
	{Key: ck.CKK_SLH_DSA, ID: ck.CKP_SLH_DSA_SHAKE_128S, Name: "SLH-DSA-SHAKE-128s", OID: nist(3, 26), Strength: 128, LenPublic: 32, LenPrivate: 64, LenOut: 7856},
	{Key: ck.CKK_SLH_DSA, ID: ck.CKP_SLH_DSA_SHA2_128F, Name: "SLH-DSA-SHA2-128f", OID: nist(3, 21), Strength: 128, LenPublic: 32, LenPrivate: 64, LenOut: 17088},
	{Key: ck.CKK_SLH_DSA, ID: ck.CKP_SLH_DSA_SHAKE_128F, Name: "SLH-DSA-SHAKE-128f", OID: nist(3, 27), Strength: 128, LenPublic: 32, LenPrivate: 64, LenOut: 17088},
	{Key: ck.CKK_SLH_DSA, ID: ck.CKP_SLH_DSA_SHA2_192S, Name: "SLH-DSA-SHA2-192s", OID: nist(3, 22), Strength: 192, LenPublic: 48, LenPrivate: 96, LenOut: 16224},
	{Key: ck.CKK_SLH_DSA, ID: ck.CKP_SLH_DSA_SHAKE_192S, Name: "SLH-DSA-SHAKE-192s", OID: nist(3, 28), Strength: 192, LenPublic: 48, LenPrivate: 96, LenOut: 16224},
	{Key: ck.CKK_SLH_DSA, ID: ck.CKP_SLH_DSA_SHA2_192F, Name: "SLH-DSA-SHA2-192f", OID: nist(3, 23), Strength: 192, LenPublic: 48, LenPrivate: 96, LenOut: 35664},
	{Key: ck.CKK_SLH_DSA, ID: ck.CKP_SLH_DSA_SHAKE_192F, Name: "SLH-DSA-SHAKE-192f", OID: nist(3, 29), Strength: 192, LenPublic: 48, LenPrivate: 96, LenOut: 35664},
	{Key: ck.CKK_SLH_DSA, ID: ck.CKP_SLH_DSA_SHA2_256S, Name: "SLH-DSA-SHA2-256s", OID: nist(3, 24), Strength: 256, LenPublic: 64, LenPrivate: 128, LenOut: 29792},
	{Key: ck.CKK_SLH_DSA, ID: ck.CKP_SLH_DSA_SHAKE_256S, Name: "SLH-DSA-SHAKE-256s", OID: nist(3, 30), Strength: 256, LenPublic: 64, LenPrivate: 128, LenOut: 29792},
	{Key: ck.CKK_SLH_DSA, ID: ck.CKP_SLH_DSA_SHA2_256F, Name: "SLH-DSA-SHA2-256f", OID: nist(3, 25), Strength: 256, LenPublic: 64, LenPrivate: 128, LenOut: 49856},
	{Key: ck.CKK_SLH_DSA, ID: ck.CKP_SLH_DSA_SHAKE_256F, Name: "SLH-DSA-SHAKE-256f", OID: nist(3, 31), Strength: 256, LenPublic: 64, LenPrivate: 128, LenOut: 49856},

	{Key: ck.CKK_IBM_PQC_DILITHIUM, Name: "Dilithium round 2, 5-4", Computes: "Dilithium2 of round 3", OID: ibm(1, 5, 4), Strength: 128, LenPublic: 1312, LenPrivate: 2528, LenSeed: 32, LenOut: 2420},
	{Key: ck.CKK_IBM_PQC_DILITHIUM, Name: "Dilithium round 2, 6-5", Computes: "Dilithium3 of round 3", OID: ibm(1, 6, 5), Strength: 192, LenPublic: 1952, LenPrivate: 4000, LenSeed: 32, LenOut: 3293},
	{Key: ck.CKK_IBM_PQC_DILITHIUM, Name: "Dilithium round 2, 8-7", Computes: "Dilithium5 of round 3", OID: ibm(1, 8, 7), Strength: 256, LenPublic: 2592, LenPrivate: 4864, LenSeed: 32, LenOut: 4595},
	{Key: ck.CKK_IBM_PQC_DILITHIUM, Name: "Dilithium round 3, 4-4", OID: ibm(7, 4, 4), Strength: 128, LenPublic: 1312, LenPrivate: 2528, LenSeed: 32, LenOut: 2420},
	{Key: ck.CKK_IBM_PQC_DILITHIUM, Name: "Dilithium round 3, 6-5", OID: ibm(7, 6, 5), Strength: 192, LenPublic: 1952, LenPrivate: 4000, LenSeed: 32, LenOut: 3293},
	{Key: ck.CKK_IBM_PQC_DILITHIUM, Name: "Dilithium round 3, 8-7", OID: ibm(7, 8, 7), Strength: 256, LenPublic: 2592, LenPrivate: 4864, LenSeed: 32, LenOut: 4595},

	{Key: ck.CKK_IBM_PQC_KYBER, Name: "Kyber round 2, 512", Computes: "Kyber512 of round 3", OID: ibm(5), Strength: 128, LenPublic: 800, LenPrivate: 1632, LenSeed: 64, LenOut: 768},
	{Key: ck.CKK_IBM_PQC_KYBER, Name: "Kyber round 2, 768", Computes: "Kyber768 of round 3", OID: ibm(5, 3, 3), Strength: 192, LenPublic: 1184, LenPrivate: 2400, LenSeed: 64, LenOut: 1088},
	{Key: ck.CKK_IBM_PQC_KYBER, Name: "Kyber round 2, 1024", Computes: "Kyber1024 of round 3", OID: ibm(5, 4, 4), Strength: 256, LenPublic: 1568, LenPrivate: 3168, LenSeed: 64, LenOut: 1568},
}

// ParameterSets lists all of them. Do not change them.
func ParameterSets() []ParameterSet { return parameterSets }

// setsByOID find a set by the DER of its identifier.
var setsByOID = func() map[string]*ParameterSet {
	m := make(map[string]*ParameterSet, len(parameterSets))
	for i := range parameterSets {
		m[string(parameterSets[i].OID)] = &parameterSets[i]
	}
	return m
}()

// SetByOID finds a set by the DER of its identifier, nil if there is none.
func SetByOID(der []byte) *ParameterSet { return setsByOID[string(der)] }

// SetByID finds a key type's set by its CKA_PARAMETER_SET, nil if there is none.
func SetByID(kt ck.KeyType, id uint64) *ParameterSet {
	for i := range parameterSets {
		if s := &parameterSets[i]; s.Key == kt && s.ID == id && id != 0 {
			return s
		}
	}
	return nil
}

// vendorKeys: the vendor's own numbers for the standard's key types.
var vendorKeys = map[ck.KeyType]ck.KeyType{ck.CKK_IBM_ML_KEM: ck.CKK_ML_KEM, ck.CKK_IBM_ML_DSA: ck.CKK_ML_DSA}

// SetOf finds the set that the attributes of a key or a template name, nil if
// they name none that is known.
func SetOf(kt ck.KeyType, t ck.Template) *ParameterSet {
	if standard, ok := vendorKeys[kt]; ok {
		kt = standard
	}
	for _, at := range []ck.AttributeType{ck.CKA_PARAMETER_SET, ck.CKA_IBM_PARAMETER_SET} {
		if id, ok, err := t.Ulong(at); ok && err == nil {
			return SetByID(kt, id)
		}
	}
	if s := SetByOID(t.Bytes(ck.CKA_IBM_PQC_PARAMS)); s != nil && s.Key == kt {
		return s
	}
	return nil
}
