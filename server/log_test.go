package server

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"grep11/grep11client/extpb"
	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

func TestEachRefusalIsOneLineThatNamesTheCause(t *testing.T) {
	var out lockedBuffer
	s := newServer(t)
	s.log = slog.New(slog.NewTextHandler(&out, nil))
	conn := inMemory(t, s)
	c, tokens := pb.NewCryptoClient(conn), extpb.NewTokenClient(conn)
	if err := s.EnsureToken(t.Context(), "dev", ck.Secret("87654321"), ck.Secret("12345678")); err != nil {
		t.Fatal(err)
	}
	list := must[*extpb.ListTokensResponse](t)(tokens.ListTokens(t.Context(), &extpb.ListTokensRequest{}))
	out.take()
	for _, row := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"a wrong PIN", func() error {
			_, err := tokens.OpenLogin(t.Context(), &extpb.OpenLoginRequest{Token: list.Tokens[0].Id, User: uint64(ck.CKU_USER), Pin: []byte("s3cret-pin")})
			return err
		}, []string{"OpenLogin", "CKR_PIN_INCORRECT"}},
		{"a blob that is none", func() error {
			_, err := c.EncryptSingle(t.Context(), &pb.EncryptSingleRequest{Mech: mechanism(ck.CKM_AES_ECB), LegacyKey: []byte("s3cret-blob"), Plain: []byte("s3cret-text")})
			return err
		}, []string{"EncryptSingle", "CKR_IBM_BLOB_ERROR"}},
		{"a value in a template", func() error {
			_, err := c.GenerateKey(t.Context(), &pb.GenerateKeyRequest{Mech: mechanism(ck.CKM_AES_KEY_GEN), Template: wireTemplate(attrs{ck.CKA_VALUE: octets([]byte("s3cret-value-of-32-bytes-length!")), ck.CKA_VALUE_LEN: octets([]byte("s3cret-number"))})})
			return err
		}, []string{"GenerateKey", "CKA_VALUE_LEN"}},
		{"a huge token id", func() error {
			r := random(0)
			r.Token = bytes.Repeat([]byte{7}, 1<<20)
			st, err := extpb.NewSessionClient(conn).Exchange(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if turn(t, st, r).GetError() == nil {
				return nil
			}
			return ck.CKR_ARGUMENTS_BAD
		}, []string{"GenerateRandom", "CKR_ARGUMENTS_BAD"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := row.do(); err == nil {
				t.Fatal("not refused")
			}
			got := out.take()
			if strings.Count(got, "\n") != 1 || !strings.Contains(got, "refused") {
				t.Errorf("log:\n%s", got)
			}
			for _, w := range row.want {
				if !strings.Contains(got, w) {
					t.Errorf("%q lacks %q", got, w)
				}
			}
			if strings.Contains(got, "s3cret") || len(got) > 2000 {
				t.Errorf("a secret or too much in the log: %.3000s", got)
			}
		})
	}
}
