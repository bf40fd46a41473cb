package server

import (
	"bufio"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/balancer"
	"grep11/server/keystore"
	"grep11/server/soft"
	"grep11/server/unit"
)

// groups are the flags of the functions in testdata/mechanisms.csv; a group has
// a mechanism if it has one of them.
var groups = map[string]ck.Flags{
	"Encrypt": ck.CKF_ENCRYPT, "Decrypt": ck.CKF_DECRYPT, "Digest": ck.CKF_DIGEST, "Sign": ck.CKF_SIGN, "Verify": ck.CKF_VERIFY,
	"Generate": ck.CKF_GENERATE | ck.CKF_GENERATE_KEY_PAIR, "Wrap": ck.CKF_WRAP, "Unwrap": ck.CKF_UNWRAP, "Derive": ck.CKF_DERIVE,
}

type listed struct {
	group string
	mech  ck.MechanismType
	name  string
}

func productMechanisms(t *testing.T) (rows []listed) {
	f, err := os.Open("testdata/mechanisms.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		field := strings.Split(s.Text(), ",")
		n, err := strconv.ParseUint(field[2], 0, 32)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, listed{field[0], ck.MechanismType(n), field[1]})
	}
	return rows
}

// TestTheProductsMechanismsAreThere asks a running server for each mechanism of
// the product, in each group of functions.
func TestTheProductsMechanismsAreThere(t *testing.T) {
	c, _ := crypto(t)
	l := must[*pb.GetMechanismListResponse](t)(c.GetMechanismList(t.Context(), &pb.GetMechanismListRequest{}))
	rows := productMechanisms(t)
	if len(rows) != 170 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		if got := row.mech.String(); got != row.name {
			t.Errorf("0x%x is %s, not %s", uint64(row.mech), got, row.name)
		}
		if !slices.Contains(l.Mechs, uint64(row.mech)) {
			t.Errorf("%s is missing", row.name)
			continue
		}
		i := must[*pb.GetMechanismInfoResponse](t)(c.GetMechanismInfo(t.Context(), &pb.GetMechanismInfoRequest{Mech: uint64(row.mech)})).MechInfo
		if ck.Flags(i.Flags)&groups[row.group] == 0 {
			t.Errorf("%s does not %s: flags 0x%x", row.name, row.group, i.Flags)
		}
	}
}

// TestTheMechanismListIsTheTable: what is listed is what mech has rows for, with
// the same sizes and flags.
func TestTheMechanismListIsTheTable(t *testing.T) {
	c, _ := crypto(t)
	l := must[*pb.GetMechanismListResponse](t)(c.GetMechanismList(t.Context(), &pb.GetMechanismListRequest{}))
	all := mech.All()
	if len(l.Mechs) != len(all) {
		t.Fatalf("%d mechanisms for %d rows", len(l.Mechs), len(all))
	}
	for i, m := range l.Mechs {
		info := must[*pb.GetMechanismInfoResponse](t)(c.GetMechanismInfo(t.Context(), &pb.GetMechanismInfoRequest{Mech: m})).MechInfo
		want := all[i].Info()
		if m != uint64(all[i].Type) || info.MinKeySize != want.MinKeySize || info.MaxKeySize != want.MaxKeySize || ck.Flags(info.Flags) != want.Flags {
			t.Errorf("%v: %v, want %v", ck.MechanismType(m), info, want)
		}
	}
}

// TestTheProductsCurves makes a pair on each curve of grep11-wire 7.3, by name
// and by OID.
func TestTheProductsCurves(t *testing.T) {
	c, _ := crypto(t)
	for _, row := range []struct{ name, oid string }{
		{"P-192", "\x06\x08\x2A\x86\x48\xCE\x3D\x03\x01\x01"}, {"P-224", "\x06\x05\x2B\x81\x04\x00\x21"}, {"P-256", "\x06\x08\x2A\x86\x48\xCE\x3D\x03\x01\x07"},
		{"P-384", "\x06\x05\x2B\x81\x04\x00\x22"}, {"P-521", "\x06\x05\x2B\x81\x04\x00\x23"}, {"SECP256K1", "\x06\x05\x2B\x81\x04\x00\x0A"},
		{"BP-160R", brainpoolOID(1)}, {"BP-160T", brainpoolOID(2)}, {"BP-192R", brainpoolOID(3)}, {"BP-192T", brainpoolOID(4)},
		{"BP-224R", brainpoolOID(5)}, {"BP-224T", brainpoolOID(6)}, {"BP-256R", brainpoolOID(7)}, {"BP-256T", brainpoolOID(8)},
		{"BP-320R", brainpoolOID(9)}, {"BP-320T", brainpoolOID(10)}, {"BP-384R", brainpoolOID(11)}, {"BP-384T", brainpoolOID(12)},
		{"BP-512R", brainpoolOID(13)}, {"BP-512T", brainpoolOID(14)},
		{"curve25519", "\x06\x03\x2B\x65\x6E"}, {"x448", "\x06\x03\x2B\x65\x6F"}, {"ed25519", "\x06\x03\x2B\x65\x70"}, {"ed448", "\x06\x03\x2B\x65\x71"},
		{"", "\x06\x0C\x2B\x06\x01\x04\x01\x02\x82\x0B\x87\x67\x03\x02"}, // BLS12-381
	} {
		byOID := keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: octets([]byte(row.oid))}, attrs{})
		if row.name == "" {
			continue
		}
		byName := keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: octets([]byte(row.name))}, attrs{})
		if len(byOID.PubKeyBytes) != len(byName.PubKeyBytes) {
			t.Errorf("%s: public blobs of %d and %d bytes", row.name, len(byOID.PubKeyBytes), len(byName.PubKeyBytes))
		}
	}
}

func brainpoolOID(n byte) string { return "\x06\x09\x2B\x24\x03\x03\x02\x08\x01\x01" + string(rune(n)) }

// lacking is a unit without a mechanism.
type lacking struct {
	unit.Unit
	mechanism ck.MechanismType
}

func (u lacking) Mechanisms() []*mech.Row {
	return slices.DeleteFunc(slices.Clone(u.Unit.Mechanisms()), func(r *mech.Row) bool { return r.Type == u.mechanism })
}

// TestWhatUnitsLackIsNoMechanism: and not one with a bad parameter.
func TestWhatUnitsLackIsNoMechanism(t *testing.T) {
	store, err := keystore.Open(t.Context(), filepath.Join(t.TempDir(), "keystore.db"))
	if err != nil {
		t.Fatal(err)
	}
	u, err := soft.New(soft.Config{Name: "unit", MasterKey: make([]byte, unit.LenWrappingKey)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Defaults(), store, []balancer.Member{{Unit: lacking{u, ck.CKM_IBM_BTC_DERIVE}, Kind: "soft"}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c := pb.NewCryptoClient(inMemory(t, s))
	k := must[*pb.GenerateKeyResponse](t)(c.GenerateKey(t.Context(), &pb.GenerateKeyRequest{Mech: mechanism(ck.CKM_AES_KEY_GEN), Template: wireTemplate(attrs{ck.CKA_VALUE_LEN: number(32)})}))
	_, err = c.DeriveKey(t.Context(), &pb.DeriveKeyRequest{Mech: mechanism(ck.CKM_IBM_BTC_DERIVE), BaseKey: k.Key})
	wantRV(t, err, ck.CKR_MECHANISM_INVALID)
	_, err = c.DeriveKey(t.Context(), &pb.DeriveKeyRequest{Mech: mechanism(ck.CKM_ECDH1_DERIVE), BaseKey: k.Key})
	wantRV(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
}
