package server

import (
	"bytes"
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/server/balancer"
	"grep11/server/keystore"
	"grep11/server/soft"
	"grep11/server/unit"
)

// A store whose keys the units cannot open is named at the start, and its keys are refused.
func TestAStoreOfAnotherServiceIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	serve := func(log *bytes.Buffer) *Server {
		store, err := keystore.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		master := make([]byte, unit.LenWrappingKey)
		rand.Read(master)
		u, err := soft.New(soft.Config{Name: "unit", MasterKey: master})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(Defaults(), store, []balancer.Member{{Unit: u, Kind: "soft"}}, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.checkStore(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	const says = "of another service"
	var log bytes.Buffer
	first := serve(&log)
	if err := first.EnsureToken(t.Context(), "dev", ck.Secret(testSOPIN), ck.Secret(testUserPIN)); err != nil {
		t.Fatal(err)
	}
	g := guestOf(t, inMemory(t, first))
	key, err := g.user().makePair(newID(), ck.Template{isTrue(ck.CKA_TOKEN)}, ck.Template{isTrue(ck.CKA_TOKEN), isTrue(ck.CKA_PRIVATE)})
	wantRV(t, err, ck.CKR_OK)
	if err := first.checkStore(t.Context()); err != nil || strings.Contains(log.String(), says) {
		t.Error(err, log.String())
	}
	first.Close()
	second := serve(&log)
	if !strings.Contains(log.String(), says) {
		t.Errorf("the log does not say so: %s", log.String())
	}
	again := *guestOf(t, inMemory(t, second))
	again.ctx, again.token = g.ctx, g.token
	wantRV(t, again.user().sign(key[1]), ck.CKR_IBM_WKID_MISMATCH)
}
