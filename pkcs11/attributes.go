package pkcs11

import "grep11/pkcs11/ck"

var (
	yes   = []byte{ck.CK_TRUE}
	no    = []byte{ck.CK_FALSE}
	empty = []byte{}
)

func ulong(n uint64) []byte { return ck.Ulong(0, n).Value }

func types[T ~uint64](t ...T) []uint64 {
	out := make([]uint64, len(t))
	for i, v := range t {
		out[i] = uint64(v)
	}
	return out
}

var (
	named      = types[ck.CertificateType](ck.CKC_X_509, ck.CKC_WTLS)
	attributed = types[ck.CertificateType](ck.CKC_X_509_ATTR_CERT)
	rsa        = types[ck.KeyType](ck.CKK_RSA)
	curves     = types[ck.KeyType](ck.CKK_EC, ck.CKK_EC_EDWARDS, ck.CKK_EC_MONTGOMERY)
	fields     = types[ck.KeyType](ck.CKK_DSA, ck.CKK_DH)
	dsa        = types[ck.KeyType](ck.CKK_DSA)
	sets       = types[ck.KeyType](ck.CKK_ML_DSA, ck.CKK_ML_KEM, ck.CKK_SLH_DSA)
	vendors    = types[ck.KeyType](ck.CKK_IBM_PQC_DILITHIUM, ck.CKK_IBM_PQC_KYBER)
	pqc        = append(append([]uint64{}, sets...), vendors...)
	seeded     = append(types[ck.KeyType](ck.CKK_ML_DSA, ck.CKK_ML_KEM), vendors...)
)

