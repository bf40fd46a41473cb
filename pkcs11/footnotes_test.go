package pkcs11

import (
	"encoding/csv"
	"os"
	"strings"
	"testing"

	"grep11/pkcs11/ck"
)

// footnoteFlags are the flags that the standard's footnotes stand for. 9 and 13
// are no rule for templates.
var footnoteFlags = map[string]flags{
	"1": createNeeds, "2": createNot, "3": generateNeeds, "4": generateNot, "5": unwrapNeeds, "6": unwrapNot,
	"7": secret, "8": mutable, "10": soSets, "11": staysTrue, "12": staysFalse, "9": 0, "13": 0,
}

const allFootnotes = createNeeds | createNot | generateNeeds | generateNot | unwrapNeeds | unwrapNot | secret | mutable | soSets | staysTrue | staysFalse

// aside is where the module's rules differ from the footnotes, and why: more is
// what they have besides, less what they lack.
var aside = map[string]struct {
	more, less flags
	why        string
}{

	"CKA_LABEL":                            {mutable, 0, "§4.5: it may change, though the table has no footnote"},
	"CKA_COPYABLE":                         {mutable | staysFalse, 0, "§4.5: \"Can't be set to TRUE once it is set to FALSE\""},
	"CKO_DATA CKA_APPLICATION":             {mutable, 0, "§4.6 does not say that it stays"},
	"CKO_DATA CKA_OBJECT_ID":               {mutable, 0, "§4.6 does not say that it stays"},
	"CKO_DATA CKA_VALUE":                   {mutable, 0, "§4.6 does not say that it stays"},
	"CKA_TRUST_SERVER_AUTH":                {mutable, 0, whyTrustChanges},
	"CKA_TRUST_CLIENT_AUTH":                {mutable, 0, whyTrustChanges},
	"CKA_TRUST_CODE_SIGNING":               {mutable, 0, whyTrustChanges},
	"CKA_TRUST_EMAIL_PROTECTION":           {mutable, 0, whyTrustChanges},
	"CKA_TRUST_IPSEC_IKE":                  {mutable, 0, whyTrustChanges},
	"CKA_TRUST_TIME_STAMPING":              {mutable, 0, whyTrustChanges},
	"CKA_TRUST_OCSP_SIGNING":               {mutable, 0, whyTrustChanges},
	"CKO_CERTIFICATE CKA_ID":               {mutable, 0, "§4.7.3: it may be modified after the object is created"},
	"CKO_CERTIFICATE CKA_ISSUER":           {mutable, 0, "§4.7.3, as CKA_ID"},
	"CKO_CERTIFICATE CKA_SERIAL_NUMBER":    {mutable, 0, "§4.7.3, as CKA_ID"},
	"CKA_OBJECT_VALIDATION_FLAGS":          {createNot, 0, "it is the module's own"},
	"CKO_SECRET_KEY CKA_DECRYPT":           {staysFalse, 0, "a key that wraps never gets to decrypt"},
	"CKO_SECRET_KEY CKA_WRAP":              {staysFalse, 0, "a key that decrypts never gets to wrap"},
	"CKO_PUBLIC_KEY CKA_TRUSTED":           {mutable, 0, "the security officer sets it on keys that are there"},
	"CKO_SECRET_KEY CKA_TRUSTED":           {mutable, 0, "the security officer sets it on keys that are there"},
	"CKA_WRAP_WITH_TRUSTED":                {mutable, 0, "11 says that it changes until it is CK_TRUE"},
	"CKO_PRIVATE_KEY CKA_PUBLIC_KEY_INFO":  {0, mutable, "it is computed of the key: another would be wrong"},
	"CKO_DOMAIN_PARAMETERS CKA_LOCAL":      {unwrapNot, 0, "domain parameters are not unwrapped"},
	"CKO_PRIVATE_KEY CKA_PUBLIC_EXPONENT":  {0, createNeeds, "before 2.40 it was not needed"},
	"CKO_PRIVATE_KEY CKA_VALUE CKK_ML_KEM": {0, createNeeds, "a seed stands for it"},
	"CKO_PRIVATE_KEY CKA_VALUE CKK_ML_DSA": {0, createNeeds, "a seed stands for it"},
	"CKO_PUBLIC_KEY CKA_PRIME":             {0, generateNeeds, "the service says what is missing"},
	"CKO_PUBLIC_KEY CKA_SUBPRIME":          {0, generateNeeds, "the service says what is missing"},
	"CKO_PUBLIC_KEY CKA_BASE":              {0, generateNeeds, "the service says what is missing"},
	"CKO_SECRET_KEY CKA_VALUE_LEN":         {0, createNot | generateNeeds, "taken beside a value of that length, as applications give it; generated() wants it"},
	"CKO_PRIVATE_KEY CKA_VALUE_BITS":       {0, createNot, "taken, for it says what the value says"},
	"CKO_PRIVATE_KEY CKA_EC_PARAMS":        {0, generateNot | unwrapNot, "applications give it; it must be the public key's"},
	"CKO_PRIVATE_KEY CKA_PARAMETER_SET":    {0, generateNot | unwrapNot, "applications give it; it must be the public key's"},
	"CKO_PRIVATE_KEY CKA_PRIME":            {0, generateNot | unwrapNot, "applications give it; it must be the public key's"},
	"CKO_PRIVATE_KEY CKA_SUBPRIME":         {0, generateNot | unwrapNot, "applications give it; it must be the public key's"},
	"CKO_PRIVATE_KEY CKA_BASE":             {0, generateNot | unwrapNot, "applications give it; it must be the public key's"},
}

