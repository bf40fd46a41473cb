package grep11client

import (
	"io"

	"google.golang.org/grpc/grpclog"
)

// The library lives in other people's programs: gRPC would write its errors to
// their terminal. What is wrong with a connection comes back from the call.
func init() {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
}
