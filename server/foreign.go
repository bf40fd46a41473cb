package server

import (
	"context"
	"encoding/hex"

	"grep11/server/unit"
)

// sampled is how many stored keys are looked at for a judgement of the store.
const sampled = 100

// checkStore says loudly where the store is another service's: none of its keys
// is sealed under a master key that the crypto units have. It says no more, for the
// owners may have given the old keys up; each use of one is refused by itself. Where
// the stored keys are being sealed under a new master key, it goes on doing so.
func (s *Server) checkStore(ctx context.Context) error {
	held, coming := map[string]bool{}, map[string][]byte{}
	for _, u := range s.units.Units() {
		next := s.units.CommittedKey(u.Name)
		for _, pattern := range [][]byte{u.WrappingKey, next} {
			if len(pattern) > 0 {
				held[hex.EncodeToString(pattern)[:2*lenWKID]] = true
			}
		}
		if len(next) > 0 {
			coming[hex.EncodeToString(next)[:2*lenWKID]] = next
		}
	}
	if len(held) == 0 {
		return nil
	}
	if begun, err := s.ext.store.Resealing(ctx); err != nil || len(begun) >= lenWKID && s.goOn(ctx, coming, begun) {
		return err
	}
	stored, err := s.ext.store.Sealed(ctx, 0, sampled)
	if err != nil {
		return err
	}
	var foreign string
	for _, o := range stored {
		id, err := unit.Blob(o.Blob).WKID()
		if err != nil {
			continue
		}
		foreign = hex.EncodeToString(id[:])
		if s.goOn(ctx, coming, id[:]) || held[foreign] {
			return nil
		}
	}
	for pattern := range held {
		if foreign != "" {
			s.log.Error("the stored keys are sealed under a master key that no crypto unit has: a store or units of another service?",
				"stored keys", foreign, "crypto units", pattern)
		}
	}
	return nil
}

// goOn seals new keys under the coming master key of a pattern, or of a blob's
// part of it. Where not all units have committed it, that waits until they have.
func (s *Server) goOn(ctx context.Context, coming map[string][]byte, pattern []byte) bool {
	next := coming[hex.EncodeToString(pattern[:lenWKID])]
	if next == nil {
		return false
	}
	if err := s.sealAhead(ctx, next); err != nil {
		s.log.Warn("new keys are not sealed under the new master key yet: commit it in all crypto units", "cause", err)
	}
	return true
}

// lenWKID is how much of a pattern a blob holds.
const lenWKID = len(unit.Header{}.WKID)
