package wire

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	"grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// maxDetail bounds the text of an error, in bytes.
const maxDetail = 2048

// Error is a failure as GREP11 carries it. It unwraps to its RV.
type Error struct {
	RV     ck.RV
	Detail string
	// Retry says that the same request may succeed later.
	Retry bool
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return e.RV.Error()
	}
	return e.Detail
}

func (e *Error) Unwrap() error { return e.RV }

// Transient marks an error as one that a repeat of the request may not meet.
func Transient(err error) error {
	return &Error{RV: ck.RVOf(err), Detail: err.Error(), Retry: true}
}

// IsTransient tells whether an error was marked so, here or by the service.
func IsTransient(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Retry
}

// EncodeError makes the one detail of a failed call. err must not be nil.
func EncodeError(err error) *grep11pb.Grep11Error {
	detail := err.Error()
	if len(detail) > maxDetail {
		detail = detail[:maxDetail]
	}
	rv := ck.RVOf(err)
	if rv == ck.CKR_OK {
		rv = ck.CKR_GENERAL_ERROR
	}
	return &grep11pb.Grep11Error{Code: uint64(rv), Detail: validUTF8(detail), Retry: IsTransient(err)}
}

// DecodeError is never nil: a detail that says CKR_OK is CKR_GENERAL_ERROR.
func DecodeError(d *grep11pb.Grep11Error) error {
	rv := ck.RV(low32(d.GetCode()))
	if rv == ck.CKR_OK {
		rv = ck.CKR_GENERAL_ERROR
	}
	detail := d.GetDetail()
	if len(detail) > maxDetail {
		detail = detail[:maxDetail]
	}
	return &Error{RV: rv, Detail: detail, Retry: d.GetRetry()}
}

// EncodeStatus makes the gRPC status of a failed GREP11 call: UNKNOWN, the bare
// symbolic name, exactly one detail (grep11-wire 5.1).
func EncodeStatus(err error) error {
	if err == nil {
		return nil
	}
	d := EncodeError(err)
	s, e := status.New(codes.Unknown, ck.RV(d.Code).Error()).WithDetails(protoadapt.MessageV1Of(d))
	if e != nil {
		return status.Error(codes.Unknown, ck.RV(d.Code).Error())
	}
	return s.Err()
}

// DecodeStatus reads the error of a gRPC call: the detail where there is
// exactly one, what the status code says otherwise. Contexts' own errors stay,
// and those that have an RV.
func DecodeStatus(err error) error {
	var rv ck.RV
	if err == nil || errors.As(err, &rv) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	s, ok := status.FromError(err)
	if !ok {
		return fmt.Errorf("%v: %w", err, ck.CKR_GENERAL_ERROR)
	}
	if details := s.Details(); len(details) == 1 {
		if d, ok := details[0].(*grep11pb.Grep11Error); ok {
			return DecodeError(d)
		}
	}
	c := statusCodes[s.Code()]
	if c.rv == ck.CKR_OK {
		c.rv = ck.CKR_GENERAL_ERROR
	}
	return &Error{RV: c.rv, Detail: fmt.Sprintf("%v: %s", s.Code(), s.Message()), Retry: c.retry}
}

// statusCodes says what a status without a GREP11 detail means: it comes from
// gRPC itself or from something between, never from a crypto unit.
var statusCodes = map[codes.Code]struct {
	rv    ck.RV
	retry bool
}{
	codes.Canceled:          {ck.CKR_FUNCTION_CANCELED, false},
	codes.DeadlineExceeded:  {ck.CKR_DEVICE_ERROR, true},
	codes.Unavailable:       {ck.CKR_DEVICE_REMOVED, true},
	codes.Aborted:           {ck.CKR_DEVICE_ERROR, true},
	codes.Internal:          {ck.CKR_DEVICE_ERROR, false}, // such as an answer that cannot be read
	codes.Unimplemented:     {ck.CKR_FUNCTION_NOT_SUPPORTED, false},
	codes.ResourceExhausted: {ck.CKR_IBM_TRANSPORT_LIMIT, false},
	codes.Unauthenticated:   {ck.CKR_IBM_GREP11_NOT_AUTHENTICATED, false},
	codes.PermissionDenied:  {ck.CKR_IBM_GREP11_NOT_AUTHENTICATED, false},
}
