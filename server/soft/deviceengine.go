package soft

import (
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// deviceEngines choose what a unit on a device does for a mechanism, by what the
// device has; nil for nothing. Digests and what works with public keys alone are
// those of an emulated unit. What computes with secrets in memory is not here.
var deviceEngines = map[ck.MechanismType]func(*Unit) *engine{}

// onDevice adds an engine for mechanisms, where the device has others with flags.
func onDevice(e engine, needs []use, types ...ck.MechanismType) {
	for _, t := range types {
		if deviceEngines[t] != nil {
			panic("soft: two engines on a device for " + t.String())
		}
		deviceEngines[t] = e.where(needs...)
	}
}

// use is a mechanism of the device with what it must be able to do.
type use struct {
	mech  ck.MechanismType
	flags ck.Flags
}

func (e engine) where(needs ...use) func(*Unit) *engine {
	return func(u *Unit) *engine {
		for _, n := range needs {
			if !u.can(n.mech, n.flags) {
				return nil
			}
		}
		return &e
	}
}

const (
	signsAndVerifies = ck.CKF_SIGN | ck.CKF_VERIFY
	cryptsBoth       = ck.CKF_ENCRYPT | ck.CKF_DECRYPT
)

// sameAs are vendor's and other names of mechanisms of the standard.
var sameAs = map[ck.MechanismType]ck.MechanismType{
	ck.CKM_IBM_SHA512_224_HMAC: ck.CKM_SHA512_224_HMAC, ck.CKM_IBM_SHA512_256_HMAC: ck.CKM_SHA512_256_HMAC,
	ck.CKM_IBM_SHA3_224_HMAC: ck.CKM_SHA3_224_HMAC, ck.CKM_IBM_SHA3_256_HMAC: ck.CKM_SHA3_256_HMAC,
	ck.CKM_IBM_SHA3_384_HMAC: ck.CKM_SHA3_384_HMAC, ck.CKM_IBM_SHA3_512_HMAC: ck.CKM_SHA3_512_HMAC,
}

func init() {
	rows := mech.All()
	for i := range rows {
		row := &rows[i]
		switch {
		case row.Use&^ck.CKF_DIGEST == 0:
			deviceEngines[row.Type] = func(*Unit) *engine { return engines[row.Type] }
		case row.Out == mech.OutHash && row.Use&ck.CKF_SIGN != 0:
			onDeviceMAC(row.Type, row.Type)
		case row.Out == mech.OutTwiceOrder && row.Hash != 0 && len(row.Keys) == 1 && row.Keys[0] == ck.CKK_EC:
			onDevice(engine{hash: rowHash, sign: signECDSA, verify: verifyECDSA}, []use{{ck.CKM_ECDSA, ck.CKF_SIGN}}, row.Type)
		}
	}
	onDevice(engine{unwrap: transport}, nil, ck.CKM_IBM_TRANSPORTKEY)
	onDevice(engine{sign: signECDSA, verify: verifyECDSA}, []use{{ck.CKM_ECDSA, ck.CKF_SIGN}}, ck.CKM_ECDSA)
	onDevice(engine{sign: signEdDSA, verify: verifyEdDSA}, []use{{ck.CKM_EDDSA, ck.CKF_SIGN}}, ck.CKM_EDDSA, ck.CKM_IBM_ED25519_SHA512, ck.CKM_IBM_ED448_SHA3)
	onDeviceMAC(ck.CKM_AES_CMAC, ck.CKM_AES_CMAC)
	onDeviceMAC(ck.CKM_DES3_CMAC, ck.CKM_DES3_CMAC)
	onDevice(engine{hash: heldMessage, sign: signCMAC, verify: verifyCMAC}, []use{{ck.CKM_AES_CMAC, signsAndVerifies}}, ck.CKM_IBM_CMAC)
}

// offered is a mechanism's row less the uses that the device lacks and that keys
// may not pass the memory for; nil if nothing is left.
func (u *Unit) offered(row *mech.Row) *mech.Row {
	lacks := row.Use & (ck.CKF_WRAP | ck.CKF_UNWRAP)
	if u.dev == nil || u.inMemory || lacks == 0 || len(row.Keys) == 0 {
		return row
	}
	lacks &^= u.dev.Uses(row.Type)
	if lacks == 0 {
		return row
	}
	less := *row
	if less.Use &^= lacks; less.Use == 0 {
		return nil
	}
	return &less
}
