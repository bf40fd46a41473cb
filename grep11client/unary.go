package grep11client

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
)

// Metadata of unary calls, for what a stream has in its requests.
const (
	credentialKey = "grep11-credential-bin"
	tokenKey      = "grep11-token-bin"
)

var (
	callOneof   = (*extpb.Request)(nil).ProtoReflect().Descriptor().Oneofs().ByName("call")
	resultOneof = (*extpb.Response)(nil).ProtoReflect().Descriptor().Oneofs().ByName("result")
	results     = (*extpb.Response)(nil).ProtoReflect().Descriptor().Fields()
	// methods finds a call's unary form by the name of its request message.
	methods = methodPaths(grep11pb.File_crypto_proto, extpb.File_ext_proto)
)

func methodPaths(files ...protoreflect.FileDescriptor) map[protoreflect.FullName]string {
	paths := map[protoreflect.FullName]string{}
	for _, f := range files {
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			for j := range s.Methods().Len() {
				m := s.Methods().Get(j)
				paths[m.Input().FullName()] = fmt.Sprintf("/%s/%s", s.FullName(), m.Name())
			}
		}
	}
	return paths
}

// callUnary makes the call that a request of the stream stands for, on a
// server without the stream.
func (l *link) callUnary(ctx context.Context, limit time.Duration, req *extpb.Request) (*extpb.Response, bool, error) {
	if req.Prehashed {
		return nil, false, fmt.Errorf("digests under a combined mechanism: %w", ck.CKR_FUNCTION_NOT_SUPPORTED)
	}
	inner, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	in := req.ProtoReflect()
	field := in.WhichOneof(callOneof)
	if field == nil {
		return nil, false, fmt.Errorf("empty request: %w", ck.CKR_GENERAL_ERROR)
	}
	resp := &extpb.Response{}
	out := resp.ProtoReflect()
	result := results.ByNumber(field.Number())
	answer := out.NewField(result)
	outgoing, err := l.ep.c.bearer.on(withMetadata(inner, req))
	if err != nil {
		return nil, false, err
	}
	err = l.conn.Invoke(outgoing, methods[field.Message().FullName()],
		in.Get(field).Message().Interface(), answer.Message().Interface())
	if err == nil {
		l.answers.Add(1)
		out.Set(result, answer)
		return resp, true, nil
	}
	if status.Code(err) == codes.Unauthenticated && l.ep.c.bearer.forget() {
		return nil, false, wire.Transient(wire.DecodeStatus(err))
	}
	if d := status.Convert(err).Details(); len(d) == 1 {
		if e, ok := d[0].(*grep11pb.Grep11Error); ok {
			l.answers.Add(1)
			return &extpb.Response{Result: &extpb.Response_Error{Error: e}}, true, nil
		}
	}
	return nil, true, l.blame(ctx, inner.Err() == context.DeadlineExceeded, l.answers.Load(), err)
}

func withMetadata(ctx context.Context, req *extpb.Request) context.Context {
	if len(req.Credential) > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, credentialKey, string(req.Credential))
	}
	if len(req.Token) > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, tokenKey, string(req.Token))
	}
	return ctx
}
