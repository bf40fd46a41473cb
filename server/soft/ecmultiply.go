package soft

import (
	"fmt"
	"math/big"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/libcrypto"
)

func init() {
	if libcrypto.Available {
		provide(engine{crypt: multiplyPoint}, ck.CKM_IBM_EC_MULTIPLY)
	}
}

// multiplyPoint gives a multiple of a public point. No private key takes part:
// with one, the mechanism would be a key agreement without its rules. The
// format is ours (ext.proto).
func multiplyPoint(k *key, _ mech.Mechanism, _ mech.Op, number []byte) ([]byte, error) {
	info, err := parseSPKI(k.spki)
	if err != nil {
		return nil, err
	}
	if info.family != &ecFamily || k.class != ck.CKO_PUBLIC_KEY {
		return nil, fmt.Errorf("not a public key on a Weierstrass curve: %w", ck.CKR_KEY_TYPE_INCONSISTENT)
	}
	if len(number) > info.curve.order {
		return nil, fmt.Errorf("a number of %d bytes on %s: %w", len(number), info.curve.name, ck.CKR_DATA_LEN_RANGE)
	}
	order, err := info.curve.groupOrder()
	if err != nil {
		return nil, err
	}
	n := new(big.Int).SetBytes(number)
	if n.Sign() == 0 || n.Cmp(order) >= 0 {
		return nil, fmt.Errorf("the number is not below the order of %s: %w", info.curve.name, ck.CKR_DATA_INVALID)
	}
	return info.curve.multiply(nil, info.key, n)
}
