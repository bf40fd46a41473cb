package conformance

import (
	"grep11/pkcs11/ck"
)

// privateUse is an operation with a private object's key: begun, and each of the
// calls that use it.
type privateUse struct {
	init      string
	mechanism ck.MechanismType
	key       func(*probe) uintptr
	calls     map[string][]uintptr
}

var aesRights = rights(ck.CKA_ENCRYPT, ck.CKA_DECRYPT)

func privateAES(p *probe) uintptr {
	return p.secret(ck.CKM_AES_KEY_GEN, aesRights.Set(ck.Bool(ck.CKA_PRIVATE, true)))
}

func privateRSA(p *probe) uintptr {
	_, key := p.rsa(2048, nil, rights(ck.CKA_SIGN, ck.CKA_SIGN_RECOVER, ck.CKA_DECRYPT))
	return key
}

// uses gives the calls with arguments that are fit.
func uses(p *probe) []privateUse {
	in, n, out, length := p.room(64), uintptr(16), p.room(512), p.word(512)
	data := []uintptr{in, n, out, length}
	part := []uintptr{in, n}
	sum := []uintptr{out, length}
	gcm := []uintptr{p.gcmMessage(), 48}
	return []privateUse{
		{"C_EncryptInit", ck.CKM_AES_ECB, privateAES, map[string][]uintptr{
			"C_Encrypt": data, "C_EncryptUpdate": data, "C_EncryptFinal": sum}},
		{"C_DecryptInit", ck.CKM_AES_ECB, privateAES, map[string][]uintptr{
			"C_Decrypt": data, "C_DecryptUpdate": data, "C_DecryptFinal": sum}},
		{"C_SignInit", ck.CKM_SHA256_RSA_PKCS, privateRSA, map[string][]uintptr{
			"C_Sign": data, "C_SignUpdate": part, "C_SignFinal": sum}},
		{"C_SignRecoverInit", ck.CKM_RSA_PKCS, privateRSA, map[string][]uintptr{"C_SignRecover": data}},
		{"C_MessageSignInit", ck.CKM_SHA256_RSA_PKCS, privateRSA, map[string][]uintptr{
			"C_SignMessage": {0, 0, in, n, out, length}, "C_SignMessageBegin": {0, 0}, "C_SignMessageNext": {0, 0, in, n, out, length}, "C_MessageSignFinal": nil}},
		{"C_MessageEncryptInit", ck.CKM_AES_GCM, privateAES, map[string][]uintptr{
			"C_EncryptMessageBegin": append(gcm, 0, 0)}},
		{"C_MessageDecryptInit", ck.CKM_AES_GCM, privateAES, map[string][]uintptr{
			"C_DecryptMessage": append(gcm, 0, 0, in, n, out, length), "C_DecryptMessageBegin": append(gcm, 0, 0),
			"C_DecryptMessageNext": append(gcm, in, n, out, length, 0), "C_MessageDecryptFinal": nil}},
		{"C_MessageVerifyInit", ck.CKM_AES_CMAC, func(p *probe) uintptr {
			return p.secret(ck.CKM_AES_KEY_GEN, rights(ck.CKA_VERIFY).Set(ck.Bool(ck.CKA_PRIVATE, true)))
		}, map[string][]uintptr{"C_VerifyMessageBegin": {0, 0}}},
	}
}

// gcmMessage is CK_GCM_MESSAGE_PARAMS.
func (p *probe) gcmMessage() uintptr {
	return p.memory.Words(p.room(12), 12, 0, uintptr(ck.CKG_NO_GENERATE), p.room(16), 128).Address()
}

