package conformance

import (
	"strings"
	"testing"

	"grep11/pkcs11/ck"
)

// TestProvider does what OpenSSL's pkcs11-provider does, which Debian 12 has
// not: testdata/provider.c says what.
func TestProvider(t *testing.T) {
	s := openSession(t)
	s.needs(t, ck.CKM_EDDSA)
	s.makeKeyPair(t, "provider test")
	out := run(t, service, compile(t, "provider.c"), modulePath(t), setting(t, "GREP11_PIN"))
	if !strings.HasSuffix(out, "provider ok\n") {
		t.Error(out)
	}
	t.Log(out)
}
