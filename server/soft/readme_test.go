package soft

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

var updateReadme = flag.Bool("update", false, "write the table of mechanisms into README.md")

const readme = "../../README.md"

// papers say where a mechanism is described and what computes it; the first
// that fits counts.
var papers = []struct{ names, standard, engine string }{
	{`RSA_AES_KEY_WRAP`, "PKCS#11 6.1, RFC 5649", "libcrypto, Go"},
	{`.*_X9_31.*`, "ANSI X9.31", "libcrypto"},
	{`RSA_.*|SHA.*_RSA_.*`, "RFC 8017", "libcrypto"},
	{`IBM_EC_MULTIPLY`, "SEC 1; format ours", "libcrypto"},
	{`IBM_ECDSA_OTHER`, "BSI TR-03111, Zilliqa, BLS draft", "libcrypto, gnark-crypto"},
	{`IBM_EC_AGGREGATE`, "BLS draft", "gnark-crypto"},
	{`IBM_BTC_DERIVE`, "BIP32, SLIP-0010", "libcrypto, Go"},
	{`.*_RAW`, "as without RAW; format ours", "libcrypto, Go, circl"},
	{`(IBM_)?ECDSA.*`, "FIPS 186-5, RFC 5639, SEC 2", "libcrypto, Go"},
	{`EC_KEY_PAIR_GEN|ECDH1.*`, "SP 800-56A, SEC 1", "libcrypto, Go"},
	{`EDDSA|IBM_ED.*|EC_EDWARDS.*`, "RFC 8032", "Go, circl"},
	{`EC_MONTGOMERY.*|IBM_EC_X.*`, "RFC 7748", "Go, circl"},
	{`DSA.*|DH_.*`, "FIPS 186-4, SP 800-56A", "libcrypto"},
	{`AES_GCM|AES_GMAC`, "SP 800-38D", "Go, ours"},
	{`AES_CCM`, "SP 800-38C", "Go, ours"},
	{`.*_ENCRYPT_DATA`, "PKCS#11 6.14", "Go"},
	{`.*_CMAC.*`, "SP 800-38B", "Go, ours"},
	{`AES_KEY_WRAP.*`, "RFC 3394, RFC 5649", "Go, ours"},
	{`CHACHA20.*`, "RFC 8439", "Go"},
	{`IBM_SIPHASH`, "SipHash; format ours", "ours"},
	{`AES_.*`, "FIPS 197, SP 800-38A", "Go"},
	{`DES.*`, "SP 800-67, SP 800-38A", "Go"},
	{`.*_HMAC(_GENERAL)?`, "FIPS 198-1", "Go"},
	{`SP800_108.*`, "SP 800-108", "Go"},
	{`HKDF.*`, "RFC 5869", "Go"},
	{`PKCS5_PBKD2`, "RFC 8018", "Go"},
	{`PBE_.*`, "RFC 7292", "Go"},
	{`IBM_EAC`, "BSI TR-03110, ICAO 9303; format ours", "Go"},
	{`.*_KEY_DERIVATION|CONCATENATE.*|XOR.*|EXTRACT.*|GENERIC.*`, "PKCS#11 6.43, 6.21", "Go"},
	{`(IBM_)?SHA.*`, "FIPS 180-4, FIPS 202", "Go"},
	{`IBM_DILITHIUM`, "Dilithium, rounds 2 and 3 (above)", "circl"},
	{`IBM_KYBER`, "Kyber, round 2 (above)", "circl"},
	{`.*ML_DSA.*`, "FIPS 204", "circl"},
	{`.*ML_KEM.*`, "FIPS 203", "circl"},
	{`.*SLH_DSA.*`, "FIPS 205", "circl"},
	{`IBM_ATTRIBUTEBOUND_WRAP`, "format ours", "libcrypto, Go"},
	{`IBM_TRANSPORTKEY`, "RFC 5280", "-"},
	{`IBM_RETAINKEY`, "format ours", "-"},
}

var readmeUses = []struct {
	flag ck.Flags
	name string
}{
	{ck.CKF_ENCRYPT, "encrypt"}, {ck.CKF_DECRYPT, "decrypt"}, {ck.CKF_DIGEST, "digest"}, {ck.CKF_SIGN, "sign"}, {ck.CKF_VERIFY, "verify"},
	{ck.CKF_GENERATE, "generate"}, {ck.CKF_GENERATE_KEY_PAIR, "generate pair"}, {ck.CKF_WRAP, "wrap"}, {ck.CKF_UNWRAP, "unwrap"}, {ck.CKF_DERIVE, "derive"},
	{ck.CKF_ENCAPSULATE, "encapsulate"}, {ck.CKF_DECAPSULATE, "decapsulate"},
}

func usesOf(f ck.Flags) string {
	var out []string
	for _, u := range readmeUses {
		if f&u.flag != 0 {
			out = append(out, u.name)
		}
	}
	return strings.Join(out, ", ")
}

// sizesOf has the standard's unit: bits for RSA and groups, bytes for others.
func sizesOf(row *mech.Row) string {
	if row.Size.Max == 0 {
		return "-"
	}
	unit := "bytes"
	for _, k := range []ck.KeyType{ck.CKK_RSA, ck.CKK_DSA, ck.CKK_DH, ck.CKK_EC, ck.CKK_EC_EDWARDS, ck.CKK_EC_MONTGOMERY} {
		if row.Allows(k) {
			unit = "bits"
		}
	}
	if row.Size.Min == row.Size.Max {
		return fmt.Sprintf("%d %s", row.Size.Min, unit)
	}
	return fmt.Sprintf("%d-%d %s", row.Size.Min, row.Size.Max, unit)
}

// mechanismTable is a line for all mechanisms of the same kind.
func mechanismTable(t *testing.T) string {
	var order []string
	names := map[string][]string{}
	for _, row := range mech.All() {
		name := strings.TrimPrefix(row.Type.String(), "CKM_")
		i := slices.IndexFunc(papers, func(p struct{ names, standard, engine string }) bool {
			return regexp.MustCompile("^(" + p.names + ")$").MatchString(name)
		})
		if i < 0 {
			t.Fatalf("%v: papers do not say what describes it", row.Type)
		}
		rest := fmt.Sprintf("| %s | %s | %s | %s |", usesOf(row.Use), sizesOf(&row), papers[i].standard, papers[i].engine)
		if names[rest] == nil {
			order = append(order, rest)
		}
		names[rest] = append(names[rest], "`"+name+"`")
	}
	var b strings.Builder
	b.WriteString("| CKM_ | functions | keys | described in | computed by |\n|---|---|---|---|---|\n")
	for _, rest := range order {
		fmt.Fprintf(&b, "| %s %s\n", strings.Join(names[rest], " "), rest)
	}
	return b.String()
}

// TestReadmeListsTheMechanisms: README's table is the one that mech's rows make.
func TestReadmeListsTheMechanisms(t *testing.T) {
	const begin, end = "<!-- mechanisms -->\n", "<!-- /mechanisms -->"
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	old, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("README.md has no place for the table of mechanisms")
	}
	want := mechanismTable(t)
	if old == want {
		return
	}
	if !*updateReadme {
		t.Fatal("README.md lists other mechanisms: go test ./server/soft -run Readme -update")
	}
	if err := os.WriteFile(readme, []byte(head+begin+want+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}
