package soft

import (
	"testing"

	"github.com/cloudflare/circl/kem"
	"github.com/cloudflare/circl/sign"

	"grep11/pkcs11/mech"
)

// TestParameterSets: the facts in package mech are those of the arithmetic.
func TestParameterSets(t *testing.T) {
	type sizes struct{ public, private, seed, out int }
	for _, s := range mech.ParameterSets() {
		var got sizes
		switch scheme := pqcSchemes[s.Name].(type) {
		case kemScheme:
			var k kem.Scheme = scheme.Scheme
			got = sizes{k.PublicKeySize(), k.PrivateKeySize(), k.SeedSize(), k.CiphertextSize()}
		case lattice:
			var k sign.Scheme = scheme.Scheme
			got = sizes{k.PublicKeySize(), k.PrivateKeySize(), k.SeedSize(), k.SignatureSize()}
		case slhScheme:
			k := scheme.id.Scheme()
			got = sizes{k.PublicKeySize(), k.PrivateKeySize(), 0, k.SignatureSize()}
		default:
			t.Errorf("%s has no arithmetic", s.Name)
			continue
		}
		if want := (sizes{s.LenPublic, s.LenPrivate, s.LenSeed, s.LenOut}); got != want {
			t.Errorf("%s: %+v, not %+v", s.Name, got, want)
		}
		if pqcFamilies[s.Key] == nil {
			t.Errorf("%s has no family", s.Name)
		}
	}
}
