package wire

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

func TestEveryCodeComesBack(t *testing.T) {
	for _, rv := range ck.RVs() {
		if rv == ck.CKR_OK {
			continue
		}
		for _, err := range []error{rv, fmt.Errorf("with a fact: %w", rv), Transient(rv)} {
			sent := EncodeStatus(err)
			s := status.Convert(sent)
			if s.Code() != codes.Unknown || s.Message() != rv.Error() || len(s.Details()) != 1 {
				t.Errorf("%v: sent as %v %q with %d details", rv, s.Code(), s.Message(), len(s.Details()))
			}
			got := DecodeStatus(sent)
			if !errors.Is(got, rv) || got.Error() != err.Error() || IsTransient(got) != IsTransient(err) {
				t.Errorf("%v came back as %v", err, got)
			}
		}
	}
}

func TestErrorsWithoutACode(t *testing.T) {
	for name, row := range map[string]struct {
		err   error
		want  ck.RV
		retry bool
	}{
		"an error of no kind is a general error":        {errors.New("x"), ck.CKR_GENERAL_ERROR, false},
		"a dead connection is a removed device":         {status.Error(codes.Unavailable, "x"), ck.CKR_DEVICE_REMOVED, true},
		"a missing method is an unsupported function":   {status.Error(codes.Unimplemented, "x"), ck.CKR_FUNCTION_NOT_SUPPORTED, false},
		"an answer that cannot be read is the device's": {status.Error(codes.Internal, "x"), ck.CKR_DEVICE_ERROR, false},
		"an unknown status is a general error":          {status.Error(codes.DataLoss, "x"), ck.CKR_GENERAL_ERROR, false},
		"an error that says CKR_OK is a general error":  {DecodeError(&grep11pb.Grep11Error{}), ck.CKR_GENERAL_ERROR, false},
		"no detail at all is a general error":           {DecodeError(nil), ck.CKR_GENERAL_ERROR, false},
		"an ended context is a cancelled function":      {DecodeStatus(context.Canceled), ck.CKR_FUNCTION_CANCELED, false},
		"a sign-extended vendor code is reduced":        {DecodeError(&grep11pb.Grep11Error{Code: 0xFFFFFFFF80010001}), ck.CKR_IBM_WKID_MISMATCH, false},
		"an error of CKR_OK is sent as a general error": {DecodeStatus(EncodeStatus(ck.CKR_OK)), ck.CKR_GENERAL_ERROR, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := DecodeStatus(row.err)
			if ck.RVOf(got) != row.want || IsTransient(got) != row.retry {
				t.Errorf("got %v (retry %v)", got, IsTransient(got))
			}
		})
	}
	if EncodeStatus(nil) != nil || DecodeStatus(nil) != nil {
		t.Error("no error became one")
	}
}

func TestLongAndBrokenDetailsAreSent(t *testing.T) {
	err := fmt.Errorf("%s\xff: %w", strings.Repeat("é", maxDetail), ck.CKR_HOST_MEMORY)
	got := DecodeStatus(EncodeStatus(err))
	if !errors.Is(got, ck.CKR_HOST_MEMORY) || len(got.Error()) > maxDetail {
		t.Errorf("got %d bytes, %v", len(got.Error()), ck.RVOf(got))
	}
}
