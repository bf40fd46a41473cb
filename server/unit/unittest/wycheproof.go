package unittest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grep11/server/unit"
)

// hexBytes is hexadecimal in a vector file.
type hexBytes []byte

func (h *hexBytes) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	v, err := hex.DecodeString(s)
	*h = v
	return err
}

// vectors is a Wycheproof file; fields that a schema lacks stay empty.
type vectors struct {
	Algorithm string
	Schema    string
	Groups    []group `json:"testGroups"`
}

type group struct {
	KeySize, IVSize, TagSize, SLen int
	Curve, SHA, MGF, MGFSHA        string
	PublicKeyDER                   hexBytes
	PublicKey                      json.RawMessage // an object, or hexadecimal
	PrivateKeyPKCS8                hexBytes
	PrivateSeed                    hexBytes
	ParameterSet                   string
	Encoding                       string
	Tests                          []vector

	algorithm string
	imported  unit.Blob
}

type vector struct {
	ID                      int `json:"tcId"`
	Comment, Result         string
	Flags                   []string
	Key, IV, AAD, Msg, CT   hexBytes
	Tag, Sig, Label         hexBytes
	Public, Private, Shared hexBytes
	IKM, Salt, Info, OKM    hexBytes
	Size                    int
	Seed, EK, DK, M, C, Mu  hexBytes
	K                       hexBytes `json:"K"`
	Ctx                     hexBytes
}

// check runs one case; ok says that the unit accepted it and gave the right
// result. skipped says why the case cannot be put to a unit.
type check func(k *kit, g *group, v *vector) (ok bool, skipped string)

// Wycheproof runs all files of a folder whose algorithm the unit has, and
// reports what it left out.
func Wycheproof(t *testing.T, u unit.Unit, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors in %s: %v", dir, err)
	}
	k := newKit(t, u)
	ran, passed, left := 0, 0, 0
	for _, f := range files {
		r, p, l := runFile(t, k, f)
		ran, passed, left = ran+r, passed+p, left+l
	}
	t.Logf("Wycheproof: %d files, %d cases, %d as they should be, %d left out", len(files), ran, passed, left)
}

func runFile(t *testing.T, k *kit, file string) (ran, passed, left int) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Errorf("%s: %v", file, err)
		return
	}
	run := checkOf(&v)
	if run == nil {
		t.Logf("%s: %s is not run", filepath.Base(file), v.Algorithm)
		return
	}
	why := map[string]int{}
	for i := range v.Groups {
		v.Groups[i].algorithm = v.Algorithm
		for j := range v.Groups[i].Tests {
			c := &v.Groups[i].Tests[j]
			ok, skipped := run(k, &v.Groups[i], c)
			ran++
			switch {
			case skipped != "":
				why[skipped]++
				left++
			case c.Result == "acceptable" || ok == (c.Result == "valid"):
				passed++
			default:
				t.Errorf("%s case %d (%s, %v): %s, but accepted: %v", filepath.Base(file), c.ID, c.Comment, c.Flags, c.Result, ok)
			}
		}
	}
	for reason, n := range why {
		t.Logf("%s: %d cases left out: %s", filepath.Base(file), n, reason)
	}
	return ran, passed, left
}

// checkOf finds the check of a file by its algorithm and schema.
func checkOf(v *vectors) check {
	for _, c := range checks {
		if strings.HasPrefix(v.Algorithm, c.algorithm) && strings.HasPrefix(v.Schema, c.schema) {
			return c.run
		}
	}
	return nil
}

func same(got, want []byte, err error) (bool, string) {
	return err == nil && bytes.Equal(got, want), ""
}

func skip(format string, a ...any) (bool, string) { return false, fmt.Sprintf(format, a...) }
