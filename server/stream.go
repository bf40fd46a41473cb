package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"grep11/grep11client/extpb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/server/access"
)

// A member of Request's oneof belongs to the method it is named after, and to
// the member of Response's oneof with the same number.
var (
	requestCall    = new(extpb.Request).ProtoReflect().Descriptor().Oneofs().ByName("call")
	responseFields = new(extpb.Response).ProtoReflect().Descriptor().Fields()
	byNumber       = methodsByNumber()
)

func methodsByNumber() map[protowire.Number]*method {
	byName := map[string]*method{}
	for _, sv := range services {
		for _, m := range sv.methods {
			byName[m.name] = m
		}
	}
	out := map[protowire.Number]*method{}
	for i := range requestCall.Fields().Len() {
		f := requestCall.Fields().Get(i)
		m := byName[camel(string(f.Name()))]
		m.responseField = responseFields.ByNumber(f.Number())
		out[f.Number()] = m
	}
	return out
}

// camel makes SignSingle of sign_single.
func camel(field string) string {
	var b strings.Builder
	for _, word := range strings.Split(field, "_") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// visit is what all requests of a stream have in common.
type visit struct {
	call    call
	from    *caller
	refused error     // why its caller may not call
	until   time.Time // when that changes; zero: never
}

// exchange serves a stream: one request, one response, in turn. It ends when
// the caller closes its side, or with the next answer once the server stops.
func (s *Server) exchange(stream grpc.ServerStream) error {
	ctx := stream.Context()
	v := visit{call: call{srv: s, peer: peerName(ctx)}, from: callerOf(ctx)}
	ctx, v.refused = s.admit(ctx)
	v.until = access.IdentityOf(ctx).Until
	for !s.draining.Load() {
		err := s.turn(ctx, stream, v)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return status.Error(codes.Unavailable, "the server stops")
}

func (s *Server) turn(ctx context.Context, stream grpc.ServerStream, v visit) error {
	if err := s.memory.check(); err != nil {
		return err
	}
	var r extpb.Request
	in := incoming{into: &r}
	if err := stream.RecvMsg(&in); err != nil {
		return err
	}
	if !v.until.IsZero() && time.Now().After(v.until) {
		return status.Error(codes.Unauthenticated, "the bearer token has expired: open another stream, with a fresh one")
	}
	s.inside.Add(1)
	defer s.inside.Add(-1)
	c := v.call
	c.credential, c.token, c.prehashed = r.Credential, r.Token, r.Prehashed
	resp := s.exchanged(ctx, c, &r, errors.Join(v.refused, in.err))
	v.from.done(in.length)
	return stream.SendMsg(&outgoing{resp, v.from})
}

// exchanged answers one request of a stream.
func (s *Server) exchanged(ctx context.Context, c call, r *extpb.Request, refused error) *extpb.Response {
	c.limit = time.Duration(r.TimeoutMs) * time.Millisecond
	m, req := called(r)
	c.method = m
	result, err := s.answer(ctx, &c, req, refused)
	if err != nil {
		return &extpb.Response{Result: &extpb.Response_Error{Error: wire.EncodeError(err)}}
	}
	return response(m, result)
}

// called finds the method a request names, and the message for it.
func called(r *extpb.Request) (*method, proto.Message) {
	m := r.ProtoReflect()
	f := m.WhichOneof(requestCall)
	if f == nil {
		return noMethod, nil
	}
	return byNumber[f.Number()], m.Get(f).Message().Interface()
}

// noMethod answers a request without a call, or with one of a later revision.
var noMethod = &method{name: "Exchange", run: func(context.Context, *call, proto.Message) (proto.Message, error) {
	return nil, fmt.Errorf("request names no call that this server knows: %w", ck.CKR_FUNCTION_NOT_SUPPORTED)
}}

func response(m *method, result proto.Message) *extpb.Response {
	out := new(extpb.Response)
	out.ProtoReflect().Set(m.responseField, protoreflect.ValueOfMessage(result.ProtoReflect()))
	return out
}
