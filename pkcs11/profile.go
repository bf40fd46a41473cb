package pkcs11

import (
	"grep11/grep11client"
	"grep11/pkcs11/ck"
)

// Profiles the module keeps, PKCS#11 v3.2 §4.14: consumers read them without a
// login, to learn what to expect. Their handles lie between those of stored
// objects and those of session objects.
const profileBit ck.ObjectHandle = 1 << 47

var profileObjects = []*object{
	newProfile(1, ck.CKP_BASELINE_PROVIDER),
	newProfile(2, ck.CKP_EXTENDED_PROVIDER),
	newProfile(3, ck.CKP_AUTHENTICATION_TOKEN),
}

func newProfile(n ck.ObjectHandle, id uint64) *object {
	return newObject(grep11client.Object{Handle: profileBit | n, Attributes: ck.Template{
		ck.Ulong(ck.CKA_CLASS, ck.CKO_PROFILE), ck.Ulong(ck.CKA_PROFILE_ID, id),
	}})
}

func profileAt(h ck.ObjectHandle) *object {
	for _, o := range profileObjects {
		if o.Handle == h {
			return o
		}
	}
	return nil
}

// findProfiles gives profiles only to searches for that class: applications
// that list everything would find objects they do not understand (the rule
// that §4.3 has for hardware features).
func findProfiles(t ck.Template) []ck.ObjectHandle {
	if class, _, _ := t.Ulong(ck.CKA_CLASS); ck.ObjectClass(class) != ck.CKO_PROFILE {
		return nil
	}
	var found []ck.ObjectHandle
	for _, o := range profileObjects {
		if o.matches(t) {
			found = append(found, o.Handle)
		}
	}
	return found
}