const whyTrustChanges = "the chapter does not say that it stays, and that CKA_MODIFIABLE is CK_TRUE by default"

// notHere are attributes of the tables that no object of the module has.
var notHere = map[string]string{"CKA_PUBLIC_CRC64_VALUE": "not computed; CKA_PUBLIC_KEY_INFO is"}

// TestFootnotes holds the rules against the standard's tables of attributes.
func TestFootnotes(t *testing.T) {
	f, err := os.Open("testdata/footnotes.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, row := range rows[1:] {
		if notHere[row[2]] != "" {
			continue
		}
		for _, class := range classesNamed(row[0]) {
			checkFootnotes(t, used, class, row[1], row[2], row[3])
		}
	}
	for key := range aside {
		if !used[key] {
			t.Errorf("%q is no difference", key)
		}
	}
}

// classesNamed gives the classes of one of the standard's tables.
func classesNamed(name string) (all []ck.ObjectClass) {
	for class, is := range classOf {
		if class.String() == name || name == "any" && is&profiles == 0 || name == "keys" && is&keys != 0 {
			all = append(all, class)
		}
	}
	return all
}

func checkFootnotes(t *testing.T, used map[string]bool, class ck.ObjectClass, kind, name, notes string) {
	at, ok := attributeNamed(name)
	r, known := ruleFor(at, class, kindNamed(kind))
	if !ok || !known || r == nil {
		t.Errorf("%v %s has no rule for %s", class, kind, name)
		return
	}
	want := flags(0)
	for _, n := range strings.Fields(notes) {
		want |= footnoteFlags[n]
	}
	have := r.Is & allFootnotes
	if have == want {
		return
	}
	for _, key := range []string{class.String() + " " + name + " " + kind, class.String() + " " + name, name} {
		if a, ok := aside[key]; ok && have == want&^a.less|a.more {
			used[key] = true
			return
		}
	}
	t.Errorf("%v %s: %s has %b more than footnotes %q, and lacks %b", class, kind, name, have&^want, notes, want&^have)
}

func attributeNamed(name string) (ck.AttributeType, bool) {
	for at := range rulesOf {
		if at.String() == name {
			return at, true
		}
	}
	return 0, false
}

// kindNamed is a key type or a certificate type; CKC_X_509 and none are 0.
func kindNamed(name string) uint64 {
	for k := range uint64(0x80) {
		if ck.KeyType(k).String() == name {
			return k
		}
	}
	return 0
}
