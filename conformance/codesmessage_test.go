package conformance

import "grep11/pkcs11/ck"

var messageScenes = []scene{
	{"messages to encrypt without a place for the result", func(p *probe) {
		aes := p.secret(ck.CKM_AES_KEY_GEN, aesRights)
		in, out, gcm := p.room(64), p.room(64), p.gcmMessage()
		p.ok("C_MessageEncryptInit", p.mechanism(ck.CKM_AES_GCM), aes)
		p.want(ck.CKR_ARGUMENTS_BAD, "C_EncryptMessage", gcm, 48, 0, 0, in, 16, out, 0)
		p.ask("C_MessageEncryptInit", p.mechanism(ck.CKM_AES_GCM), aes)
		p.ok("C_EncryptMessageBegin", gcm, 48, 0, 0)
		p.want(ck.CKR_ARGUMENTS_BAD, "C_EncryptMessageNext", gcm, 48, in, 16, out, 0, 0)
		p.ok("C_MessageDecryptInit", p.mechanism(ck.CKM_AES_GCM), aes)
		p.want(ck.CKR_ARGUMENTS_BAD, "C_DecryptMessage", gcm, 48, 0, 0, in, 16, out, 0)
		p.ask("C_MessageDecryptInit", p.mechanism(ck.CKM_AES_GCM), aes)
		p.want(ck.CKR_ARGUMENTS_BAD, "C_DecryptMessageBegin", gcm, 48, 0, 17)
		p.ask("C_MessageDecryptInit", p.mechanism(ck.CKM_AES_GCM), aes)
		p.ok("C_DecryptMessageBegin", gcm, 48, 0, 0)
		p.want(ck.CKR_ARGUMENTS_BAD, "C_DecryptMessageNext", gcm, 48, in, 16, out, 0, 0)
	}},
	{"too little room for messages", func(p *probe) {
		aes := p.secret(ck.CKM_AES_KEY_GEN, aesRights)
		gcm := p.gcmMessage()
		p.ok("C_MessageDecryptInit", p.mechanism(ck.CKM_AES_GCM), aes)
		p.ok("C_DecryptMessageBegin", gcm, 48, 0, 0)
		p.want(ck.CKR_BUFFER_TOO_SMALL, "C_DecryptMessageNext", gcm, 48, p.room(16), 16, p.room(16), p.word(3), uintptr(ck.CKF_END_OF_MESSAGE))
		p.want(ck.CKR_AEAD_DECRYPT_FAILED, "C_DecryptMessageNext", gcm, 48, p.room(16), 16, p.room(16), p.word(16), uintptr(ck.CKF_END_OF_MESSAGE))
		p.want(ck.CKR_AEAD_DECRYPT_FAILED, "C_DecryptMessage", gcm, 48, 0, 0, p.room(16), 16, p.room(16), p.word(16))
	}},
	{"processes that may not begin", func(p *probe) {
		aes := p.secret(ck.CKM_AES_KEY_GEN, aesRights)
		public, private := p.rsa(2048, rights(ck.CKA_VERIFY), rights(ck.CKA_SIGN))
		junk := p.room(3)
		p.want(ck.CKR_MECHANISM_PARAM_INVALID, "C_MessageSignInit", p.mechanismWith(ck.CKM_RSA_PKCS_PSS, junk, 3), private)
		p.want(ck.CKR_MECHANISM_PARAM_INVALID, "C_MessageVerifyInit", p.mechanismWith(ck.CKM_RSA_PKCS_PSS, junk, 3), public)
		p.want(ck.CKR_KEY_TYPE_INCONSISTENT, "C_MessageVerifyInit", p.mechanism(ck.CKM_RSA_PKCS), aes)
	}},
	{"messages to sign", func(p *probe) {
		_, private := p.rsa(2048, nil, rights(ck.CKA_SIGN))
		long, out, length := p.room(300), p.room(300), p.word(300)
		begin := func(m ck.MechanismType) {
			p.ask("C_SessionCancel", ^uintptr(0))
			p.ok("C_MessageSignInit", p.mechanism(m), private)
		}
		begin(ck.CKM_RSA_PKCS)
		p.want(ck.CKR_DATA_LEN_RANGE, "C_SignMessage", 0, 0, long, 300, out, length)
		begin(ck.CKM_RSA_PKCS)
		p.ok("C_SignMessageBegin", 0, 0)
		p.want(ck.CKR_DATA_LEN_RANGE, "C_SignMessageNext", 0, 0, long, 300, out, length)
		begin(ck.CKM_RSA_X_509)
		ones := p.ones(256)
		p.want(ck.CKR_DATA_INVALID, "C_SignMessage", 0, 0, ones, 256, out, length)
		begin(ck.CKM_RSA_PKCS)
		p.want(ck.CKR_ARGUMENTS_BAD, "C_SignMessage", 0, 0, 0, 17, out, length)
		begin(ck.CKM_RSA_PKCS)
		p.ok("C_SignMessageBegin", 0, 0)
		p.want(ck.CKR_ARGUMENTS_BAD, "C_SignMessageNext", 0, 0, 0, 17, out, length)
	}},
	{"messages to verify", func(p *probe) {
		public, _ := p.rsa(2048, rights(ck.CKA_VERIFY), nil)
		long, sig := p.room(300), p.room(300)
		begin := func(m ck.MechanismType) {
			p.ask("C_SessionCancel", ^uintptr(0))
			p.ok("C_MessageVerifyInit", p.mechanism(m), public)
		}
		begin(ck.CKM_RSA_PKCS)
		p.want(ck.CKR_SIGNATURE_LEN_RANGE, "C_VerifyMessage", 0, 0, long, 16, sig, 3)
		begin(ck.CKM_RSA_PKCS)
		p.want(ck.CKR_DATA_LEN_RANGE, "C_VerifyMessage", 0, 0, long, 300, sig, 256)
		begin(ck.CKM_RSA_X_509)
		p.want(ck.CKR_DATA_INVALID, "C_VerifyMessage", 0, 0, p.ones(256), 256, sig, 256)
		for _, row := range []struct {
			rv     ck.RV
			n, len uintptr
		}{{ck.CKR_SIGNATURE_LEN_RANGE, 16, 3}, {ck.CKR_DATA_LEN_RANGE, 300, 256}} {
			begin(ck.CKM_RSA_PKCS)
			p.ok("C_VerifyMessageBegin", 0, 0)
			p.want(row.rv, "C_VerifyMessageNext", 0, 0, long, row.n, sig, row.len)
		}
		begin(ck.CKM_RSA_PKCS)
		p.want(ck.CKR_ARGUMENTS_BAD, "C_VerifyMessage", 0, 0, 0, 17, sig, 256)
		begin(ck.CKM_RSA_PKCS)
		p.ok("C_VerifyMessageBegin", 0, 0)
		p.want(ck.CKR_ARGUMENTS_BAD, "C_VerifyMessageNext", 0, 0, 0, 17, sig, 256)
	}},
}

// ones is more than any modulus.
func (p *probe) ones(n int) uintptr {
	place := p.memory.Room(n)
	for i := range place.Bytes() {
		place.Bytes()[i] = 0xff
	}
	return place.Address()
}
