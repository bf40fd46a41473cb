package pkcs11

import (
	"fmt"
	"slices"

	"grep11/pkcs11/ck"
)

// checkWhole holds a new object's attributes against the rules that are about
// more than one of them.
func checkWhole(class ck.ObjectClass, kind uint64, t ck.Template) error {
	switch {
	case class == ck.CKO_TRUST:
		return checkTrust(t)
	case class == ck.CKO_CERTIFICATE && slices.Contains(named, kind):
		return checkURL(t)
	}
	return nil
}

// checkURL: a certificate is here or elsewhere; of one elsewhere the hashes of
// the keys are here, PKCS#11 v3.2 §4.7.3 and §4.7.4.
func checkURL(t ck.Template) error {
	has := func(at ck.AttributeType) bool { return len(t.Bytes(at)) > 0 }
	switch {
	case !has(ck.CKA_URL) && !has(ck.CKA_VALUE):
		return fmt.Errorf("certificate without value or URL: %w", ck.CKR_TEMPLATE_INCOMPLETE)
	case has(ck.CKA_URL) && (!has(ck.CKA_HASH_OF_SUBJECT_PUBLIC_KEY) || !has(ck.CKA_HASH_OF_ISSUER_PUBLIC_KEY)):
		return fmt.Errorf("certificate at a URL without the hashes of its keys: %w", ck.CKR_TEMPLATE_INCOMPLETE)
	}
	return nil
}

// trustFor are the attributes of CKO_TRUST that hold a CK_TRUST.
var trustFor = []ck.AttributeType{ck.CKA_TRUST_SERVER_AUTH, ck.CKA_TRUST_CLIENT_AUTH, ck.CKA_TRUST_CODE_SIGNING,
	ck.CKA_TRUST_EMAIL_PROTECTION, ck.CKA_TRUST_IPSEC_IKE, ck.CKA_TRUST_TIME_STAMPING, ck.CKA_TRUST_OCSP_SIGNING}

// checkTrust: what trusts a certificate says by its hash which one it is,
// PKCS#11 v3.2, trust objects.
func checkTrust(t ck.Template) error {
	for _, at := range trustFor {
		trust, ok, err := t.Ulong(at)
		switch {
		case err != nil:
			return err
		case trust > ck.CKT_TRUST_MUST_VERIFY_TRUST:
			return fmt.Errorf("%v is no CK_TRUST: %w", at, ck.CKR_ATTRIBUTE_VALUE_INVALID)
		case !ok || trust == ck.CKT_TRUST_UNKNOWN || trust == ck.CKT_NOT_TRUSTED:
		case len(t.Bytes(ck.CKA_HASH_OF_CERTIFICATE)) == 0 || !t.Has(ck.CKA_NAME_HASH_ALGORITHM):
			return fmt.Errorf("%v without the certificate's hash: %w", at, ck.CKR_TEMPLATE_INCOMPLETE)
		}
	}
	return nil
}
