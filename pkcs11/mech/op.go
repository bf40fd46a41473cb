package mech

import "grep11/pkcs11/ck"

// Op is a family of functions that run as operations.
type Op uint8

const (
	OpDigest Op = iota
	OpEncrypt
	OpDecrypt
	OpSign
	OpVerify
)

var ops = [...]struct {
	name string
	flag ck.Flags
}{
	OpDigest:  {"digest", ck.CKF_DIGEST},
	OpEncrypt: {"encrypt", ck.CKF_ENCRYPT},
	OpDecrypt: {"decrypt", ck.CKF_DECRYPT},
	OpSign:    {"sign", ck.CKF_SIGN},
	OpVerify:  {"verify", ck.CKF_VERIFY},
}

func (o Op) String() string { return ops[o].name }

// Flag is the CKF_ bit of the operation in a mechanism's Use.
func (o Op) Flag() ck.Flags { return ops[o].flag }

// Recovers tells whether a mechanism's signatures contain their data: RSA's, with
// PKCS #1 padding or without.
func Recovers(t ck.MechanismType) bool { return t == ck.CKM_RSA_PKCS || t == ck.CKM_RSA_X_509 }
