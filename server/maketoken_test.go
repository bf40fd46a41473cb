package server

import (
	"crypto/rand"
	"testing"

	"grep11/grep11client/extpb"
	"grep11/pkcs11/ck"
	"grep11/server/access"
)

func TestWhoMayMakeTokens(t *testing.T) {
	admin, other := access.Identity{Name: "admin", Admin: true}, access.Identity{Name: "other"}
	for _, row := range []struct {
		name   string
		makers string
		who    access.Identity
		most   int
		want   ck.RV
	}{
		{"anyone, where anyone may", "anyone", other, 1, ck.CKR_OK},
		{"an administrator, where only they may", "admins", admin, 1, ck.CKR_OK},
		{"another, where only administrators may", "admins", other, 1, ck.CKR_ACTION_PROHIBITED},
		{"one token too many", "anyone", admin, 0, ck.CKR_DEVICE_MEMORY},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newServer(t, func(c *Config) { c.Auth.TokenMakers, c.Keystore.Tokens = row.makers, row.most })
			t.Cleanup(func() { _ = s.Close() })
			request := make([]byte, 16)
			rand.Read(request)
			_, err := s.ext.initToken(access.WithIdentity(t.Context(), row.who), access.Caller{}, &extpb.InitTokenRequest{RequestId: request, Label: "t", SoPin: []byte("12345678")})
			if got := ck.RVOf(err); got != row.want {
				t.Errorf("%v, want %v", err, row.want)
			}
		})
	}
}