var operationScenes = []scene{
	{"nothing was begun", func(p *probe) {
		for _, u := range uses(p) {
			for name, arguments := range u.calls {
				p.want(ck.CKR_OPERATION_NOT_INITIALIZED, name, arguments...)
			}
		}
		for _, name := range []string{"C_MessageEncryptFinal", "C_MessageVerifyFinal", "C_VerifySignatureFinal", "C_FindObjectsFinal"} {
			p.want(ck.CKR_OPERATION_NOT_INITIALIZED, name)
		}
		pin := p.bytes(userPIN)
		p.want(ck.CKR_OPERATION_NOT_INITIALIZED, "C_Login", uintptr(ck.CKU_CONTEXT_SPECIFIC), pin, 8)
		p.want(ck.CKR_OPERATION_NOT_INITIALIZED, "C_LoginUser", uintptr(ck.CKU_CONTEXT_SPECIFIC), pin, 8, 0, 0)
		p.want(ck.CKR_USER_TYPE_INVALID, "C_LoginUser", 99, pin, 8, 0, 0)
	}},
	{"a login that is over, of two operations", func(p *probe) {
		aes := privateAES(p)
		_, rsa := p.rsa(2048, nil, rights(ck.CKA_SIGN))
		p.ok("C_EncryptInit", p.mechanism(ck.CKM_AES_ECB), aes)
		p.ok("C_SignInit", p.mechanism(ck.CKM_SHA256_RSA_PKCS), rsa)
		p.ok("C_Logout")
		p.want(ck.CKR_USER_NOT_LOGGED_IN, "C_SignEncryptUpdate", p.room(16), 16, p.room(16), p.word(16))
	}},
	{"a login that is over", func(p *probe) {
		for _, u := range uses(p) {
			for name, arguments := range u.calls {
				key := u.key(p)
				p.ok(u.init, p.mechanism(u.mechanism), key)
				p.ok("C_Logout")
				p.want(ck.CKR_USER_NOT_LOGGED_IN, name, arguments...)
				p.want(ck.CKR_KEY_HANDLE_INVALID, u.init, p.mechanism(u.mechanism), key)
				p.loginAgain()
			}
		}
	}},
	{"lengths of data that a mechanism does not take", func(p *probe) {
		public, private := p.rsa(2048, rights(ck.CKA_VERIFY, ck.CKA_VERIFY_RECOVER, ck.CKA_ENCRYPT), rights(ck.CKA_SIGN, ck.CKA_SIGN_RECOVER, ck.CKA_DECRYPT))
		aes := p.secret(ck.CKM_AES_KEY_GEN, aesRights.With(rights(ck.CKA_SIGN, ck.CKA_VERIFY)))
		long, out, length := p.room(1000), p.room(1000), p.word(1000)
		rsa, raw, ecb := p.mechanism(ck.CKM_RSA_PKCS), p.mechanism(ck.CKM_RSA_X_509), p.mechanism(ck.CKM_AES_ECB)
		ones := p.ones(256)
		p.ok("C_SignInit", rsa, private)
		p.want(ck.CKR_DATA_LEN_RANGE, "C_Sign", long, 300, out, length)
		p.ok("C_SignInit", raw, private)
		p.want(ck.CKR_DATA_INVALID, "C_Sign", ones, 256, out, length)
		p.ok("C_SignRecoverInit", rsa, private)
		p.want(ck.CKR_DATA_LEN_RANGE, "C_SignRecover", long, 300, out, length)
		p.ok("C_SignRecoverInit", raw, private)
		p.want(ck.CKR_DATA_INVALID, "C_SignRecover", ones, 256, out, length)
		p.ok("C_VerifyInit", rsa, public)
		p.ask("C_Verify", long, 300, out, 256)
		p.ok("C_VerifyInit", raw, public)
		p.ask("C_Verify", ones, 256, out, 256)
		p.ok("C_VerifyRecoverInit", rsa, public)
		p.want(ck.CKR_SIGNATURE_INVALID, "C_VerifyRecover", long, 256, out, length)
		p.ok("C_VerifyRecoverInit", raw, public)
		p.ask("C_VerifyRecover", ones, 256, out, length)
		p.ok("C_EncryptInit", raw, public)
		p.want(ck.CKR_DATA_INVALID, "C_Encrypt", ones, 256, out, length)
		p.ok("C_EncryptInit", ecb, aes)
		p.want(ck.CKR_DATA_LEN_RANGE, "C_Encrypt", long, 17, out, length)
		p.ok("C_EncryptInit", ecb, aes)
		p.ok("C_EncryptUpdate", long, 17, out, length)
		*p.at(length) = 1000
		p.want(ck.CKR_DATA_LEN_RANGE, "C_EncryptFinal", out, length)
		p.ok("C_SignInit", rsa, private)
		p.ask("C_SignUpdate", long, 300)
		p.ask("C_SignFinal", out, length)
		p.ok("C_VerifyInit", rsa, public)
		p.ask("C_VerifyUpdate", long, 300)
		p.ask("C_VerifyFinal", out, 256)
		p.ok("C_VerifySignatureInit", rsa, public, out, 256)
		p.ask("C_VerifySignature", long, 300)
		p.ok("C_VerifySignatureInit", raw, public, out, 256)
		p.ask("C_VerifySignature", ones, 256)
		p.ok("C_VerifySignatureInit", rsa, public, out, 256)
		p.ask("C_VerifySignatureUpdate", long, 300)
		p.ask("C_VerifySignatureFinal")
		p.ask("C_VerifySignatureInit", rsa, public, out, 17)
		p.ask("C_VerifySignature", long, 20)
		p.ask("C_SessionCancel", ^uintptr(0))
	}},
	{"rights that a key lacks", func(p *probe) {
		public, private := p.rsa(2048, ck.Template{ck.Bool(ck.CKA_VERIFY_RECOVER, false)}, ck.Template{ck.Bool(ck.CKA_SIGN_RECOVER, false)})
		p.want(ck.CKR_KEY_FUNCTION_NOT_PERMITTED, "C_SignRecoverInit", p.mechanism(ck.CKM_RSA_PKCS), private)
		p.want(ck.CKR_KEY_FUNCTION_NOT_PERMITTED, "C_VerifyRecoverInit", p.mechanism(ck.CKM_RSA_PKCS), public)
	}},
	{"two operations at a time", func(p *probe) {
		aes := p.secret(ck.CKM_AES_KEY_GEN, aesRights.With(rights(ck.CKA_SIGN, ck.CKA_VERIFY)))
		long, out := p.room(100), p.room(1000)
		cbc := p.mechanismWith(ck.CKM_AES_CBC, p.room(16), 16)
		for _, f := range []struct{ first, second, name string }{
			{"C_DigestInit", "C_DecryptInit", "C_DecryptDigestUpdate"}, {"C_VerifyInit", "C_DecryptInit", "C_DecryptVerifyUpdate"},
			{"C_SignInit", "C_EncryptInit", "C_SignEncryptUpdate"}, {"C_DigestInit", "C_EncryptInit", "C_DigestEncryptUpdate"},
		} {
			begin := func() {
				p.ask("C_SessionCancel", ^uintptr(0))
				if f.first == "C_DigestInit" {
					p.ok("C_DigestInit", p.mechanism(ck.CKM_SHA256))
				} else {
					p.ok(f.first, p.mechanism(ck.CKM_AES_CMAC), aes)
				}
				p.ok(f.second, cbc, aes)
			}
			begin()
			p.want(ck.CKR_BUFFER_TOO_SMALL, f.name, long, 64, out, p.word(1))
			p.ok(f.name, long, 64, out, p.word(1000))
			begin()
			p.ask("C_Decrypt", long, 32, 0, p.word(0))
			p.ask("C_Encrypt", long, 32, 0, p.word(0))
			p.want(ck.CKR_OPERATION_ACTIVE, f.name, long, 64, out, p.word(1000))
		}
		p.ask("C_SessionCancel", ^uintptr(0))
	}},
	{"more than the module keeps", func(p *probe) {
		const held = 64<<20 + 1
		much, room, length := p.room(held), p.room(64), p.word(64)
		public, private := p.rsa(2048, rights(ck.CKA_VERIFY, ck.CKA_ENCRYPT), rights(ck.CKA_SIGN))
		aes := p.secret(ck.CKM_AES_KEY_GEN, aesRights)
		rsa := p.mechanism(ck.CKM_RSA_PKCS)
		p.ok("C_DigestInit", p.mechanism(ck.CKM_SHA256))
		for _, name := range []string{"C_EncryptUpdate", "C_DigestEncryptUpdate", "C_SignEncryptUpdate"} {
			p.ask("C_SessionCancel", uintptr(ck.CKF_SIGN))
			p.ok("C_SignInit", rsa, private)
			p.ok("C_EncryptInit", rsa, public)
			p.want(ck.CKR_DATA_LEN_RANGE, name, much, held, room, length)
		}
		p.ok("C_VerifyInit", rsa, public)
		for _, name := range []string{"C_DecryptUpdate", "C_DecryptDigestUpdate", "C_DecryptVerifyUpdate"} {
			p.ok("C_DecryptInit", p.gcm(), aes)
			p.want(ck.CKR_ENCRYPTED_DATA_LEN_RANGE, name, much, held, room, length)
		}
		p.ask("C_SessionCancel", ^uintptr(0))
		p.ok("C_SignInit", rsa, private)
		p.want(ck.CKR_DATA_LEN_RANGE, "C_SignUpdate", much, held)
		p.ok("C_VerifyInit", rsa, public)
		p.want(ck.CKR_DATA_LEN_RANGE, "C_VerifyUpdate", much, held)
		p.ok("C_VerifySignatureInit", rsa, public, much, 256)
		p.want(ck.CKR_DATA_LEN_RANGE, "C_VerifySignatureUpdate", much, held)
		p.ok("C_MessageDecryptInit", p.mechanism(ck.CKM_AES_GCM), aes)
		message := p.gcmMessage()
		p.ok("C_DecryptMessageBegin", message, 48, 0, 0)
		p.want(ck.CKR_ENCRYPTED_DATA_LEN_RANGE, "C_DecryptMessageNext", message, 48, much, held, room, length, 0)
	}},
	{"in parts and all at once", func(p *probe) {
		p.ok("C_DigestInit", p.mechanism(ck.CKM_SHA256))
		p.ok("C_Digest", p.room(10), 10, 0, p.word(0))
		p.want(ck.CKR_OPERATION_ACTIVE, "C_DigestKey", p.secret(ck.CKM_AES_KEY_GEN, nil))
		public, private := p.rsa(2048, rights(ck.CKA_VERIFY, ck.CKA_VERIFY_RECOVER), rights(ck.CKA_SIGN, ck.CKA_SIGN_RECOVER))
		sha := p.mechanism(ck.CKM_SHA256_RSA_PKCS)
		p.ok("C_VerifyInit", sha, public)
		p.ok("C_VerifyUpdate", p.room(10), 10)
		p.want(ck.CKR_OPERATION_ACTIVE, "C_Verify", p.room(10), 10, p.room(256), 256)
		p.ok("C_SignRecoverInit", p.mechanism(ck.CKM_RSA_PKCS), private)
		signature, length := p.room(256), p.word(2)
		p.want(ck.CKR_BUFFER_TOO_SMALL, "C_SignRecover", p.room(10), 10, signature, length)
		p.ok("C_SignRecover", p.room(10), 10, signature, length)
		p.ok("C_VerifyRecoverInit", p.mechanism(ck.CKM_RSA_PKCS), public)
		p.want(ck.CKR_BUFFER_TOO_SMALL, "C_VerifyRecover", signature, 256, p.room(10), p.word(2))
		p.ask("C_SessionCancel", ^uintptr(0))
	}},
}
