package mech

// Parameters of the vendor's mechanisms (grep11-wire 2.6).
type (
	// BTC is for BIP32 and SLIP10: a CK_IBM_BIP0032 or SLIP0010 type, a child's
	// index, and the parent's chain code.
	BTC struct {
		Type, Index uint64
		ChainCode   []byte
		Version     uint64
	}

	// ECSG chooses a Schnorr or BLS signature.
	ECSG struct{ Type uint64 }

	// ECAGG aggregates BLS signatures or keys of PerElement bytes each.
	ECAGG struct {
		Version, Mode, PerElement uint64
		Elements                  []byte
	}

	// Kyber is a KEM's step; Blob is a secret key that hybrid functions mix in.
	Kyber struct {
		Version, Mode, KDF       uint64
		Prepend                  bool
		CipherText, Shared, Blob []byte
	}
)

func (*BTC) kind() ParamKind   { return ParamBTC }
func (*ECSG) kind() ParamKind  { return ParamECSG }
func (*ECAGG) kind() ParamKind { return ParamECAGG }
func (*Kyber) kind() ParamKind { return ParamKyber }

// Types of ECSG and modes of ECAGG (grep11-wire 3).
const (
	ECSGSchnorr      = 3 // BSI TR-03111 ECSDSA with SHA-256
	ECSGSchnorrMulti = 5 // over the compressed public key
	ECSGBLS          = 6
	AggregateSign    = 1
	AggregateKeys    = 2
)
