package grep11client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"grep11/grep11client/extpb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
)

var (
	errLinkDead = fmt.Errorf("connection lost: %w", ck.CKR_DEVICE_REMOVED)
	errTimeout  = fmt.Errorf("no answer in time: %w", ck.CKR_DEVICE_ERROR)
)

// ended: a caller's cancellation is its own error, its deadline is ours.
func ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errTimeout
	}
	return ctx.Err()
}

// stream is a leased Session.Exchange: one request, one response, on the
// caller's own goroutine. It is used by one call at a time.
type stream struct {
	link    *link
	ctx     context.Context
	cancel  context.CancelFunc
	expired bool // of the last call, valid when it has ended
	used    time.Time
	grpc.BidiStreamingClient[extpb.Request, extpb.Response]

	bound
}

func newStream(l *link) *stream {
	s := &stream{link: l}
	s.ctx, s.cancel = context.WithCancel(l.ctx)
	s.bound.stop = s.cancel
	return s
}

// call runs one exchange. sent tells, beside an error, whether the server may
// have seen the request.
func (l *link) call(ctx context.Context, limit time.Duration, req *extpb.Request) (resp *extpb.Response, sent bool, err error) {
	few := l.calls.enter(l.ep.c.Lines())
	defer l.calls.leave()
	if l.unary.Load() {
		return l.callUnary(ctx, limit, req)
	}
	if few && ctx.Value(crowded{}) == nil {
		if ln := l.leaseLine(req); ln != nil {
			return l.callLine(ctx, limit, req, ln)
		}
	}
	s, err := l.lease(ctx, limit)
	if err != nil {
		return nil, false, err
	}
	seen := l.answers.Load()
	resp, sent, err = s.exchange(ctx, limit, req)
	l.release(s, err == nil && !stranger(resp) && s.ctx.Err() == nil)
	switch {
	case err == nil:
		l.answers.Add(1)
		return resp, true, nil
	case status.Code(err) == codes.Unauthenticated: // said before the request is looked at
		return nil, false, wire.Transient(wire.DecodeStatus(err))
	case status.Code(err) == codes.Unimplemented:
		l.unary.Store(true)
		return l.callUnary(ctx, limit, req)
	}
	return nil, sent, l.blame(ctx, s.expired, seen, err)
}

// stranger: who is not known on a stream may be on the next one, with a fresher token.
func stranger(resp *extpb.Response) bool {
	return resp.GetError().GetCode() == uint64(ck.CKR_IBM_GREP11_NOT_AUTHENTICATED)
}

// blame says why an exchange failed, and gives the link up where it is at
// fault: its connection is gone, or nothing at all came over it in a call's time.
func (l *link) blame(ctx context.Context, expired bool, answersBefore uint64, err error) error {
	if err := ended(ctx); err != nil {
		return err
	}
	if expired {
		if l.answers.Load() == answersBefore {
			l.ep.suspect()
			l.fail()
		}
		return errTimeout
	}
	if l.conn.GetState() != connectivity.Ready || l.ctx.Err() != nil {
		l.fail()
		return errLinkDead
	}
	return err
}

// exchange is a round trip that the link's guard bounds in time. A cancellation
// that has begun when the answer comes has spoiled the stream for the next call.
func (s *stream) exchange(ctx context.Context, limit time.Duration, req *extpb.Request) (resp *extpb.Response, sent bool, err error) {
	s.begin(ctx, limit)
	s.link.watchCalls()
	resp, sent, err = s.roundTrip(req)
	s.expired, _ = s.end()
	return resp, sent, err
}

func (s *stream) roundTrip(req *extpb.Request) (*extpb.Response, bool, error) {
	if s.BidiStreamingClient == nil {
		if err := s.open(); err != nil {
			return nil, false, err
		}
	}
	if err := s.Send(req); err != nil {
		if errors.Is(err, io.EOF) { // the stream ended before; Recv knows why
			_, err = s.Recv()
		}
		return nil, false, orEnded(err)
	}
	resp, err := s.Recv()
	return resp, true, orEnded(err)
}

// orEnded: a stream that the server ended in peace is no success either.
func orEnded(err error) error {
	if errors.Is(err, io.EOF) {
		return errLinkDead
	}
	return err
}

func (s *stream) open() (err error) {
	ctx, err := s.link.ep.c.bearer.on(s.ctx)
	if err != nil {
		return err
	}
	s.BidiStreamingClient, err = extpb.NewSessionClient(s.link.conn).Exchange(ctx)
	return err
}
