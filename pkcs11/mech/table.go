package mech

import (
	"crypto"
	"slices"

	"grep11/pkcs11/ck"
)

// Row is all that is known of one mechanism.
type Row struct {
	Type ck.MechanismType
	// Use holds the CKF_ bits of the functions that take the mechanism.
	Use ck.Flags
	// Keys are the key types it works with (or makes); none: it has no key.
	Keys []ck.KeyType
	// Size bounds the keys, in the unit the standard gives for the mechanism.
	Size Size
	// Param is the parameter it takes.
	Param ParamKind
	// Hash is the digest of a combined form, or of the digest itself.
	Hash crypto.Hash
	// Single marks mechanisms without multi-part functions.
	Single bool
	// Held marks ciphers whose multi-part functions give everything at the end.
	Held bool
	// Block is the cipher's block in bytes, 0 for streams and signatures.
	Block int
	// Stream marks modes that make a stream of a block cipher.
	Stream bool
	// Out is how long a signature, MAC or digest is.
	Out Out
}

// Size bounds key sizes, both ends included; zero where the standard has none.
type Size struct{ Min, Max uint64 }

// Bits and Bytes name the unit at the place of use.
func Bits(min, max uint64) Size  { return Size{min, max} }
func Bytes(min, max uint64) Size { return Size{min, max} }

// Out says what the length of an operation's result depends on.
type Out uint8

const (
	OutNone       Out = iota
	OutModulus        // the RSA modulus
	OutTwiceOrder     // r and s of the curve's order
	OutHash           // the hash
	OutEdwards        // 64 bytes for Ed25519, 114 for Ed448
	OutSameAsIn       // as long as the input
	OutPadded         // the next full block
	OutTag            // the input and a tag
	OutBlock          // the cipher's block
	OutMAC            // what the parameter says
	OutPoint          // an uncompressed point
	OutKeyWrap        // the input and a check block of 8 bytes, to a multiple of 8
	OutSignature      // as the key's parameter set says
)

const (
	signs    = ck.CKF_SIGN | ck.CKF_VERIFY
	crypts   = ck.CKF_ENCRYPT | ck.CKF_DECRYPT
	wraps    = ck.CKF_WRAP | ck.CKF_UNWRAP
	kems     = ck.CKF_ENCAPSULATE | ck.CKF_DECAPSULATE
	onCurves = ck.CKF_EC_F_P | ck.CKF_EC_NAMEDCURVE | ck.CKF_EC_UNCOMPRESS
)

var (
	rsaKey   = []ck.KeyType{ck.CKK_RSA}
	ecKey    = []ck.KeyType{ck.CKK_EC}
	xKey     = []ck.KeyType{ck.CKK_EC_MONTGOMERY}
	ecdhKey  = []ck.KeyType{ck.CKK_EC, ck.CKK_EC_MONTGOMERY}
	cmacKey  = []ck.KeyType{ck.CKK_AES, ck.CKK_DES3, ck.CKK_DES2}
	baseKey  = append([]ck.KeyType{ck.CKK_CHACHA20}, macKey...)
	chaKey   = []ck.KeyType{ck.CKK_CHACHA20}
	sipKey   = []ck.KeyType{ck.CKK_GENERIC_SECRET, ck.CKK_AES}
	hkdfKey  = []ck.KeyType{ck.CKK_HKDF}
	pbeKey   = []ck.KeyType{ck.CKK_DES3}
	pbkdfKey = append(slices.Clone(macKey), ck.CKK_CHACHA20)
	treeKey  = []ck.KeyType{ck.CKK_GENERIC_SECRET, ck.CKK_EC, ck.CKK_EC_EDWARDS}
	boundKey = []ck.KeyType{ck.CKK_RSA, ck.CKK_AES}
	mlkemKey = []ck.KeyType{ck.CKK_ML_KEM, ck.CKK_IBM_ML_KEM}
	mldsaKey = []ck.KeyType{ck.CKK_ML_DSA, ck.CKK_IBM_ML_DSA}
	slhKey   = []ck.KeyType{ck.CKK_SLH_DSA}
	kyberKey = []ck.KeyType{ck.CKK_IBM_PQC_KYBER}
	dilKey   = []ck.KeyType{ck.CKK_IBM_PQC_DILITHIUM}
	dsaKey   = []ck.KeyType{ck.CKK_DSA}
	dhKey    = []ck.KeyType{ck.CKK_DH}
	edKey    = []ck.KeyType{ck.CKK_EC_EDWARDS}
	aesKey   = []ck.KeyType{ck.CKK_AES}
	des3Key  = []ck.KeyType{ck.CKK_DES3, ck.CKK_DES2}
	macKey   = []ck.KeyType{ck.CKK_GENERIC_SECRET, ck.CKK_AES, ck.CKK_DES3, ck.CKK_DES2, ck.CKK_SHA_1_HMAC, ck.CKK_SHA224_HMAC, ck.CKK_SHA256_HMAC, ck.CKK_SHA384_HMAC, ck.CKK_SHA512_HMAC,
		ck.CKK_SHA512_224_HMAC, ck.CKK_SHA512_256_HMAC, ck.CKK_SHA3_224_HMAC, ck.CKK_SHA3_256_HMAC, ck.CKK_SHA3_384_HMAC, ck.CKK_SHA3_512_HMAC,
		ck.CKK_HKDF}

	rsaSizes = Bits(512, 4096)
	ecSizes  = Bits(160, 521)
	dsaSizes = Bits(1024, 3072)
	dhSizes  = Bits(1024, 4096)
	edSizes  = Bits(255, 448)
	aesSizes = Bytes(16, 32)
	macSizes = Bytes(1, 16<<10)
	// Of the public key, PKCS#11 v3.2 §6.67 and on.
	mlkemSizes = Bytes(800, 1568)
	mldsaSizes = Bytes(1312, 2592)
	slhSizes   = Bytes(32, 64)
)

