package server

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	protoenc "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"grep11/grep11client/extpb"
	"grep11/pkcs11/ck"
)

// Metadata entries of unary calls, in place of the stream's Request fields.
const (
	credentialKey = "grep11-credential-bin"
	tokenKey      = "grep11-token-bin"
)

// register gives the gRPC server every method of the table, and the stream.
// The handlers are made here and not by the generated code, so that a request
// which cannot be parsed is answered in GREP11's form too.
func (s *Server) register(g *grpc.Server) {
	for _, sv := range services {
		desc := grpc.ServiceDesc{ServiceName: sv.desc.ServiceName, HandlerType: (*any)(nil), Metadata: sv.desc.Metadata}
		for _, m := range sv.methods {
			desc.Methods = append(desc.Methods, grpc.MethodDesc{MethodName: m.name, Handler: s.unary(m)})
		}
		g.RegisterService(&desc, nil)
	}
	stream := extpb.Session_ServiceDesc.Streams[0]
	stream.Handler = func(_ any, g grpc.ServerStream) error { return s.exchange(g) }
	g.RegisterService(&grpc.ServiceDesc{
		ServiceName: extpb.Session_ServiceDesc.ServiceName, HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{stream}, Metadata: extpb.Session_ServiceDesc.Metadata,
	}, nil)
}

func (s *Server) unary(m *method) grpc.MethodHandler {
	return func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		s.inside.Add(1)
		defer s.inside.Add(-1)
		c := &call{srv: s, method: m, peer: peerName(ctx), credential: entry(ctx, credentialKey), token: entry(ctx, tokenKey)}
		from := callerOf(ctx)
		in := incoming{into: m.newRequest()}
		defer func() { from.done(in.length) }()
		if err := decode(&in); err != nil {
			in.err = unreadable(err)
		}
		ctx, refused := s.admit(ctx)
		resp, err := s.answer(ctx, c, in.into, errors.Join(refused, in.err))
		if err != nil {
			return nil, statusOf(err)
		}
		return &outgoing{resp, from}, nil
	}
}

func entry(ctx context.Context, key string) []byte {
	if v := metadata.ValueFromIncomingContext(ctx, key); len(v) > 0 {
		return []byte(v[0])
	}
	return nil
}

// incoming receives a message. One that cannot be parsed is an error of this
// request, not of its stream.
type incoming struct {
	into   proto.Message
	length int
	err    error
}

// codec is gRPC's own, but for incoming and outgoing.
type codec struct{ encoding.CodecV2 }

var protoCodec = codec{encoding.GetCodecV2(protoenc.Name)}

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	out, ok := v.(*outgoing)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	b, err := c.CodecV2.Marshal(out.message)
	out.to.answered(b.Len())
	return b, err
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	in, ok := v.(*incoming)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	in.length = data.Len()
	if n := in.length; n > maxMessage {
		in.err = fmt.Errorf("request of %d bytes is longer than %d: %w", n, maxMessage, ck.CKR_DATA_LEN_RANGE)
		return nil
	}
	if err := c.CodecV2.Unmarshal(data, in.into); err != nil {
		in.err = unreadable(err)
	}
	return nil
}

func unreadable(err error) error {
	return fmt.Errorf("request cannot be read: %v: %w", err, ck.CKR_IBM_GREP11_CANNOT_UNMARSHAL)
}
