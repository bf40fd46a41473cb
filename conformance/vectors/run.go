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

	"google.golang.org/grpc"

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
var runners = map[string]func(*service, context.Context, *file, *group, *vector) error{
	"IndCpaTest":                    (*service).blockCipher,
	"MacTest":                       (*service).mac,
	"AeadTest":                      (*service).aead,
	"KeywrapTest":                   (*service).keyWrap,
	"EcdhTest":                      (*service).ecdhSPKI,
	"EcdhEcpointTest":               (*service).ecdhPoint,
	"XdhComp":                       (*service).xdh,
	"EcdsaP1363Verify":              (*service).ecdsa,
	"EddsaVerify":                   (*service).eddsa,
	"RsassaPkcs1Verify":             (*service).rsaPKCS1,
	"RsassaPssVerify":               (*service).rsaPSS,
	"RsassaPssWithParametersVerify": (*service).rsaPSS,
	"RsaesOaepDecrypt":              (*service).rsaOAEP,
	"RsaesPkcs1Decrypt":             (*service).rsaDecrypt,
	"HkdfTest":                      (*service).hkdf,
	"MlDsaVerify":                   (*service).mldsaVerify,
	"MlDsaSign":                     (*service).mldsaSign,
	"MLKEMTest":                     (*service).mlkem,
	"MLKEMKeyGen":                   (*service).mlkemKeyGen,
	"MLKEMEncapsTest":               (*service).mlkemEncaps,
}

// Run runs all files of a folder against a server.
func Run(ctx context.Context, conn grpc.ClientConnInterface, dir string) (Report, error) {
	s, err := newService(ctx, conn)
	if err != nil {
		return Report{}, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(names) == 0 {
		return Report{}, fmt.Errorf("vectors: no .json files in %q: set WYCHEPROOF_DIR to a folder of Wycheproof files", dir)
	}
	var r Report
	for _, name := range names {
		f, err := s.runFile(ctx, name)
		if err != nil {
			return r, fmt.Errorf("vectors: %s: %w", filepath.Base(name), err)
		}
		r.Files = append(r.Files, f)
	}
	return r, nil
}

func (s *service) runFile(ctx context.Context, name string) (File, error) {
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
			out.leaveOut("no way to run "+g.Type+" through GREP11", len(g.Tests))
			continue
		}
		s.newGroup()
		for j := range g.Tests {
			v := &g.Tests[j]
			out.judge(v, run(s, ctx, &f, g, v))
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
