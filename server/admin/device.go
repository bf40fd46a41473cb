package admin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"

	"grep11/server/admin/command"
)

// makeDevice gives a new module its key, on P-256 because it signs every answer, and a certificate of its own
// signature for operators to pin. The certificate does not expire (RFC 5280 §4.1.2.5).
func (s *state) makeDevice() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(s.module.Serial[:]),
		Subject:      pkix.Name{CommonName: "crypto unit " + s.module.String(), SerialNumber: s.module.String()},
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	s.device = key
	s.deviceCert, err = x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	return err
}

// respond signs a response block about the state.
func (s *state) respond(fn command.Function, err error, payload []byte) (block, signature []byte, fault error) {
	r := command.Response{Function: fn, Domain: s.domain.Bytes(), Module: s.module.Bytes(),
		Counter: s.counter[:], Payload: payload}
	if err != nil {
		r.Return, r.Payload = answer(err)
	}
	block = r.Marshal()
	signature, fault = command.Sign(rand.Reader, s.device, block)
	return block, signature, fault
}
