package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

func TestDigestsAgreeInAllFlows(t *testing.T) {
	c, _ := crypto(t)
	ctx := t.Context()
	text := bytes.Repeat([]byte("This is the data longer than 64 bytes. "), 4)
	want := sha256.Sum256(text)
	m := mechanism(ck.CKM_SHA256)
	single := must[*pb.DigestSingleResponse](t)(c.DigestSingle(ctx, &pb.DigestSingleRequest{Mech: m, Data: text}))
	s := must[*pb.DigestInitResponse](t)(c.DigestInit(ctx, &pb.DigestInitRequest{Mech: m}))
	one := must[*pb.DigestResponse](t)(c.Digest(ctx, &pb.DigestRequest{State: s.State, Data: text}))
	u := must[*pb.DigestUpdateResponse](t)(c.DigestUpdate(ctx, &pb.DigestUpdateRequest{State: s.State, Data: text[:64]}))
	u = must[*pb.DigestUpdateResponse](t)(c.DigestUpdate(ctx, &pb.DigestUpdateRequest{State: u.State, Data: text[64:]}))
	parts := must[*pb.DigestFinalResponse](t)(c.DigestFinal(ctx, &pb.DigestFinalRequest{State: u.State}))
	for how, got := range map[string][]byte{"single": single.Digest, "one part": one.Digest, "parts": parts.Digest} {
		if !bytes.Equal(got, want[:]) {
			t.Errorf("%s: %x, want %x", how, got, want)
		}
	}
}

func TestTheDigestOfNothing(t *testing.T) {
	c, _ := crypto(t)
	r := must[*pb.DigestSingleResponse](t)(c.DigestSingle(t.Context(), &pb.DigestSingleRequest{Mech: mechanism(ck.CKM_SHA256)}))
	if hex.EncodeToString(r.Digest) != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("%x", r.Digest)
	}
}

func TestDigestKeyWantsAKey(t *testing.T) {
	c, _ := crypto(t)
	s := must[*pb.DigestInitResponse](t)(c.DigestInit(t.Context(), &pb.DigestInitRequest{Mech: mechanism(ck.CKM_SHA256)}))
	_, err := c.DigestKey(t.Context(), &pb.DigestKeyRequest{State: s.State})
	wantRV(t, err, ck.CKR_IBM_BLOB_ERROR)
}

func TestRandomIsAsLongAsAskedFor(t *testing.T) {
	c, _ := crypto(t)
	for _, row := range []struct {
		name string
		n    uint64
		want ck.RV
	}{
		{"none is an error", 0, ck.CKR_ARGUMENTS_BAD},
		{"one byte", 1, ck.CKR_OK},
		{"4096 bytes", 4096, ck.CKR_OK},
		{"the documented maximum", 1_000_000, ck.CKR_OK},
		{"more than that", 1_000_001, ck.CKR_ARGUMENTS_BAD},
		{"a number with the sign bit", 1 << 63, ck.CKR_ARGUMENTS_BAD},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, err := c.GenerateRandom(t.Context(), &pb.GenerateRandomRequest{Len: row.n})
			wantRV(t, err, row.want)
			if row.want == ck.CKR_OK && uint64(len(r.Rnd)) != row.n {
				t.Errorf("%d bytes", len(r.Rnd))
			}
		})
	}
}
