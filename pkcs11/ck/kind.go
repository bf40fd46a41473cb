package ck

// Kind says how the bytes of an attribute's value are to be read.
type Kind uint8

const (
	KindBytes     Kind = iota // bytes, strings, big integers, dates, DER
	KindBool                  // one CK_BBOOL
	KindUlong                 // one CK_ULONG
	KindUlongs                // an array of CK_ULONGs
	KindTemplates             // an array of CK_ATTRIBUTEs, in Attribute.Sub
)

// Kind of the attribute's value; attributes the table does not know are bytes.
func (t AttributeType) Kind() Kind { return kinds[t] }

var kinds = map[AttributeType]Kind{
	CKA_TOKEN: KindBool, CKA_PRIVATE: KindBool, CKA_MODIFIABLE: KindBool, CKA_COPYABLE: KindBool,
	CKA_DESTROYABLE: KindBool, CKA_TRUSTED: KindBool, CKA_SENSITIVE: KindBool, CKA_ENCRYPT: KindBool,
	CKA_DECRYPT: KindBool, CKA_WRAP: KindBool, CKA_UNWRAP: KindBool, CKA_SIGN: KindBool,
	CKA_SIGN_RECOVER: KindBool, CKA_VERIFY: KindBool, CKA_VERIFY_RECOVER: KindBool, CKA_DERIVE: KindBool,
	CKA_EXTRACTABLE: KindBool, CKA_LOCAL: KindBool, CKA_NEVER_EXTRACTABLE: KindBool,
	CKA_ALWAYS_SENSITIVE: KindBool, CKA_ALWAYS_AUTHENTICATE: KindBool, CKA_WRAP_WITH_TRUSTED: KindBool,
	CKA_ENCAPSULATE: KindBool, CKA_DECAPSULATE: KindBool,
	CKA_RESET_ON_INIT: KindBool, CKA_HAS_RESET: KindBool, CKA_COLOR: KindBool,

	CKA_IBM_RESTRICTABLE: KindBool, CKA_IBM_NEVER_MODIFIABLE: KindBool, CKA_IBM_RETAINKEY: KindBool,
	CKA_IBM_ATTRBOUND: KindBool, CKA_IBM_USE_AS_DATA: KindBool, CKA_IBM_PROTKEY_EXTRACTABLE: KindBool,
	CKA_IBM_PROTKEY_NEVER_EXTRACTABLE: KindBool,

	CKA_CLASS: KindUlong, CKA_KEY_TYPE: KindUlong, CKA_CERTIFICATE_TYPE: KindUlong,
	CKA_CERTIFICATE_CATEGORY: KindUlong, CKA_JAVA_MIDP_SECURITY_DOMAIN: KindUlong,
	CKA_KEY_GEN_MECHANISM: KindUlong, CKA_NAME_HASH_ALGORITHM: KindUlong, CKA_MODULUS_BITS: KindUlong,
	CKA_PRIME_BITS: KindUlong, CKA_SUBPRIME_BITS: KindUlong, CKA_VALUE_BITS: KindUlong,
	CKA_VALUE_LEN: KindUlong, CKA_MECHANISM_TYPE: KindUlong, CKA_PROFILE_ID: KindUlong,
	CKA_HW_FEATURE_TYPE: KindUlong, CKA_PARAMETER_SET: KindUlong, CKA_OBJECT_VALIDATION_FLAGS: KindUlong,
	CKA_IBM_KEYTYPE: KindUlong, CKA_IBM_STD_COMPLIANCE1: KindUlong, CKA_IBM_PARAMETER_SET: KindUlong,
	CKA_TRUST_SERVER_AUTH: KindUlong, CKA_TRUST_CLIENT_AUTH: KindUlong, CKA_TRUST_CODE_SIGNING: KindUlong,
	CKA_TRUST_EMAIL_PROTECTION: KindUlong, CKA_TRUST_IPSEC_IKE: KindUlong, CKA_TRUST_TIME_STAMPING: KindUlong,
	CKA_TRUST_OCSP_SIGNING: KindUlong,

	CKA_ALLOWED_MECHANISMS: KindUlongs,

	CKA_WRAP_TEMPLATE: KindTemplates, CKA_UNWRAP_TEMPLATE: KindTemplates, CKA_DERIVE_TEMPLATE: KindTemplates,
	CKA_ENCAPSULATE_TEMPLATE: KindTemplates, CKA_DECAPSULATE_TEMPLATE: KindTemplates,
}
