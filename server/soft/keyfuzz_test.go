package soft

import (
	"bytes"
	"hash/crc32"
	"strings"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// samplePairs are a small key of each family.
func samplePairs(t testing.TB) []*pair {
	t.Helper()
	var all []*pair
	for _, s := range mech.ParameterSets() {
		p, err := generateSet(&s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	for _, curve := range []string{"P-256", "ed25519", "x448", nameBLS} {
		c := curvesByName[curve]
		value, point, err := c.generate()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &pair{value: value, spki: makeSPKI(oidEC, c.oid, point)})
	}
	return all
}

// slowSet tells the sets of SLH-DSA whose signatures are small: a key takes a
// hundred times as long to make as one of the others.
func slowSet(s *mech.ParameterSet) bool {
	return s.Key == ck.CKK_SLH_DSA && strings.HasSuffix(s.Name, "s")
}

// generateSet makes a key of the sets that do it fast, and an empty one of others.
func generateSet(s *mech.ParameterSet) (*pair, error) {
	if s.Key == ck.CKK_SLH_DSA && !slowSet(s) {
		return generateSLH(s)
	}
	if s.LenSeed == 0 {
		return &pair{value: make(ck.Secret, s.LenPrivate), spki: makeSPKI(s.OID, nil, make([]byte, s.LenPublic))}, nil
	}
	return makePQC(s, make(ck.Secret, s.LenSeed))
}

// FuzzPKCS8: what is imported is exported, and comes back the same. An import
// makes an SLH-DSA key again; of the slow sets one input in 16 is tried.
func FuzzPKCS8(f *testing.F) {
	for _, p := range samplePairs(f) {
		info, err := parseSPKI(p.spki)
		if err != nil {
			f.Fatal(err)
		}
		der, err := info.family.pkcs8(&key{typ: info.family.typ, value: p.value, spki: p.spki}, info)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		if p, err := parsePKCS8(der); err == nil {
			if s := mech.SetByOID(p.oid); s != nil && slowSet(s) && crc32.ChecksumIEEE(der)%16 != 0 {
				return
			}
		}
		value, info, err := importPKCS8(der)
		if err != nil {
			if ck.RVOf(err) == ck.CKR_GENERAL_ERROR {
				t.Errorf("no code: %v", err)
			}
			return
		}
		again, err := info.family.pkcs8(&key{typ: info.family.typ, value: value, spki: info.spki}, info)
		if err != nil {
			t.Fatal(err)
		}
		value2, info2, err := importPKCS8(again)
		if err != nil || !bytes.Equal(value, value2) || !bytes.Equal(info.spki, info2.spki) {
			t.Errorf("comes back otherwise: %v", err)
		}
	})
}

// FuzzSPKI: what is imported can be imported again, and shows attributes.
func FuzzSPKI(f *testing.F) {
	for _, p := range samplePairs(f) {
		f.Add(p.spki)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		info, err := importSPKI(der)
		if err != nil {
			if ck.RVOf(err) == ck.CKR_GENERAL_ERROR {
				t.Errorf("no code: %v", err)
			}
			return
		}
		k := &key{class: ck.CKO_PUBLIC_KEY, typ: info.family.typ, spki: info.spki}
		if _, err := k.attributes(); err != nil {
			t.Errorf("no attributes: %v", err)
		}
		again, err := importSPKI(info.spki)
		if err != nil || !bytes.Equal(again.spki, info.spki) {
			t.Errorf("comes back otherwise: %v", err)
		}
	})
}
