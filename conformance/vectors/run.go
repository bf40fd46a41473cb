package vectors

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"grep11/pkcs11/ck"
)

// Hex is a byte string of a vector file.
type Hex []byte

func (h *Hex) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	raw, err := hex.DecodeString(s)
	*h = raw
	return err
}

type file struct {
	Algorithm  string  `json:"algorithm"`
	TestGroups []group `json:"testGroups"`
}

// group holds the fields of every schema; a schema fills its own.
type group struct {
	Type         string          `json:"type"`
	KeySize      int             `json:"keySize"`
	TagSize      int             `json:"tagSize"`
	IVSize       int             `json:"ivSize"`
	Curve        string          `json:"curve"`
	SHA          string          `json:"sha"`
	MGFSHA       string          `json:"mgfSha"`
	SaltLen      int             `json:"sLen"`
	PublicDER    Hex             `json:"publicKeyDer"`
	PrivatePKCS8 Hex             `json:"privateKeyPkcs8"`
	PublicASN    Hex             `json:"publicKeyAsn"`
	ParameterSet string          `json:"parameterSet"`
	PrivateSeed  Hex             `json:"privateSeed"`
	Tests        []vector        `json:"tests"`
	PublicKey    json.RawMessage `json:"publicKey"`
}

type vector struct {
	ID      int      `json:"tcId"`
	Comment string   `json:"comment"`
	Flags   []string `json:"flags"`
	Result  string   `json:"result"`

	Key, IV, AAD, Msg, CT, Tag, Sig Hex
	Label, Public, Private, Shared  Hex
	IKM, Salt, Info, OKM            Hex
	Size                            int
	Seed, EK, DK, C, K, Ctx         Hex
	Mu, Rnd                         Hex
}

// leftOut is an error that says why a case cannot be run.
type leftOut string

func (l leftOut) Error() string { return string(l) }

// errWrong: the service accepted a case and gave a result that is not the
// vector's.
var errWrong = errors.New("result differs")

// runners maps a schema's test type to the way one case is run: nil for an
// accepted case, leftOut, or any other error for a refused one.
var runners = map[string]func(*runner, context.Context, *file, *group, *vector) error{
	"IndCpaTest":                    (*runner).blockCipher,
	"MacTest":                       (*runner).mac,
	"AeadTest":                      (*runner).aead,
	"KeywrapTest":                   (*runner).keyWrap,
	"EcdhTest":                      (*runner).ecdhSPKI,
	"EcdhEcpointTest":               (*runner).ecdhPoint,
	"XdhComp":                       (*runner).xdh,
	"EcdsaP1363Verify":              (*runner).ecdsa,
	"EddsaVerify":                   (*runner).eddsa,
	"RsassaPkcs1Verify":             (*runner).rsaPKCS1,
	"RsassaPssVerify":               (*runner).rsaPSS,
	"RsassaPssWithParametersVerify": (*runner).rsaPSS,
	"RsaesOaepDecrypt":              (*runner).rsaOAEP,
	"RsaesPkcs1Decrypt":             (*runner).rsaDecrypt,
	"HkdfTest":                      (*runner).hkdf,
	"MlDsaVerify":                   (*runner).mldsaVerify,
	"MlDsaSign":                     (*runner).mldsaSign,
	"MLKEMTest":                     (*runner).mlkem,
	"MLKEMKeyGen":                   (*runner).mlkemKeyGen,
	"MLKEMEncapsTest":               (*runner).mlkemEncaps,
}

// Run runs all files of a folder against a service.
func Run(ctx context.Context, s Service, dir string) (Report, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(names) == 0 {
		return Report{}, fmt.Errorf("vectors: no .json files in %q: set WYCHEPROOF_DIR to a folder of Wycheproof files", dir)
	}
	r := &runner{Service: s}
	var all Report
	for _, name := range names {
		f, err := r.runFile(ctx, name)
		if err != nil {
			return all, fmt.Errorf("vectors: %s: %w", filepath.Base(name), err)
		}
		all.Files = append(all.Files, f)
	}
	return all, nil
}

func (r *runner) runFile(ctx context.Context, name string) (File, error) {
	out := File{Name: filepath.Base(name)}
	text, err := os.ReadFile(name)
	if err != nil {
		return out, err
	}
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		return out, err
	}
	for i := range f.TestGroups {
		g := &f.TestGroups[i]
		run := runners[g.Type]
		if run == nil {
			out.leaveOut("no way to run "+g.Type, len(g.Tests))
			continue
		}
		r.forget()
		r.keys = map[string]key{}
		for j := range g.Tests {
			v := &g.Tests[j]
			out.judge(v, run(r, ctx, &f, g, v))
			if err := ctx.Err(); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// judge compares an outcome with what the vector demands. A mechanism that the
// service does not have leaves the case out; a broken service is a wrong answer.
func (f *File) judge(v *vector, err error) {
	var why leftOut
	if errors.As(err, &why) {
		f.leaveOut(string(why), 1)
		return
	}
	f.Run++
	switch {
	case broken(err):
		f.wrong(v, fmt.Sprintf("the service failed: %v", err))
	case v.Result == "valid" && err != nil:
		f.wrong(v, fmt.Sprintf("valid, but %v", err))
	case v.Result == "invalid" && err == nil:
		f.wrong(v, "invalid, but accepted")
	default:
		f.Passed++
	}
}

// broken tells errors no input may cause.
func broken(err error) bool {
	for _, rv := range []ck.RV{ck.CKR_GENERAL_ERROR, ck.CKR_DEVICE_ERROR, ck.CKR_DEVICE_REMOVED, ck.CKR_HOST_MEMORY, ck.CKR_FUNCTION_NOT_SUPPORTED} {
		if errors.Is(err, rv) {
			return true
		}
	}
	return false
}

func (f *File) wrong(v *vector, what string) {
	f.Wrong = append(f.Wrong, fmt.Sprintf("case %d (%s): %s", v.ID, v.Comment, what))
}

func same(got, want []byte) error {
	if !bytes.Equal(got, want) {
		return errWrong
	}
	return nil
}
