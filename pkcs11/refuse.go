package pkcs11

import "grep11/pkcs11/ck"

// ended are the operations that a failing call ends, by the call's name: unless
// it tells a length, by CKR_OK or CKR_BUFFER_TOO_SMALL, PKCS#11 v3.2 §5.8 and
// on. Of two operations it is the cipher: to the other nothing has happened.
var ended = map[string]opKind{
	"C_Encrypt": opEncrypt, "C_EncryptUpdate": opEncrypt, "C_EncryptFinal": opEncrypt,
	"C_Decrypt": opDecrypt, "C_DecryptUpdate": opDecrypt, "C_DecryptFinal": opDecrypt,
	"C_Digest": opDigest, "C_DigestUpdate": opDigest, "C_DigestFinal": opDigest,
	"C_Sign": opSign, "C_SignUpdate": opSign, "C_SignFinal": opSign,
	"C_Verify": opVerify, "C_VerifyUpdate": opVerify, "C_VerifyFinal": opVerify,
	"C_SignRecover": opSignRecover, "C_VerifyRecover": opVerifyRecover,
	"C_VerifySignature": opVerifySignature, "C_VerifySignatureUpdate": opVerifySignature,
	"C_VerifySignatureFinal": opVerifySignature,
	"C_DigestEncryptUpdate":  opEncrypt, "C_DecryptDigestUpdate": opDecrypt,
	"C_SignEncryptUpdate": opEncrypt, "C_DecryptVerifyUpdate": opDecrypt,
}

// endedMessages are the processes whose message in parts a failing call ends.
var endedMessages = map[string]opKind{
	"C_EncryptMessageNext": opMessageEncrypt, "C_DecryptMessageNext": opMessageDecrypt,
	"C_SignMessageNext": opMessageSign, "C_VerifyMessageNext": opMessageVerify,
}

// Refuse answers a call whose arguments were not fit to be read. A session that
// is not there is told first, §5.1.7; then the call fails like any other, and
// ends what a failing call ends.
func (m *Module) Refuse(h ck.SessionHandle, name string, err error) error {
	return m.in(h, func(s *session) error {
		if k, ok := ended[name]; ok {
			s.end(k)
		}
		if k, ok := endedMessages[name]; ok && s.ops[k] != nil {
			s.ops[k].message = nil
		}
		return err
	})
}