// rules is every attribute there is, the standard's order. Where two rules
// name one attribute, the first that fits an object counts.
var rules = []rule{
	// Common, §4.4 and §4.5.
	{Type: ck.CKA_CLASS, On: every, Is: createNeeds},
	{Type: ck.CKA_UNIQUE_ID, On: every, Is: computed},
	{Type: ck.CKA_TOKEN, On: stored, Is: copyChanges, Default: no},
	{Type: ck.CKA_TOKEN, On: profiles, Default: yes},
	{Type: ck.CKA_PRIVATE, On: hidden | data, Is: copyChanges, Default: yes},
	{Type: ck.CKA_PRIVATE, On: every, Is: copyChanges, Default: no},
	{Type: ck.CKA_MODIFIABLE, On: keys, Is: copyChanges | sealed, Default: yes},
	{Type: ck.CKA_MODIFIABLE, On: stored, Is: copyChanges, Default: yes},
	{Type: ck.CKA_MODIFIABLE, On: profiles, Default: no},
	{Type: ck.CKA_LABEL, On: every, Is: mutable, Default: empty},
	{Type: ck.CKA_COPYABLE, On: stored, Is: mutable | staysFalse, Default: yes},
	{Type: ck.CKA_COPYABLE, On: profiles, Default: no},
	{Type: ck.CKA_DESTROYABLE, On: stored, Is: copyChanges, Default: yes},
	{Type: ck.CKA_DESTROYABLE, On: profiles, Default: no},
	{Type: ck.CKA_PROFILE_ID, On: profiles},

	// Data, §4.6.
	{Type: ck.CKA_APPLICATION, On: data, Is: mutable, Default: empty},
	{Type: ck.CKA_OBJECT_ID, On: data, Is: mutable, Default: empty},
	{Type: ck.CKA_VALUE, On: data, Is: mutable, Default: empty},

	// Certificates, §4.7.
	{Type: ck.CKA_CERTIFICATE_TYPE, On: certs, Is: createNeeds},
	{Type: ck.CKA_TRUSTED, On: certs, Is: soSets, Default: no},
	{Type: ck.CKA_CERTIFICATE_CATEGORY, On: certs, Default: ulong(0)},
	{Type: ck.CKA_CHECK_VALUE, On: certs},
	{Type: ck.CKA_START_DATE, On: certs, Default: empty},
	{Type: ck.CKA_END_DATE, On: certs, Default: empty},
	{Type: ck.CKA_PUBLIC_KEY_INFO, On: certs, Default: empty},
	{Type: ck.CKA_SUBJECT, On: certs, Keys: named, Is: createNeeds},
	{Type: ck.CKA_SUBJECT, On: certs, Default: empty},
	{Type: ck.CKA_ID, On: certs, Is: mutable, Default: empty},
	{Type: ck.CKA_ISSUER, On: certs, Is: mutable, Default: empty},
	{Type: ck.CKA_SERIAL_NUMBER, On: certs, Is: mutable, Default: empty},
	{Type: ck.CKA_VALUE, On: certs, Is: createNeeds},
	{Type: ck.CKA_URL, On: certs, Default: empty},
	{Type: ck.CKA_HASH_OF_SUBJECT_PUBLIC_KEY, On: certs, Default: empty},
	{Type: ck.CKA_HASH_OF_ISSUER_PUBLIC_KEY, On: certs, Default: empty},
	{Type: ck.CKA_JAVA_MIDP_SECURITY_DOMAIN, On: certs, Default: ulong(0)},
	{Type: ck.CKA_NAME_HASH_ALGORITHM, On: certs, Default: ulong(uint64(ck.CKM_SHA_1))},
	{Type: ck.CKA_OWNER, On: certs, Keys: attributed, Is: createNeeds},
	{Type: ck.CKA_OWNER, On: certs},
	{Type: ck.CKA_AC_ISSUER, On: certs, Is: mutable},
	{Type: ck.CKA_ATTR_TYPES, On: certs, Is: mutable},

	// Keys, §4.8.
	{Type: ck.CKA_KEY_TYPE, On: keys, Is: createNeeds | unwrapNeeds},
	{Type: ck.CKA_ID, On: keys, Is: mutable, Default: empty},
	{Type: ck.CKA_START_DATE, On: keys, Is: mutable, Default: empty},
	{Type: ck.CKA_END_DATE, On: keys, Is: mutable, Default: empty},
	{Type: ck.CKA_LOCAL, On: keys, Is: computed, Default: no},
	{Type: ck.CKA_KEY_GEN_MECHANISM, On: keys, Is: computed, Default: ulong(ck.CK_UNAVAILABLE_INFORMATION)},
	{Type: ck.CKA_ALLOWED_MECHANISMS, On: keys, Default: empty},
	{Type: ck.CKA_OBJECT_VALIDATION_FLAGS, On: keys, Is: computed, Default: ulong(0)},
	{Type: ck.CKA_SUBJECT, On: pairs, Is: mutable, Default: empty},
	{Type: ck.CKA_PUBLIC_KEY_INFO, On: pairs},
	{Type: ck.CKA_CHECK_VALUE, On: secrets},
	{Type: ck.CKA_CHECK_VALUE, On: pairs, Keys: curves, Is: computed}, // the chain code of a key in a tree

	// What keys may be used for, §4.9 to §4.11.
	{Type: ck.CKA_DERIVE, On: keys, Is: mutable | sealed, Default: no},
	{Type: ck.CKA_ENCRYPT, On: publics | secrets, Is: mutable | sealed, Default: no},
	{Type: ck.CKA_DECRYPT, On: secrets, Is: mutable | staysFalse | sealed, Default: no}, // see mayWrap
	{Type: ck.CKA_DECRYPT, On: privates, Is: mutable | sealed, Default: no},
	{Type: ck.CKA_SIGN, On: hidden, Is: mutable | sealed, Default: no},
	{Type: ck.CKA_VERIFY, On: publics | secrets, Is: mutable | sealed, Default: no},
	{Type: ck.CKA_SIGN_RECOVER, On: privates, Is: mutable | sealed, Default: no},
	{Type: ck.CKA_VERIFY_RECOVER, On: publics, Is: mutable | sealed, Default: no},
	{Type: ck.CKA_WRAP, On: secrets, Is: mutable | staysFalse | sealed, Default: no},
	{Type: ck.CKA_WRAP, On: publics, Is: mutable | sealed, Default: no},
	{Type: ck.CKA_UNWRAP, On: hidden, Is: mutable | sealed, Default: no},
	{Type: ck.CKA_ENCAPSULATE, On: publics, Is: mutable | sealed, Default: no},
	{Type: ck.CKA_DECAPSULATE, On: privates, Is: mutable | sealed, Default: no},
	{Type: ck.CKA_TRUSTED, On: publics | secrets, Is: mutable | soSets | sealed, Default: no},
	{Type: ck.CKA_SENSITIVE, On: hidden, Is: mutable | staysTrue | sealed, Default: yes},
	{Type: ck.CKA_EXTRACTABLE, On: hidden, Is: mutable | staysFalse | sealed, Default: no},
	{Type: ck.CKA_ALWAYS_SENSITIVE, On: hidden, Is: computed, Default: no},
	{Type: ck.CKA_NEVER_EXTRACTABLE, On: hidden, Is: computed, Default: no},
	{Type: ck.CKA_WRAP_WITH_TRUSTED, On: hidden, Is: mutable | staysTrue | sealed, Default: no},
	{Type: ck.CKA_ALWAYS_AUTHENTICATE, On: privates, Default: no},
	{Type: ck.CKA_ALWAYS_AUTHENTICATE, On: secrets, Is: createNot | generateNot | unwrapNot, Default: no},
	{Type: ck.CKA_WRAP_TEMPLATE, On: publics | secrets},
	{Type: ck.CKA_UNWRAP_TEMPLATE, On: hidden},
	{Type: ck.CKA_DERIVE_TEMPLATE, On: hidden},
	{Type: ck.CKA_ENCAPSULATE_TEMPLATE, On: publics},
	{Type: ck.CKA_DECAPSULATE_TEMPLATE, On: privates},

	// RSA, §6.1. A private key's public exponent may be missing, as before 2.40.
	{Type: ck.CKA_MODULUS, On: publics, Keys: rsa, Is: createNeeds | generateNot},
	{Type: ck.CKA_MODULUS_BITS, On: publics, Keys: rsa, Is: createNot | generateNeeds},
	{Type: ck.CKA_PUBLIC_EXPONENT, On: publics, Keys: rsa, Is: createNeeds},
	{Type: ck.CKA_MODULUS, On: privates, Keys: rsa, Is: createNeeds | generateNot | unwrapNot},
	{Type: ck.CKA_PUBLIC_EXPONENT, On: privates, Keys: rsa, Is: generateNot | unwrapNot},
	{Type: ck.CKA_PRIVATE_EXPONENT, On: privates, Keys: rsa, Is: createNeeds | generateNot | unwrapNot | secret},
	{Type: ck.CKA_PRIME_1, On: privates, Keys: rsa, Is: generateNot | unwrapNot | secret},
	{Type: ck.CKA_PRIME_2, On: privates, Keys: rsa, Is: generateNot | unwrapNot | secret},
	{Type: ck.CKA_EXPONENT_1, On: privates, Keys: rsa, Is: generateNot | unwrapNot | secret},
	{Type: ck.CKA_EXPONENT_2, On: privates, Keys: rsa, Is: generateNot | unwrapNot | secret},
	{Type: ck.CKA_COEFFICIENT, On: privates, Keys: rsa, Is: generateNot | unwrapNot | secret},

	// Elliptic curves, §6.3. A private key's point is an extension that
	// applications use.
	{Type: ck.CKA_EC_PARAMS, On: publics, Keys: curves, Is: createNeeds | generateNeeds},
	{Type: ck.CKA_EC_POINT, On: publics, Keys: curves, Is: createNeeds | generateNot},
	{Type: ck.CKA_EC_PARAMS, On: privates, Keys: curves, Is: createNeeds},
	{Type: ck.CKA_EC_POINT, On: privates, Keys: curves, Is: generateNot},
	{Type: ck.CKA_VALUE, On: privates, Keys: curves, Is: createNeeds | generateNot | unwrapNot | secret},

	// DSA and Diffie-Hellman, §6.2 and §6.4.
	{Type: ck.CKA_PRIME, On: pairs, Keys: fields, Is: createNeeds},
	{Type: ck.CKA_SUBPRIME, On: pairs, Keys: dsa, Is: createNeeds},
	{Type: ck.CKA_BASE, On: pairs, Keys: fields, Is: createNeeds},
	{Type: ck.CKA_VALUE_BITS, On: privates, Keys: fields},
	{Type: ck.CKA_VALUE, On: publics, Keys: fields, Is: createNeeds | generateNot},
	{Type: ck.CKA_VALUE, On: privates, Keys: fields, Is: createNeeds | generateNot | unwrapNot | secret},

	// Domain parameters, §4.12.
	{Type: ck.CKA_KEY_TYPE, On: domains, Is: createNeeds},
	{Type: ck.CKA_LOCAL, On: domains, Is: computed, Default: no},
	{Type: ck.CKA_PRIME, On: domains, Is: createNeeds | generateNot},
	{Type: ck.CKA_SUBPRIME, On: domains, Keys: dsa, Is: createNeeds | generateNot},
	{Type: ck.CKA_BASE, On: domains, Is: createNeeds | generateNot},
	{Type: ck.CKA_PRIME_BITS, On: domains, Is: createNot | generateNeeds},
	{Type: ck.CKA_SUBPRIME_BITS, On: domains, Keys: dsa, Is: createNot},

	// Trust objects.
	{Type: ck.CKA_ISSUER, On: trusts, Is: createNeeds},
	{Type: ck.CKA_SERIAL_NUMBER, On: trusts, Is: createNeeds},
	{Type: ck.CKA_HASH_OF_CERTIFICATE, On: trusts, Default: empty},
	{Type: ck.CKA_NAME_HASH_ALGORITHM, On: trusts, Default: ulong(uint64(ck.CKM_SHA_1))},
	{Type: ck.CKA_TRUST_SERVER_AUTH, On: trusts, Is: mutable, Default: ulong(ck.CKT_TRUST_UNKNOWN)},
	{Type: ck.CKA_TRUST_CLIENT_AUTH, On: trusts, Is: mutable, Default: ulong(ck.CKT_TRUST_UNKNOWN)},
	{Type: ck.CKA_TRUST_CODE_SIGNING, On: trusts, Is: mutable, Default: ulong(ck.CKT_TRUST_UNKNOWN)},
	{Type: ck.CKA_TRUST_EMAIL_PROTECTION, On: trusts, Is: mutable, Default: ulong(ck.CKT_TRUST_UNKNOWN)},
	{Type: ck.CKA_TRUST_IPSEC_IKE, On: trusts, Is: mutable, Default: ulong(ck.CKT_TRUST_UNKNOWN)},
	{Type: ck.CKA_TRUST_TIME_STAMPING, On: trusts, Is: mutable, Default: ulong(ck.CKT_TRUST_UNKNOWN)},
	{Type: ck.CKA_TRUST_OCSP_SIGNING, On: trusts, Is: mutable, Default: ulong(ck.CKT_TRUST_UNKNOWN)},

	// ML-DSA, SLH-DSA and ML-KEM, §6.67 to §6.70.
	// A private key comes with seed, value or both. The vendor's algorithms before
	// them are alike, their sets an OID.
	{Type: ck.CKA_PARAMETER_SET, On: publics, Keys: sets, Is: createNeeds | generateNeeds},
	{Type: ck.CKA_PARAMETER_SET, On: privates, Keys: sets, Is: createNeeds},
	{Type: ck.CKA_IBM_PQC_PARAMS, On: publics, Keys: vendors, Is: createNeeds | generateNeeds},
	{Type: ck.CKA_IBM_PQC_PARAMS, On: privates, Keys: vendors, Is: createNeeds},
	{Type: ck.CKA_VALUE, On: publics, Keys: pqc, Is: createNeeds | generateNot},
	{Type: ck.CKA_SEED, On: privates, Keys: seeded, Is: generateNot | unwrapNot | secret},
	{Type: ck.CKA_VALUE, On: privates, Keys: pqc, Is: generateNot | unwrapNot | secret},

	// Secret keys, §6.5 and on. CKA_VALUE_LEN beside a value is taken where the
	// two agree.
	{Type: ck.CKA_VALUE, On: secrets, Is: createNeeds | generateNot | unwrapNot | secret},
	{Type: ck.CKA_VALUE_LEN, On: secrets},

	// EP11's own.
	{Type: ck.CKA_IBM_RESTRICTABLE, On: keys, Is: mutable | sealed},
	{Type: ck.CKA_IBM_NEVER_MODIFIABLE, On: keys, Is: mutable | sealed},
	{Type: ck.CKA_IBM_RETAINKEY, On: keys, Is: computed | sealed},
	{Type: ck.CKA_IBM_ATTRBOUND, On: keys, Is: sealed},
	{Type: ck.CKA_IBM_USE_AS_DATA, On: keys, Is: mutable | sealed},
	{Type: ck.CKA_IBM_PROTKEY_EXTRACTABLE, On: keys, Is: mutable | sealed},
	{Type: ck.CKA_IBM_PROTKEY_NEVER_EXTRACTABLE, On: keys, Is: computed | sealed},
	{Type: ck.CKA_IBM_STD_COMPLIANCE1, On: keys, Is: sealed},
	{Type: ck.CKA_IBM_KEYTYPE, On: keys},
	{Type: ck.CKA_IBM_PARAMETER_SET, On: keys},
}
