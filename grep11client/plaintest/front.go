// Package plaintest makes services that have grep11.Crypto alone, for tests.
package plaintest

import (
	"net"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// frame is a message that nobody looks into.
type frame struct{ bytes []byte }

type frameCodec struct{}

func (frameCodec) Name() string                  { return "proto" }
func (frameCodec) Marshal(v any) ([]byte, error) { return v.(*frame).bytes, nil }
func (frameCodec) Unmarshal(b []byte, v any) error {
	v.(*frame).bytes = append([]byte(nil), b...)
	return nil
}

// maxMessage is the largest that a service takes.
const maxMessage = 64 << 20

// Front lets grep11.Crypto through to a service, and nothing else. It listens
// without TLS on an address of loopback until stop.
func Front(service string, creds credentials.TransportCredentials) (address string, stop func(), err error) {
	conn, err := grpc.NewClient(service, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
	if err != nil {
		return "", nil, err
	}
	forward := func(_ any, s grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(s)
		if !strings.HasPrefix(method, "/grep11.Crypto/") {
			return status.Errorf(codes.Unimplemented, "unknown method %s", method)
		}
		var in, out frame
		if err := s.RecvMsg(&in); err != nil {
			return err
		}
		if err := conn.Invoke(s.Context(), method, &in, &out, grpc.ForceCodec(frameCodec{})); err != nil {
			return err
		}
		return s.SendMsg(&out)
	}
	front := grpc.NewServer(grpc.ForceServerCodec(frameCodec{}), grpc.UnknownServiceHandler(forward), grpc.MaxRecvMsgSize(maxMessage))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	var done sync.WaitGroup
	done.Go(func() { _ = front.Serve(l) })
	return l.Addr().String(), func() { front.Stop(); done.Wait(); _ = conn.Close() }, nil
}
