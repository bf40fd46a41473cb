package main

// #include "engine.h"
import "C"

import (
	"encoding/binary"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// fields reads the byte strings of a parameter and remembers the first bad one.
type fields struct{ err error }

func (f *fields) bytes(r raw) []byte {
	b, err := r.bytes()
	if f.err == nil {
		f.err = err
	}
	return b
}

func badField(what string) error {
	return fmt.Errorf("%s: %w", what, ck.CKR_MECHANISM_PARAM_INVALID)
}

func ccm(r raw) (mech.Param, error) {
	s, err := as[C.CK_CCM_PARAMS](r)
	if err != nil {
		return nil, err
	}
	var f fields
	return &mech.CCM{DataLen: uint64(s.ulDataLen), Nonce: f.bytes(part(&s.pNonce, s.ulNonceLen)),
		AAD: f.bytes(part(&s.pAAD, s.ulAADLen)), MACLen: uint64(s.ulMACLen)}, f.err
}

func chacha(r raw) (mech.Param, error) {
	s, err := as[C.CK_SALSA20_CHACHA20_POLY1305_PARAMS](r)
	if err != nil {
		return nil, err
	}
	var f fields
	return &mech.ChaCha{Nonce: f.bytes(part(&s.pNonce, s.ulNonceLen)), AAD: f.bytes(part(&s.pAAD, s.ulAADLen))}, f.err
}

// hkdf does not take a salt that is a key: the unit sees one key. What the
// standard says is ignored is not looked at, either.
func hkdf(r raw) (mech.Param, error) {
	s, err := as[C.CK_HKDF_PARAMS](r)
	if err != nil {
		return nil, err
	}
	var f fields
	p := &mech.HKDF{Extract: s.bExtract != C.CK_FALSE, Expand: s.bExpand != C.CK_FALSE, Hash: ck.MechanismType(s.prfHashMechanism)}
	if p.Extract {
		p.SaltType = uint64(s.ulSaltType)
	}
	if p.SaltType == uint64(ck.CKF_HKDF_SALT_DATA) {
		p.Salt = f.bytes(part(&s.pSalt, s.ulSaltLen))
	}
	if p.Expand {
		p.Info = f.bytes(part(&s.pInfo, s.ulInfoLen))
	}
	return p, f.err
}

func pbe(r raw) (mech.Param, error) {
	s, err := as[C.CK_PBE_PARAMS](r)
	if err != nil {
		return nil, err
	}
	var f fields
	return &mech.PBE{Password: f.bytes(part(&s.pPassword, s.ulPasswordLen)), Salt: f.bytes(part(&s.pSalt, s.ulSaltLen)),
		Iterations: uint64(s.ulIteration)}, f.err
}

// pbkdf2 takes CK_PKCS5_PBKD2_PARAMS2, and the older structure that NSS has: of
// the same size, with a pointer for the password's length, which no length is
// as large as.
func pbkdf2(r raw) (mech.Param, error) {
	s, err := as[C.CK_PKCS5_PBKD2_PARAMS2](r)
	if err != nil {
		return nil, err
	}
	if s.saltSource != C.CKZ_SALT_SPECIFIED || s.ulPrfDataLen != 0 {
		return nil, badField("salt source or data of the PRF")
	}
	if s.ulPasswordLen > maxLen {
		n, err := pointedTo(uintptr(s.ulPasswordLen))
		if err != nil {
			return nil, err
		}
		s.ulPasswordLen = C.CK_ULONG(n)
	}
	var f fields
	return &mech.PBKDF2{PRF: uint64(s.prf), Salt: f.bytes(part(&s.pSaltSourceData, s.ulSaltSourceDataLen)),
		Iterations: uint64(s.iterations), Password: f.bytes(part(&s.pPassword, s.ulPasswordLen))}, f.err
}

// pointedTo reads the CK_ULONG at an address that may be none: the kernel looks.
func pointedTo(address uintptr) (uint64, error) {
	var n [8]byte
	local := unix.Iovec{Base: &n[0]}
	local.SetLen(len(n))
	got, err := unix.ProcessVMReadv(os.Getpid(), []unix.Iovec{local}, []unix.RemoteIovec{{Base: address, Len: len(n)}}, 0)
	if err != nil || got != len(n) {
		return 0, badField("length of the password")
	}
	return binary.NativeEndian.Uint64(n[:]), nil
}

func rsaAES(r raw) (mech.Param, error) {
	s, err := as[C.CK_RSA_AES_KEY_WRAP_PARAMS](r)
	if err != nil {
		return nil, err
	}
	inner := raw{pointer(unsafe.Pointer(&s.pOAEPParams)), uint64(unsafe.Sizeof(C.CK_RSA_PKCS_OAEP_PARAMS{}))}
	p, err := oaep(inner)
	if err != nil {
		return nil, err
	}
	return &mech.RSAAES{Bits: uint64(s.ulAESKeyBits), OAEP: *p.(*mech.OAEP)}, nil
}

func signContext(r raw) (mech.Param, error) {
	s, err := as[C.CK_SIGN_ADDITIONAL_CONTEXT](r)
	if err != nil {
		return nil, err
	}
	var f fields
	return &mech.SignContext{Hedge: uint64(s.hedgeVariant), Context: f.bytes(part(&s.pContext, s.ulContextLen))}, f.err
}

func hashContext(r raw) (mech.Param, error) {
	s, err := as[C.CK_HASH_SIGN_ADDITIONAL_CONTEXT](r)
	if err != nil {
		return nil, err
	}
	var f fields
	return &mech.SignContext{Hedge: uint64(s.hedgeVariant), Context: f.bytes(part(&s.pContext, s.ulContextLen)),
		Hash: ck.MechanismType(s.hash)}, f.err
}

// maxKDFData bounds the parts of a KDF's input.
const maxKDFData = 32

// kdf108 takes both structures; additional keys are not made.
func kdf108(r raw) (mech.Param, error) {
	if s, err := as[C.CK_SP800_108_FEEDBACK_KDF_PARAMS](r); err == nil {
		p, err := kdf108Of(uint64(s.prfType), pointer(unsafe.Pointer(&s.pDataParams)), uint64(s.ulNumberOfDataParams), uint64(s.ulAdditionalDerivedKeys))
		if err != nil {
			return nil, err
		}
		p.IV, err = part(&s.pIV, s.ulIVLen).bytes()
		return p, err
	}
	s, err := as[C.CK_SP800_108_KDF_PARAMS](r)
	if err != nil {
		return nil, err
	}
	return kdf108Of(uint64(s.prfType), pointer(unsafe.Pointer(&s.pDataParams)), uint64(s.ulNumberOfDataParams), uint64(s.ulAdditionalDerivedKeys))
}

func kdf108Of(prf uint64, at unsafe.Pointer, n, more uint64) (*mech.KDF108, error) {
	if n > maxKDFData || more != 0 || n > 0 && at == nil {
		return nil, badField("number of data parameters or of additional keys")
	}
	p := &mech.KDF108{PRF: ck.MechanismType(prf)}
	for i := range int(n) {
		s := (*C.CK_PRF_DATA_PARAM)(unsafe.Add(at, i*int(unsafe.Sizeof(C.CK_PRF_DATA_PARAM{}))))
		d, err := kdfData(s)
		if err != nil {
			return nil, err
		}
		p.Data = append(p.Data, d)
	}
	return p, nil
}

func kdfData(s *C.CK_PRF_DATA_PARAM) (d mech.KDF108Data, err error) {
	value := part(&s.pValue, s.ulValueLen)
	d.Type = uint64(s._type)
	switch d.Type {
	case ck.CK_SP800_108_BYTE_ARRAY:
		d.Bytes, err = value.bytes()
	case ck.CK_SP800_108_DKM_LENGTH:
		var f *C.CK_SP800_108_DKM_LENGTH_FORMAT
		if f, err = as[C.CK_SP800_108_DKM_LENGTH_FORMAT](value); err == nil {
			d.Method, d.LittleEndian, d.Bits = uint64(f.dkmLengthMethod), f.bLittleEndian != C.CK_FALSE, uint64(f.ulWidthInBits)
		}
	case ck.CK_SP800_108_ITERATION_VARIABLE, ck.CK_SP800_108_OPTIONAL_COUNTER:
		if value.n == 0 {
			break // the iteration variable of feedback and pipeline mode
		}
		var f *C.CK_SP800_108_COUNTER_FORMAT
		if f, err = as[C.CK_SP800_108_COUNTER_FORMAT](value); err == nil {
			d.LittleEndian, d.Bits = f.bLittleEndian != C.CK_FALSE, uint64(f.ulWidthInBits)
		}
	default:
		err = badField("data parameter of another type")
	}
	return d, err
}
