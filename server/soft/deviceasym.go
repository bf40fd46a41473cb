package soft

import (
	"crypto"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// RSA on a device: with the bare function all paddings are the unit's own;
// without it, those that the device has.
func init() {
	bare := use{ck.CKM_RSA_X_509, ck.CKF_DECRYPT}
	rsa := func(whole, native engine, of use, types ...ck.MechanismType) {
		for _, t := range types {
			first, second := whole.where(bare), native.where(of)
			deviceEngines[t] = func(u *Unit) *engine {
				if e := first(u); e != nil {
					return e
				}
				return second(u)
			}
		}
	}
	rows := mech.All()
	for i := range rows {
		row := &rows[i]
		if row.Out != mech.OutModulus || row.Use&ck.CKF_SIGN == 0 {
			continue
		}
		hash := rowHash
		if row.Hash == 0 {
			hash = nil
		}
		switch {
		case row.Param == mech.ParamPSS:
			rsa(engine{hash: hash, sign: signPSS, verify: verifyPSS}, engine{hash: hash, sign: nativePSS, verify: verifyPSS}, use{ck.CKM_RSA_PKCS_PSS, ck.CKF_SIGN}, row.Type)
		case row.Hash != 0 && hashOIDs[row.Hash] != nil && row.Type != ck.CKM_SHA1_RSA_X9_31:
			rsa(engine{hash: hash, sign: signPKCS1, verify: verifyPKCS1}, engine{hash: hash, sign: nativePKCS1, verify: verifyPKCS1}, use{ck.CKM_RSA_PKCS, ck.CKF_SIGN}, row.Type)
		}
	}
	rsa(engine{sign: signPKCS1, verify: verifyPKCS1, crypt: cryptPKCS1}, engine{sign: nativePKCS1, verify: verifyPKCS1, crypt: nativeDecrypt(cryptPKCS1)},
		use{ck.CKM_RSA_PKCS, ck.CKF_SIGN | ck.CKF_DECRYPT}, ck.CKM_RSA_PKCS)
	rsa(engine{crypt: cryptOAEP}, engine{crypt: nativeDecrypt(cryptOAEP)}, use{ck.CKM_RSA_PKCS_OAEP, ck.CKF_DECRYPT}, ck.CKM_RSA_PKCS_OAEP)
	onDevice(engine{sign: signX509, verify: verifyX509, crypt: cryptX509}, []use{bare}, ck.CKM_RSA_X_509)

	onDevice(engine{sign: signX931, verify: verifyX931}, []use{bare}, ck.CKM_RSA_X9_31)
	onDevice(engine{hash: rowHash, sign: signX931, verify: verifyX931}, []use{bare}, ck.CKM_SHA1_RSA_X9_31)
}

var errLengths = fmt.Errorf("the HSM's answer has another length: %w", ck.CKR_DEVICE_ERROR)

func errShortTag(n int) error {
	return fmt.Errorf("%d bytes are shorter than the tag: %w", n, ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
}

// bareRSA is the device's RSA function; in is as long as the modulus.
func (r *remote) bareRSA(in []byte) ([]byte, error) {
	out, err := r.object().Crypt(mech.Mechanism{Type: ck.CKM_RSA_X_509}, mech.OpDecrypt, in)
	if err == nil && len(out) > len(in) {
		err = errLengths
	}
	if err != nil {
		return nil, err
	}
	return leftPad(out, len(in)), nil // some devices drop zeros
}

func nativePKCS1(k *key, m mech.Mechanism, data []byte) ([]byte, error) {
	if k.remote == nil {
		return nil, errNotPrivate
	}
	data, err := digestInfo(m, data)
	if err != nil {
		return nil, err
	}
	return k.remote.object().Sign(mech.Mechanism{Type: ck.CKM_RSA_PKCS}, data)
}

func nativePSS(k *key, m mech.Mechanism, digest []byte) ([]byte, error) {
	if k.remote == nil {
		return nil, errNotPrivate
	}
	if _, _, _, err := pssParams(m, digest); err != nil {
		return nil, err
	}
	return k.remote.object().Sign(mech.Mechanism{Type: ck.CKM_RSA_PKCS_PSS, Param: m.Param}, digest)
}

// nativeDecrypt has the device undo the padding too.
func nativeDecrypt(public cryptFunc) cryptFunc {
	return func(k *key, m mech.Mechanism, op mech.Op, data []byte) ([]byte, error) {
		if op == mech.OpEncrypt || k.remote == nil {
			return public(k, m, op, data)
		}
		return k.remote.object().Crypt(m, op, data)
	}
}

// remoteEC is a private key on a Weierstrass curve.
type remoteEC struct {
	*remote
	c *curve
}

// sign gives the device no more of a digest than counts, and nothing empty.
func (r remoteEC) sign(digest []byte) ([]byte, error) {
	digest = digest[:min(len(digest), r.c.order)]
	if len(digest) == 0 {
		digest = []byte{0}
	}
	sig, err := r.object().Sign(mech.Mechanism{Type: ck.CKM_ECDSA}, digest)
	if err == nil && len(sig) != 2*r.c.order {
		err = errLengths
	}
	return sig, err
}

// agree is done by deriving inside the device.
func (remoteEC) agree([]byte) ([]byte, error) {
	return nil, fmt.Errorf("the shared value stays in the HSM: %w", ck.CKR_FUNCTION_NOT_SUPPORTED)
}

// remoteEd is a private key on an Edwards curve, for pure signatures.
type remoteEd struct {
	crypto.Signer
	*remote
}

func (r remoteEd) signPure(p *mech.EdDSA, data []byte) ([]byte, error) {
	if p.Prehash || len(p.Context) > 0 {
		return nil, fmt.Errorf("the HSM signs neither prehashed nor with a context: %w", ck.CKR_MECHANISM_PARAM_INVALID)
	}
	return r.object().Sign(mech.Mechanism{Type: ck.CKM_EDDSA}, data)
}
