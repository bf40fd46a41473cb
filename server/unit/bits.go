package unit

import "grep11/pkcs11/ck"

// Bits are the Boolean attributes of a key, sealed with it (grep11-wire 10.5).
// The upper half is our own.
type Bits uint64

const (
	BitExtractable Bits = 1 << iota
	BitNeverExtractable
	BitModifiable
	BitNeverModifiable
	BitRestrictable
	BitLocal
	BitAttrBound
	BitUseAsData
	BitSign
	BitSignRecover
	BitDecrypt
	BitEncrypt
	BitDerive
	BitUnwrap
	BitWrap
	BitVerify
	BitVerifyRecover
	BitTrusted
	BitWrapWithTrusted
	BitRetained
	BitAlwaysRetained
	BitProtkeyExtractable
	BitProtkeyNeverExtractable
)

const (
	// BitInsensitive: the template said SENSITIVE false. The value of a key that is
	// extractable, too, may be read.
	BitInsensitive Bits = 1 << (32 + iota)
	BitAlwaysSensitive
	BitEncapsulate
	BitDecapsulate
)

// BoolAttributes are the attributes that are bits; SENSITIVE is the absence of one.
var BoolAttributes = []struct {
	Type ck.AttributeType
	Bit  Bits
}{
	{ck.CKA_EXTRACTABLE, BitExtractable},
	{ck.CKA_NEVER_EXTRACTABLE, BitNeverExtractable},
	{ck.CKA_MODIFIABLE, BitModifiable},
	{ck.CKA_IBM_NEVER_MODIFIABLE, BitNeverModifiable},
	{ck.CKA_IBM_RESTRICTABLE, BitRestrictable},
	{ck.CKA_LOCAL, BitLocal},
	{ck.CKA_IBM_ATTRBOUND, BitAttrBound},
	{ck.CKA_IBM_USE_AS_DATA, BitUseAsData},
	{ck.CKA_SIGN, BitSign},
	{ck.CKA_SIGN_RECOVER, BitSignRecover},
	{ck.CKA_DECRYPT, BitDecrypt},
	{ck.CKA_ENCRYPT, BitEncrypt},
	{ck.CKA_DERIVE, BitDerive},
	{ck.CKA_UNWRAP, BitUnwrap},
	{ck.CKA_WRAP, BitWrap},
	{ck.CKA_VERIFY, BitVerify},
	{ck.CKA_VERIFY_RECOVER, BitVerifyRecover},
	{ck.CKA_TRUSTED, BitTrusted},
	{ck.CKA_WRAP_WITH_TRUSTED, BitWrapWithTrusted},
	{ck.CKA_IBM_RETAINKEY, BitRetained},
	{ck.CKA_IBM_PROTKEY_EXTRACTABLE, BitProtkeyExtractable},
	{ck.CKA_IBM_PROTKEY_NEVER_EXTRACTABLE, BitProtkeyNeverExtractable},
	{ck.CKA_ALWAYS_SENSITIVE, BitAlwaysSensitive},
	{ck.CKA_ENCAPSULATE, BitEncapsulate},
	{ck.CKA_DECAPSULATE, BitDecapsulate},
}

// BitOf is the bit of a Boolean attribute, 0 for others.
func BitOf(t ck.AttributeType) Bits { return bitOf[t] }

var bitOf = func() map[ck.AttributeType]Bits {
	m := make(map[ck.AttributeType]Bits, len(BoolAttributes))
	for _, a := range BoolAttributes {
		m[a.Type] = a.Bit
	}
	return m
}()

// Set gives the bits with some switched.
func (b Bits) Set(which Bits, on bool) Bits {
	if on {
		return b | which
	}
	return b &^ which
}

// Has tells whether all of some bits are on.
func (b Bits) Has(which Bits) bool { return b&which == which }
