package consumers

import (
	"os"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"
)

// load takes the module into the test's own process, a second Go runtime
// beside the test's, and finds the slot of the service's token.
func (s *service) load(t *testing.T) (*pkcs11.Ctx, uint) {
	t.Helper()
	for _, e := range s.env {
		name, value, _ := strings.Cut(e, "=")
		old, had := os.LookupEnv(name)
		os.Setenv(name, value)
		t.Cleanup(func() {
			if os.Setenv(name, old); !had {
				os.Unsetenv(name)
			}
		})
	}
	p := pkcs11.New(s.module)
	if p == nil {
		t.Fatalf("%s does not load", s.module)
	}
	if err := p.Initialize(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Finalize(); p.Destroy() })
	slots, err := p.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range slots {
		if info, err := p.GetTokenInfo(slot); err == nil && info.Label == s.token {
			return p, slot
		}
	}
	t.Fatalf("no token %q in %d slots", s.token, len(slots))
	return nil, 0
}

// open opens a session that is logged in, like all the process's sessions.
func (s *service) open(t *testing.T, p *pkcs11.Ctx, slot uint) pkcs11.SessionHandle {
	t.Helper()
	session, err := p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err == nil {
		err = p.Login(session, pkcs11.CKU_USER, s.pin)
	}
	if err != nil && err != pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN) {
		t.Fatal(err)
	}
	return session
}
