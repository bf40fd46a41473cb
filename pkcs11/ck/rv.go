package ck

import (
	"context"
	"errors"
)

// RV is CK_RV, the standard's return value, and an error: code returns what
// the standard calls it, wrapped once with facts.
type RV uint64

func (r RV) Error() string { return nameOr(namesRV[r], "CKR_", uint64(r)) }

// RVOf is the only way from an error to a number. An error without an RV in
// its chain is CKR_GENERAL_ERROR, or CKR_FUNCTION_CANCELED if a context ended.
func RVOf(err error) RV {
	if err == nil {
		return CKR_OK
	}
	var rv RV
	if errors.As(err, &rv) {
		return rv
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return CKR_FUNCTION_CANCELED
	}
	return CKR_GENERAL_ERROR
}

// RVs lists every return value the tables know, for tests that must see all.
func RVs() []RV {
	all := make([]RV, 0, len(namesRV))
	for rv := range namesRV {
		all = append(all, rv)
	}
	return all
}