// table's first row is CKM_RSA_PKCS: GREP11 clients expect it first in the
// mechanism list.
var table = []Row{
	{Type: ck.CKM_RSA_PKCS, Keys: rsaKey, Size: rsaSizes, Use: signs | crypts | wraps, Single: true, Out: OutModulus},
	{Type: ck.CKM_RSA_X_509, Keys: rsaKey, Size: rsaSizes, Use: signs | crypts, Single: true, Out: OutModulus},
	{Type: ck.CKM_RSA_PKCS_OAEP, Keys: rsaKey, Size: rsaSizes, Use: crypts | wraps, Param: ParamOAEP, Single: true, Out: OutModulus},
	{Type: ck.CKM_RSA_AES_KEY_WRAP, Keys: rsaKey, Size: rsaSizes, Use: wraps, Param: ParamRSAAES, Out: OutKeyWrap},
	{Type: ck.CKM_RSA_PKCS_PSS, Keys: rsaKey, Size: rsaSizes, Use: signs, Param: ParamPSS, Single: true, Out: OutModulus},
	{Type: ck.CKM_RSA_PKCS_KEY_PAIR_GEN, Keys: rsaKey, Size: rsaSizes, Use: ck.CKF_GENERATE_KEY_PAIR},

	{Type: ck.CKM_SHA1_RSA_PKCS, Keys: rsaKey, Size: rsaSizes, Use: signs, Hash: crypto.SHA1, Out: OutModulus},
	{Type: ck.CKM_SHA224_RSA_PKCS, Keys: rsaKey, Size: rsaSizes, Use: signs, Hash: crypto.SHA224, Out: OutModulus},
	{Type: ck.CKM_SHA256_RSA_PKCS, Keys: rsaKey, Size: rsaSizes, Use: signs, Hash: crypto.SHA256, Out: OutModulus},
	{Type: ck.CKM_SHA384_RSA_PKCS, Keys: rsaKey, Size: rsaSizes, Use: signs, Hash: crypto.SHA384, Out: OutModulus},
	{Type: ck.CKM_SHA512_RSA_PKCS, Keys: rsaKey, Size: rsaSizes, Use: signs, Hash: crypto.SHA512, Out: OutModulus},
	{Type: ck.CKM_SHA1_RSA_PKCS_PSS, Keys: rsaKey, Size: rsaSizes, Use: signs, Param: ParamPSS, Hash: crypto.SHA1, Out: OutModulus},
	{Type: ck.CKM_SHA224_RSA_PKCS_PSS, Keys: rsaKey, Size: rsaSizes, Use: signs, Param: ParamPSS, Hash: crypto.SHA224, Out: OutModulus},
	{Type: ck.CKM_SHA256_RSA_PKCS_PSS, Keys: rsaKey, Size: rsaSizes, Use: signs, Param: ParamPSS, Hash: crypto.SHA256, Out: OutModulus},
	{Type: ck.CKM_SHA384_RSA_PKCS_PSS, Keys: rsaKey, Size: rsaSizes, Use: signs, Param: ParamPSS, Hash: crypto.SHA384, Out: OutModulus},
	{Type: ck.CKM_SHA512_RSA_PKCS_PSS, Keys: rsaKey, Size: rsaSizes, Use: signs, Param: ParamPSS, Hash: crypto.SHA512, Out: OutModulus},

	{Type: ck.CKM_RSA_X9_31, Keys: rsaKey, Size: rsaSizes, Use: signs, Single: true, Out: OutModulus},
	{Type: ck.CKM_SHA1_RSA_X9_31, Keys: rsaKey, Size: rsaSizes, Use: signs, Hash: crypto.SHA1, Out: OutModulus},
	{Type: ck.CKM_RSA_X9_31_KEY_PAIR_GEN, Keys: rsaKey, Size: rsaSizes, Use: ck.CKF_GENERATE_KEY_PAIR},
	{Type: ck.CKM_SHA3_224_RSA_PKCS, Keys: rsaKey, Size: rsaSizes, Use: signs, Hash: crypto.SHA3_224, Out: OutModulus},
	{Type: ck.CKM_SHA3_256_RSA_PKCS, Keys: rsaKey, Size: rsaSizes, Use: signs, Hash: crypto.SHA3_256, Out: OutModulus},
	{Type: ck.CKM_SHA3_384_RSA_PKCS, Keys: rsaKey, Size: rsaSizes, Use: signs, Hash: crypto.SHA3_384, Out: OutModulus},
	{Type: ck.CKM_SHA3_512_RSA_PKCS, Keys: rsaKey, Size: rsaSizes, Use: signs, Hash: crypto.SHA3_512, Out: OutModulus},
	{Type: ck.CKM_SHA3_224_RSA_PKCS_PSS, Keys: rsaKey, Size: rsaSizes, Use: signs, Param: ParamPSS, Hash: crypto.SHA3_224, Out: OutModulus},
	{Type: ck.CKM_SHA3_256_RSA_PKCS_PSS, Keys: rsaKey, Size: rsaSizes, Use: signs, Param: ParamPSS, Hash: crypto.SHA3_256, Out: OutModulus},
	{Type: ck.CKM_SHA3_384_RSA_PKCS_PSS, Keys: rsaKey, Size: rsaSizes, Use: signs, Param: ParamPSS, Hash: crypto.SHA3_384, Out: OutModulus},
	{Type: ck.CKM_SHA3_512_RSA_PKCS_PSS, Keys: rsaKey, Size: rsaSizes, Use: signs, Param: ParamPSS, Hash: crypto.SHA3_512, Out: OutModulus},

	{Type: ck.CKM_EC_KEY_PAIR_GEN, Keys: []ck.KeyType{ck.CKK_EC, ck.CKK_EC_EDWARDS, ck.CKK_EC_MONTGOMERY}, Size: ecSizes, Use: ck.CKF_GENERATE_KEY_PAIR | onCurves},
	{Type: ck.CKM_ECDSA, Keys: ecKey, Size: ecSizes, Use: signs | onCurves, Single: true, Out: OutTwiceOrder},
	{Type: ck.CKM_ECDSA_SHA1, Keys: ecKey, Size: ecSizes, Use: signs | onCurves, Hash: crypto.SHA1, Out: OutTwiceOrder},
	{Type: ck.CKM_ECDSA_SHA224, Keys: ecKey, Size: ecSizes, Use: signs | onCurves, Hash: crypto.SHA224, Out: OutTwiceOrder},
	{Type: ck.CKM_ECDSA_SHA256, Keys: ecKey, Size: ecSizes, Use: signs | onCurves, Hash: crypto.SHA256, Out: OutTwiceOrder},
	{Type: ck.CKM_ECDSA_SHA384, Keys: ecKey, Size: ecSizes, Use: signs | onCurves, Hash: crypto.SHA384, Out: OutTwiceOrder},
	{Type: ck.CKM_ECDSA_SHA512, Keys: ecKey, Size: ecSizes, Use: signs | onCurves, Hash: crypto.SHA512, Out: OutTwiceOrder},
	{Type: ck.CKM_ECDSA_SHA3_224, Keys: ecKey, Size: ecSizes, Use: signs | onCurves, Hash: crypto.SHA3_224, Out: OutTwiceOrder},
	{Type: ck.CKM_ECDSA_SHA3_256, Keys: ecKey, Size: ecSizes, Use: signs | onCurves, Hash: crypto.SHA3_256, Out: OutTwiceOrder},
	{Type: ck.CKM_ECDSA_SHA3_384, Keys: ecKey, Size: ecSizes, Use: signs | onCurves, Hash: crypto.SHA3_384, Out: OutTwiceOrder},
	{Type: ck.CKM_ECDSA_SHA3_512, Keys: ecKey, Size: ecSizes, Use: signs | onCurves, Hash: crypto.SHA3_512, Out: OutTwiceOrder},
	{Type: ck.CKM_IBM_ECDSA_SHA224, Keys: ecKey, Size: ecSizes, Use: signs | onCurves, Hash: crypto.SHA224, Out: OutTwiceOrder},
	{Type: ck.CKM_IBM_ECDSA_SHA256, Keys: ecKey, Size: ecSizes, Use: signs | onCurves, Hash: crypto.SHA256, Out: OutTwiceOrder},
	{Type: ck.CKM_IBM_ECDSA_SHA384, Keys: ecKey, Size: ecSizes, Use: signs | onCurves, Hash: crypto.SHA384, Out: OutTwiceOrder},
	{Type: ck.CKM_IBM_ECDSA_SHA512, Keys: ecKey, Size: ecSizes, Use: signs | onCurves, Hash: crypto.SHA512, Out: OutTwiceOrder},
	{Type: ck.CKM_ECDH1_DERIVE, Keys: ecdhKey, Size: ecSizes, Use: ck.CKF_DERIVE | onCurves, Param: ParamECDH1},
	{Type: ck.CKM_ECDH1_COFACTOR_DERIVE, Keys: ecKey, Size: ecSizes, Use: ck.CKF_DERIVE | onCurves, Param: ParamECDH1},
	{Type: ck.CKM_IBM_ECDH1_DERIVE_RAW, Keys: ecdhKey, Size: ecSizes, Use: ck.CKF_DERIVE | onCurves, Param: ParamECDH1},
	{Type: ck.CKM_IBM_EC_MULTIPLY, Keys: ecKey, Size: ecSizes, Use: ck.CKF_ENCRYPT | onCurves, Single: true, Out: OutPoint},

	{Type: ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, Keys: edKey, Size: edSizes, Use: ck.CKF_GENERATE_KEY_PAIR | onCurves},
	{Type: ck.CKM_EDDSA, Keys: edKey, Size: edSizes, Use: signs | onCurves, Param: ParamEdDSA, Single: true, Out: OutEdwards},
	{Type: ck.CKM_IBM_ECDSA_OTHER, Keys: ecKey, Size: Bits(255, 256), Use: signs | onCurves, Param: ParamECSG, Single: true, Out: OutTwiceOrder},
	{Type: ck.CKM_IBM_EC_AGGREGATE, Use: ck.CKF_SIGN | ck.CKF_DERIVE, Param: ParamECAGG, Single: true, Out: OutTwiceOrder},
	{Type: ck.CKM_IBM_BTC_DERIVE, Keys: treeKey, Size: Bits(255, 256), Use: ck.CKF_DERIVE, Param: ParamBTC},
	{Type: ck.CKM_IBM_ED25519_SHA512, Keys: edKey, Size: Bits(255, 255), Use: signs | onCurves, Single: true, Out: OutEdwards},
	{Type: ck.CKM_IBM_ED448_SHA3, Keys: edKey, Size: Bits(448, 448), Use: signs | onCurves, Single: true, Out: OutEdwards},
	{Type: ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, Keys: xKey, Size: edSizes, Use: ck.CKF_GENERATE_KEY_PAIR | onCurves},
	{Type: ck.CKM_IBM_EC_X25519, Keys: xKey, Size: Bits(255, 255), Use: ck.CKF_DERIVE | onCurves, Param: ParamECDH1},
	{Type: ck.CKM_IBM_EC_X448, Keys: xKey, Size: Bits(448, 448), Use: ck.CKF_DERIVE | onCurves, Param: ParamECDH1},
	{Type: ck.CKM_IBM_EC_X25519_RAW, Keys: xKey, Size: Bits(255, 255), Use: ck.CKF_DERIVE | onCurves, Param: ParamECDH1},
	{Type: ck.CKM_IBM_EC_X448_RAW, Keys: xKey, Size: Bits(448, 448), Use: ck.CKF_DERIVE | onCurves, Param: ParamECDH1},

	{Type: ck.CKM_DSA_PARAMETER_GEN, Keys: dsaKey, Size: dsaSizes, Use: ck.CKF_GENERATE},
	{Type: ck.CKM_DSA_KEY_PAIR_GEN, Keys: dsaKey, Size: dsaSizes, Use: ck.CKF_GENERATE_KEY_PAIR},
	{Type: ck.CKM_DSA, Keys: dsaKey, Size: dsaSizes, Use: signs, Single: true, Out: OutTwiceOrder},
	{Type: ck.CKM_DSA_SHA1, Keys: dsaKey, Size: dsaSizes, Use: signs, Hash: crypto.SHA1, Out: OutTwiceOrder},
	{Type: ck.CKM_DSA_SHA224, Keys: dsaKey, Size: dsaSizes, Use: signs, Hash: crypto.SHA224, Out: OutTwiceOrder},
	{Type: ck.CKM_DSA_SHA256, Keys: dsaKey, Size: dsaSizes, Use: signs, Hash: crypto.SHA256, Out: OutTwiceOrder},
	{Type: ck.CKM_DSA_SHA384, Keys: dsaKey, Size: dsaSizes, Use: signs, Hash: crypto.SHA384, Out: OutTwiceOrder},
	{Type: ck.CKM_DSA_SHA512, Keys: dsaKey, Size: dsaSizes, Use: signs, Hash: crypto.SHA512, Out: OutTwiceOrder},
	{Type: ck.CKM_DSA_SHA3_224, Keys: dsaKey, Size: dsaSizes, Use: signs, Hash: crypto.SHA3_224, Out: OutTwiceOrder},
	{Type: ck.CKM_DSA_SHA3_256, Keys: dsaKey, Size: dsaSizes, Use: signs, Hash: crypto.SHA3_256, Out: OutTwiceOrder},
	{Type: ck.CKM_DSA_SHA3_384, Keys: dsaKey, Size: dsaSizes, Use: signs, Hash: crypto.SHA3_384, Out: OutTwiceOrder},
	{Type: ck.CKM_DSA_SHA3_512, Keys: dsaKey, Size: dsaSizes, Use: signs, Hash: crypto.SHA3_512, Out: OutTwiceOrder},
	{Type: ck.CKM_DH_PKCS_PARAMETER_GEN, Keys: dhKey, Size: dhSizes, Use: ck.CKF_GENERATE},
	{Type: ck.CKM_DH_PKCS_KEY_PAIR_GEN, Keys: dhKey, Size: dhSizes, Use: ck.CKF_GENERATE_KEY_PAIR},
	{Type: ck.CKM_DH_PKCS_DERIVE, Keys: dhKey, Size: dhSizes, Use: ck.CKF_DERIVE, Param: ParamBytes},
	{Type: ck.CKM_IBM_DH_PKCS_DERIVE_RAW, Keys: dhKey, Size: dhSizes, Use: ck.CKF_DERIVE, Param: ParamBytes},

	{Type: ck.CKM_ML_KEM_KEY_PAIR_GEN, Keys: mlkemKey, Size: mlkemSizes, Use: ck.CKF_GENERATE_KEY_PAIR},
	{Type: ck.CKM_ML_KEM, Keys: mlkemKey, Size: mlkemSizes, Use: kems, Param: ParamKyber},
	{Type: ck.CKM_ML_DSA_KEY_PAIR_GEN, Keys: mldsaKey, Size: mldsaSizes, Use: ck.CKF_GENERATE_KEY_PAIR},
	{Type: ck.CKM_ML_DSA, Keys: mldsaKey, Size: mldsaSizes, Use: signs, Param: ParamContext, Single: true, Out: OutSignature},
	{Type: ck.CKM_HASH_ML_DSA, Keys: mldsaKey, Size: mldsaSizes, Use: signs, Param: ParamHashContext, Single: true, Out: OutSignature},
	{Type: ck.CKM_HASH_ML_DSA_SHA224, Keys: mldsaKey, Size: mldsaSizes, Use: signs, Param: ParamContext, Hash: crypto.SHA224, Out: OutSignature},
	{Type: ck.CKM_HASH_ML_DSA_SHA256, Keys: mldsaKey, Size: mldsaSizes, Use: signs, Param: ParamContext, Hash: crypto.SHA256, Out: OutSignature},
	{Type: ck.CKM_HASH_ML_DSA_SHA384, Keys: mldsaKey, Size: mldsaSizes, Use: signs, Param: ParamContext, Hash: crypto.SHA384, Out: OutSignature},
	{Type: ck.CKM_HASH_ML_DSA_SHA512, Keys: mldsaKey, Size: mldsaSizes, Use: signs, Param: ParamContext, Hash: crypto.SHA512, Out: OutSignature},
	{Type: ck.CKM_HASH_ML_DSA_SHA3_224, Keys: mldsaKey, Size: mldsaSizes, Use: signs, Param: ParamContext, Hash: crypto.SHA3_224, Out: OutSignature},
	{Type: ck.CKM_HASH_ML_DSA_SHA3_256, Keys: mldsaKey, Size: mldsaSizes, Use: signs, Param: ParamContext, Hash: crypto.SHA3_256, Out: OutSignature},
	{Type: ck.CKM_HASH_ML_DSA_SHA3_384, Keys: mldsaKey, Size: mldsaSizes, Use: signs, Param: ParamContext, Hash: crypto.SHA3_384, Out: OutSignature},
	{Type: ck.CKM_HASH_ML_DSA_SHA3_512, Keys: mldsaKey, Size: mldsaSizes, Use: signs, Param: ParamContext, Hash: crypto.SHA3_512, Out: OutSignature},
	{Type: ck.CKM_HASH_ML_DSA_SHAKE128, Keys: mldsaKey, Size: mldsaSizes, Use: signs, Param: ParamContext, Out: OutSignature},
	{Type: ck.CKM_HASH_ML_DSA_SHAKE256, Keys: mldsaKey, Size: mldsaSizes, Use: signs, Param: ParamContext, Out: OutSignature},
	{Type: ck.CKM_SLH_DSA_KEY_PAIR_GEN, Keys: slhKey, Size: slhSizes, Use: ck.CKF_GENERATE_KEY_PAIR},
	{Type: ck.CKM_SLH_DSA, Keys: slhKey, Size: slhSizes, Use: signs, Param: ParamContext, Single: true, Out: OutSignature},
	{Type: ck.CKM_HASH_SLH_DSA, Keys: slhKey, Size: slhSizes, Use: signs, Param: ParamHashContext, Single: true, Out: OutSignature},
	{Type: ck.CKM_HASH_SLH_DSA_SHA224, Keys: slhKey, Size: slhSizes, Use: signs, Param: ParamContext, Hash: crypto.SHA224, Out: OutSignature},
	{Type: ck.CKM_HASH_SLH_DSA_SHA256, Keys: slhKey, Size: slhSizes, Use: signs, Param: ParamContext, Hash: crypto.SHA256, Out: OutSignature},
	{Type: ck.CKM_HASH_SLH_DSA_SHA384, Keys: slhKey, Size: slhSizes, Use: signs, Param: ParamContext, Hash: crypto.SHA384, Out: OutSignature},
	{Type: ck.CKM_HASH_SLH_DSA_SHA512, Keys: slhKey, Size: slhSizes, Use: signs, Param: ParamContext, Hash: crypto.SHA512, Out: OutSignature},
	{Type: ck.CKM_HASH_SLH_DSA_SHA3_224, Keys: slhKey, Size: slhSizes, Use: signs, Param: ParamContext, Hash: crypto.SHA3_224, Out: OutSignature},
	{Type: ck.CKM_HASH_SLH_DSA_SHA3_256, Keys: slhKey, Size: slhSizes, Use: signs, Param: ParamContext, Hash: crypto.SHA3_256, Out: OutSignature},
	{Type: ck.CKM_HASH_SLH_DSA_SHA3_384, Keys: slhKey, Size: slhSizes, Use: signs, Param: ParamContext, Hash: crypto.SHA3_384, Out: OutSignature},
	{Type: ck.CKM_HASH_SLH_DSA_SHA3_512, Keys: slhKey, Size: slhSizes, Use: signs, Param: ParamContext, Hash: crypto.SHA3_512, Out: OutSignature},
	{Type: ck.CKM_HASH_SLH_DSA_SHAKE128, Keys: slhKey, Size: slhSizes, Use: signs, Param: ParamContext, Out: OutSignature},
	{Type: ck.CKM_HASH_SLH_DSA_SHAKE256, Keys: slhKey, Size: slhSizes, Use: signs, Param: ParamContext, Out: OutSignature},
	{Type: ck.CKM_IBM_ML_KEM_KEY_PAIR_GEN, Keys: mlkemKey, Size: mlkemSizes, Use: ck.CKF_GENERATE_KEY_PAIR},
	{Type: ck.CKM_IBM_ML_KEM, Keys: mlkemKey, Size: mlkemSizes, Use: ck.CKF_DERIVE | kems, Param: ParamKyber},
	{Type: ck.CKM_IBM_ML_DSA_KEY_PAIR_GEN, Keys: mldsaKey, Size: mldsaSizes, Use: ck.CKF_GENERATE_KEY_PAIR},
	{Type: ck.CKM_IBM_ML_DSA, Keys: mldsaKey, Size: mldsaSizes, Use: signs, Param: ParamContext, Single: true, Out: OutSignature},
	{Type: ck.CKM_IBM_KYBER, Keys: kyberKey, Size: mlkemSizes, Use: ck.CKF_GENERATE_KEY_PAIR | ck.CKF_DERIVE | kems, Param: ParamKyber},
	{Type: ck.CKM_IBM_DILITHIUM, Keys: dilKey, Size: mldsaSizes, Use: ck.CKF_GENERATE_KEY_PAIR | signs, Single: true, Out: OutSignature},

	{Type: ck.CKM_AES_KEY_GEN, Keys: aesKey, Size: aesSizes, Use: ck.CKF_GENERATE},
	{Type: ck.CKM_AES_ECB, Keys: aesKey, Size: aesSizes, Use: crypts | wraps, Block: 16, Out: OutSameAsIn},
	{Type: ck.CKM_AES_CBC, Keys: aesKey, Size: aesSizes, Use: crypts | wraps, Param: ParamIV, Block: 16, Out: OutSameAsIn},
	{Type: ck.CKM_AES_CBC_PAD, Keys: aesKey, Size: aesSizes, Use: crypts | wraps, Param: ParamIV, Block: 16, Out: OutPadded},
	{Type: ck.CKM_AES_CTR, Keys: aesKey, Size: aesSizes, Use: crypts, Param: ParamCTR, Out: OutSameAsIn},
	{Type: ck.CKM_AES_GCM, Keys: aesKey, Size: aesSizes, Use: crypts | wraps, Param: ParamGCM, Out: OutTag},
	{Type: ck.CKM_AES_CCM, Keys: aesKey, Size: aesSizes, Use: crypts | wraps, Param: ParamCCM, Held: true, Out: OutTag},
	{Type: ck.CKM_AES_OFB, Keys: aesKey, Size: aesSizes, Use: crypts, Param: ParamIV, Block: 16, Stream: true, Out: OutSameAsIn},
	{Type: ck.CKM_AES_CFB1, Keys: aesKey, Size: aesSizes, Use: crypts, Param: ParamIV, Block: 16, Stream: true, Out: OutSameAsIn},
	{Type: ck.CKM_AES_CFB8, Keys: aesKey, Size: aesSizes, Use: crypts, Param: ParamIV, Block: 16, Stream: true, Out: OutSameAsIn},
	{Type: ck.CKM_AES_CFB64, Keys: aesKey, Size: aesSizes, Use: crypts, Param: ParamIV, Block: 16, Stream: true, Out: OutSameAsIn},
	{Type: ck.CKM_AES_CFB128, Keys: aesKey, Size: aesSizes, Use: crypts, Param: ParamIV, Block: 16, Stream: true, Out: OutSameAsIn},
	{Type: ck.CKM_AES_CTS, Keys: aesKey, Size: aesSizes, Use: crypts, Param: ParamIV, Block: 16, Held: true, Out: OutSameAsIn},
	{Type: ck.CKM_AES_KEY_WRAP, Keys: aesKey, Size: aesSizes, Use: crypts | wraps, Param: ParamKeyWrapIV, Single: true, Out: OutKeyWrap},
	{Type: ck.CKM_AES_KEY_WRAP_KWP, Keys: aesKey, Size: aesSizes, Use: crypts | wraps, Param: ParamKeyWrapIV, Single: true, Out: OutKeyWrap},

	{Type: ck.CKM_DES2_KEY_GEN, Keys: []ck.KeyType{ck.CKK_DES2}, Use: ck.CKF_GENERATE},
	{Type: ck.CKM_DES3_KEY_GEN, Keys: []ck.KeyType{ck.CKK_DES3}, Use: ck.CKF_GENERATE},
	{Type: ck.CKM_DES3_ECB, Keys: des3Key, Use: crypts | wraps, Block: 8, Out: OutSameAsIn},
	{Type: ck.CKM_DES3_CBC, Keys: des3Key, Use: crypts | wraps, Param: ParamIV, Block: 8, Out: OutSameAsIn},
	{Type: ck.CKM_DES3_CBC_PAD, Keys: des3Key, Use: crypts | wraps, Param: ParamIV, Block: 8, Out: OutPadded},

	{Type: ck.CKM_IBM_ATTRIBUTEBOUND_WRAP, Keys: boundKey, Use: wraps},
	{Type: ck.CKM_IBM_TRANSPORTKEY, Use: ck.CKF_UNWRAP},
	{Type: ck.CKM_IBM_RETAINKEY, Use: ck.CKF_WRAP, Param: ParamRetain},
	{Type: ck.CKM_CHACHA20_KEY_GEN, Keys: chaKey, Size: Bytes(32, 32), Use: ck.CKF_GENERATE},
	{Type: ck.CKM_CHACHA20, Keys: chaKey, Size: Bytes(32, 32), Use: crypts, Param: ParamChaCha20, Out: OutSameAsIn},
	{Type: ck.CKM_CHACHA20_POLY1305, Keys: chaKey, Size: Bytes(32, 32), Use: crypts | wraps, Param: ParamChaCha, Held: true, Out: OutTag},

	{Type: ck.CKM_AES_CMAC, Keys: aesKey, Size: aesSizes, Use: signs, Block: 16, Out: OutBlock},
	{Type: ck.CKM_DES3_CMAC, Keys: des3Key, Use: signs, Block: 8, Out: OutBlock},
	{Type: ck.CKM_IBM_CMAC, Keys: cmacKey, Use: signs, Out: OutBlock},
	{Type: ck.CKM_AES_CMAC_GENERAL, Keys: aesKey, Size: aesSizes, Use: signs, Param: ParamMACLen, Block: 16, Out: OutMAC},
	{Type: ck.CKM_DES3_CMAC_GENERAL, Keys: des3Key, Use: signs, Param: ParamMACLen, Block: 8, Out: OutMAC},
	{Type: ck.CKM_AES_GMAC, Keys: aesKey, Size: aesSizes, Use: signs, Param: ParamGCM, Out: OutMAC},
	{Type: ck.CKM_IBM_SIPHASH, Keys: sipKey, Size: Bytes(16, 16), Use: signs, Param: ParamSipHash, Out: OutMAC},

	{Type: ck.CKM_GENERIC_SECRET_KEY_GEN, Keys: macKey, Size: macSizes, Use: ck.CKF_GENERATE | ck.CKF_DERIVE},
	{Type: ck.CKM_SHA_1_HMAC, Keys: macKey, Size: macSizes, Use: signs, Hash: crypto.SHA1, Out: OutHash},
	{Type: ck.CKM_SHA224_HMAC, Keys: macKey, Size: macSizes, Use: signs, Hash: crypto.SHA224, Out: OutHash},
	{Type: ck.CKM_SHA256_HMAC, Keys: macKey, Size: macSizes, Use: signs, Hash: crypto.SHA256, Out: OutHash},
	{Type: ck.CKM_SHA384_HMAC, Keys: macKey, Size: macSizes, Use: signs, Hash: crypto.SHA384, Out: OutHash},
	{Type: ck.CKM_SHA512_HMAC, Keys: macKey, Size: macSizes, Use: signs, Hash: crypto.SHA512, Out: OutHash},
	{Type: ck.CKM_SHA512_224_HMAC, Keys: macKey, Size: macSizes, Use: signs, Hash: crypto.SHA512_224, Out: OutHash},
	{Type: ck.CKM_SHA512_256_HMAC, Keys: macKey, Size: macSizes, Use: signs, Hash: crypto.SHA512_256, Out: OutHash},
	{Type: ck.CKM_SHA3_224_HMAC, Keys: macKey, Size: macSizes, Use: signs, Hash: crypto.SHA3_224, Out: OutHash},
	{Type: ck.CKM_SHA3_256_HMAC, Keys: macKey, Size: macSizes, Use: signs, Hash: crypto.SHA3_256, Out: OutHash},
	{Type: ck.CKM_SHA3_384_HMAC, Keys: macKey, Size: macSizes, Use: signs, Hash: crypto.SHA3_384, Out: OutHash},
	{Type: ck.CKM_SHA3_512_HMAC, Keys: macKey, Size: macSizes, Use: signs, Hash: crypto.SHA3_512, Out: OutHash},
	{Type: ck.CKM_IBM_SHA512_224_HMAC, Keys: macKey, Size: macSizes, Use: signs, Hash: crypto.SHA512_224, Out: OutHash},
	{Type: ck.CKM_IBM_SHA512_256_HMAC, Keys: macKey, Size: macSizes, Use: signs, Hash: crypto.SHA512_256, Out: OutHash},
	{Type: ck.CKM_IBM_SHA3_224_HMAC, Keys: macKey, Size: macSizes, Use: signs, Hash: crypto.SHA3_224, Out: OutHash},
	{Type: ck.CKM_IBM_SHA3_256_HMAC, Keys: macKey, Size: macSizes, Use: signs, Hash: crypto.SHA3_256, Out: OutHash},
	{Type: ck.CKM_IBM_SHA3_384_HMAC, Keys: macKey, Size: macSizes, Use: signs, Hash: crypto.SHA3_384, Out: OutHash},
	{Type: ck.CKM_IBM_SHA3_512_HMAC, Keys: macKey, Size: macSizes, Use: signs, Hash: crypto.SHA3_512, Out: OutHash},
	{Type: ck.CKM_SHA_1_HMAC_GENERAL, Keys: macKey, Size: macSizes, Use: signs, Param: ParamMACLen, Hash: crypto.SHA1, Out: OutMAC},
	{Type: ck.CKM_SHA224_HMAC_GENERAL, Keys: macKey, Size: macSizes, Use: signs, Param: ParamMACLen, Hash: crypto.SHA224, Out: OutMAC},
	{Type: ck.CKM_SHA256_HMAC_GENERAL, Keys: macKey, Size: macSizes, Use: signs, Param: ParamMACLen, Hash: crypto.SHA256, Out: OutMAC},
	{Type: ck.CKM_SHA384_HMAC_GENERAL, Keys: macKey, Size: macSizes, Use: signs, Param: ParamMACLen, Hash: crypto.SHA384, Out: OutMAC},
	{Type: ck.CKM_SHA512_HMAC_GENERAL, Keys: macKey, Size: macSizes, Use: signs, Param: ParamMACLen, Hash: crypto.SHA512, Out: OutMAC},
	{Type: ck.CKM_SHA512_224_HMAC_GENERAL, Keys: macKey, Size: macSizes, Use: signs, Param: ParamMACLen, Hash: crypto.SHA512_224, Out: OutMAC},
	{Type: ck.CKM_SHA512_256_HMAC_GENERAL, Keys: macKey, Size: macSizes, Use: signs, Param: ParamMACLen, Hash: crypto.SHA512_256, Out: OutMAC},
	{Type: ck.CKM_SHA3_224_HMAC_GENERAL, Keys: macKey, Size: macSizes, Use: signs, Param: ParamMACLen, Hash: crypto.SHA3_224, Out: OutMAC},
	{Type: ck.CKM_SHA3_256_HMAC_GENERAL, Keys: macKey, Size: macSizes, Use: signs, Param: ParamMACLen, Hash: crypto.SHA3_256, Out: OutMAC},
	{Type: ck.CKM_SHA3_384_HMAC_GENERAL, Keys: macKey, Size: macSizes, Use: signs, Param: ParamMACLen, Hash: crypto.SHA3_384, Out: OutMAC},
	{Type: ck.CKM_SHA3_512_HMAC_GENERAL, Keys: macKey, Size: macSizes, Use: signs, Param: ParamMACLen, Hash: crypto.SHA3_512, Out: OutMAC},

	{Type: ck.CKM_SHA_1, Use: ck.CKF_DIGEST, Hash: crypto.SHA1, Out: OutHash},
	{Type: ck.CKM_SHA224, Use: ck.CKF_DIGEST, Hash: crypto.SHA224, Out: OutHash},
	{Type: ck.CKM_SHA256, Use: ck.CKF_DIGEST, Hash: crypto.SHA256, Out: OutHash},
	{Type: ck.CKM_SHA384, Use: ck.CKF_DIGEST, Hash: crypto.SHA384, Out: OutHash},
	{Type: ck.CKM_SHA512, Use: ck.CKF_DIGEST, Hash: crypto.SHA512, Out: OutHash},
	{Type: ck.CKM_SHA512_224, Use: ck.CKF_DIGEST, Hash: crypto.SHA512_224, Out: OutHash},
	{Type: ck.CKM_SHA512_256, Use: ck.CKF_DIGEST, Hash: crypto.SHA512_256, Out: OutHash},
	{Type: ck.CKM_SHA3_224, Use: ck.CKF_DIGEST, Hash: crypto.SHA3_224, Out: OutHash},
	{Type: ck.CKM_SHA3_256, Use: ck.CKF_DIGEST, Hash: crypto.SHA3_256, Out: OutHash},
	{Type: ck.CKM_SHA3_384, Use: ck.CKF_DIGEST, Hash: crypto.SHA3_384, Out: OutHash},
	{Type: ck.CKM_SHA3_512, Use: ck.CKF_DIGEST, Hash: crypto.SHA3_512, Out: OutHash},
	{Type: ck.CKM_IBM_SHA512_224, Use: ck.CKF_DIGEST, Hash: crypto.SHA512_224, Out: OutHash},
	{Type: ck.CKM_IBM_SHA512_256, Use: ck.CKF_DIGEST, Hash: crypto.SHA512_256, Out: OutHash},
	{Type: ck.CKM_IBM_SHA3_224, Use: ck.CKF_DIGEST, Hash: crypto.SHA3_224, Out: OutHash},
	{Type: ck.CKM_IBM_SHA3_256, Use: ck.CKF_DIGEST, Hash: crypto.SHA3_256, Out: OutHash},
	{Type: ck.CKM_IBM_SHA3_384, Use: ck.CKF_DIGEST, Hash: crypto.SHA3_384, Out: OutHash},
	{Type: ck.CKM_IBM_SHA3_512, Use: ck.CKF_DIGEST, Hash: crypto.SHA3_512, Out: OutHash},

	{Type: ck.CKM_SHA1_KEY_DERIVATION, Keys: baseKey, Use: ck.CKF_DERIVE, Hash: crypto.SHA1},
	{Type: ck.CKM_SHA224_KEY_DERIVATION, Keys: baseKey, Use: ck.CKF_DERIVE, Hash: crypto.SHA224},
	{Type: ck.CKM_SHA256_KEY_DERIVATION, Keys: baseKey, Use: ck.CKF_DERIVE, Hash: crypto.SHA256},
	{Type: ck.CKM_SHA384_KEY_DERIVATION, Keys: baseKey, Use: ck.CKF_DERIVE, Hash: crypto.SHA384},
	{Type: ck.CKM_SHA512_KEY_DERIVATION, Keys: baseKey, Use: ck.CKF_DERIVE, Hash: crypto.SHA512},
	{Type: ck.CKM_SHA512_224_KEY_DERIVATION, Keys: baseKey, Use: ck.CKF_DERIVE, Hash: crypto.SHA512_224},
	{Type: ck.CKM_SHA512_256_KEY_DERIVATION, Keys: baseKey, Use: ck.CKF_DERIVE, Hash: crypto.SHA512_256},
	{Type: ck.CKM_SHA3_224_KEY_DERIVATION, Keys: baseKey, Use: ck.CKF_DERIVE, Hash: crypto.SHA3_224},
	{Type: ck.CKM_SHA3_256_KEY_DERIVATION, Keys: baseKey, Use: ck.CKF_DERIVE, Hash: crypto.SHA3_256},
	{Type: ck.CKM_SHA3_384_KEY_DERIVATION, Keys: baseKey, Use: ck.CKF_DERIVE, Hash: crypto.SHA3_384},
	{Type: ck.CKM_SHA3_512_KEY_DERIVATION, Keys: baseKey, Use: ck.CKF_DERIVE, Hash: crypto.SHA3_512},
	{Type: ck.CKM_AES_ECB_ENCRYPT_DATA, Keys: aesKey, Use: ck.CKF_DERIVE, Param: ParamString, Block: 16},
	{Type: ck.CKM_DES3_ECB_ENCRYPT_DATA, Keys: des3Key, Use: ck.CKF_DERIVE, Param: ParamString, Block: 8},
	{Type: ck.CKM_AES_CBC_ENCRYPT_DATA, Keys: aesKey, Use: ck.CKF_DERIVE, Param: ParamCBCData, Block: 16},
	{Type: ck.CKM_DES3_CBC_ENCRYPT_DATA, Keys: des3Key, Use: ck.CKF_DERIVE, Param: ParamCBCData, Block: 8},
	{Type: ck.CKM_CONCATENATE_BASE_AND_DATA, Keys: baseKey, Use: ck.CKF_DERIVE, Param: ParamString},
	{Type: ck.CKM_CONCATENATE_DATA_AND_BASE, Keys: baseKey, Use: ck.CKF_DERIVE, Param: ParamString},
	{Type: ck.CKM_XOR_BASE_AND_DATA, Keys: baseKey, Use: ck.CKF_DERIVE, Param: ParamString},
	{Type: ck.CKM_EXTRACT_KEY_FROM_KEY, Keys: baseKey, Use: ck.CKF_DERIVE, Param: ParamExtract},
	{Type: ck.CKM_HKDF_KEY_GEN, Keys: hkdfKey, Size: macSizes, Use: ck.CKF_GENERATE},
	{Type: ck.CKM_HKDF_DERIVE, Keys: baseKey, Use: ck.CKF_DERIVE, Param: ParamHKDF},
	{Type: ck.CKM_HKDF_DATA, Keys: baseKey, Use: ck.CKF_DERIVE, Param: ParamHKDF},
	{Type: ck.CKM_SP800_108_COUNTER_KDF, Keys: baseKey, Use: ck.CKF_DERIVE, Param: ParamKDF108},
	{Type: ck.CKM_SP800_108_FEEDBACK_KDF, Keys: baseKey, Use: ck.CKF_DERIVE, Param: ParamKDF108},
	{Type: ck.CKM_SP800_108_DOUBLE_PIPELINE_KDF, Keys: baseKey, Use: ck.CKF_DERIVE, Param: ParamKDF108},
	{Type: ck.CKM_IBM_EAC, Keys: baseKey, Use: ck.CKF_DERIVE, Param: ParamEAC},
	{Type: ck.CKM_PBE_SHA1_DES3_EDE_CBC, Keys: pbeKey, Use: ck.CKF_GENERATE, Param: ParamPBE},
	{Type: ck.CKM_PKCS5_PBKD2, Keys: pbkdfKey, Size: macSizes, Use: ck.CKF_GENERATE, Param: ParamPBKDF2},
}

var byType = func() map[ck.MechanismType]*Row {
	m := make(map[ck.MechanismType]*Row, len(table))
	for i := range table {
		m[table[i].Type] = &table[i]
	}
	return m
}()

// All lists the rows, in the order of the mechanism list. Do not change them.
func All() []Row { return table }

// Lookup finds a mechanism's row; unlisted is CKR_MECHANISM_INVALID by absence.
func Lookup(t ck.MechanismType) (*Row, error) {
	if r := byType[t]; r != nil {
		return r, nil
	}
	return nil, unknown(t)
}

// Info is the row as C_GetMechanismInfo gives it.
func (r *Row) Info() ck.MechanismInfo {
	return ck.MechanismInfo{MinKeySize: r.Size.Min, MaxKeySize: r.Size.Max, Flags: r.Use}
}

// Allows tells whether the mechanism works with a key type.
func (r *Row) Allows(k ck.KeyType) bool {
	for _, t := range r.Keys {
		if t == k {
			return true
		}
	}
	return false
}
