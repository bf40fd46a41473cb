package unit

import (
	"errors"

	"grep11/pkcs11/ck"
)

// Fault marks an error as the unit's own: not the request is wrong but the
// device, its connection or its master key. Such a request goes to another unit.
type Fault struct{ Err error }

func (f *Fault) Error() string { return "crypto unit failed: " + f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// faults are the return values that no request can cause by itself.
var faults = map[ck.RV]bool{
	ck.CKR_DEVICE_ERROR:        true,
	ck.CKR_DEVICE_REMOVED:      true,
	ck.CKR_TOKEN_NOT_PRESENT:   true,
	ck.CKR_IBM_TRANSPORT_ERROR: true,
	ck.CKR_IBM_ERROR_STATE:     true,
}

// Faulty tells that the unit itself failed, so that another one should be asked.
func Faulty(err error) bool {
	if err == nil {
		return false
	}
	var f *Fault
	return errors.As(err, &f) || faults[ck.RVOf(err)]
}
