package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/until"
	"grep11/server/access"
	"grep11/server/unit"
)

// answer is the way of every request: refused at the door, or run within the
// server's limits, counted, and where it fails logged in one line.
func (s *Server) answer(ctx context.Context, c *call, req proto.Message, refused error) (resp proto.Message, err error) {
	start := time.Now()
	if refused != nil {
		err = refused
	} else {
		resp, err = s.run(ctx, c, req)
	}
	if err != nil {
		resp = nil
		s.logRefusal(ctx, c, err)
	} else if c.method.audited && s.log.Enabled(ctx, slog.LevelInfo) {
		s.log.LogAttrs(ctx, slog.LevelInfo, "done", c.who(ctx)...)
	}
	s.metrics.count(c.method.name, err, time.Since(start))
	return resp, err
}

func (s *Server) run(ctx context.Context, c *call, req proto.Message) (resp proto.Message, err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("before the call began: %w", err)
	}
	limit := s.config.Listen.RequestTimeout.Duration
	if c.limit > 0 {
		limit = min(limit, c.limit)
	}
	bounded := until.New(s.faults.named(ctx, c.method.name), time.Now().Add(limit))
	defer bounded.Release()
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic", "method", c.method.name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			resp, err = nil, fmt.Errorf("%s: internal error: %w", c.method.name, ck.CKR_FUNCTION_FAILED)
		}
	}()
	resp, err = c.method.run(bounded, c, req)
	return resp, transient(err)
}

// transient marks failures that the same request may not meet again: the
// unit's own, and a lack of time.
func transient(err error) error {
	if err == nil || wire.IsTransient(err) {
		return err
	}
	if unit.Faulty(err) || errors.Is(err, context.DeadlineExceeded) {
		return wire.Transient(err)
	}
	return err
}

// maxCause bounds what a caller can have written to the log.
const maxCause = 1024

// logRefusal names the cause. Errors hold types and lengths, never values.
func (s *Server) logRefusal(ctx context.Context, c *call, err error) {
	level := slog.LevelInfo
	if unit.Faulty(err) {
		level = slog.LevelError
	}
	if !s.log.Enabled(ctx, level) {
		return
	}
	cause := err.Error()
	s.log.LogAttrs(ctx, level, "refused", append(c.who(ctx),
		slog.String("rv", ck.RVOf(err).Error()), slog.String("cause", cause[:min(len(cause), maxCause)]))...)
}

// who says what was called by whom, for the log.
func (c *call) who(ctx context.Context) []slog.Attr {
	return append(make([]slog.Attr, 0, 6), slog.String("method", c.method.name),
		slog.String("peer", c.peer), slog.String("identity", access.IdentityOf(ctx).Name), slog.String("token", hex.EncodeToString(c.token[:min(len(c.token), 16)])))
}

// statusOf is the error of a unary call. A caller that is not authenticated
// learns so by gRPC's code too (grep11-wire 6.2).
func statusOf(err error) error {
	if ck.RVOf(err) != ck.CKR_IBM_GREP11_NOT_AUTHENTICATED {
		return wire.EncodeStatus(err)
	}
	d := wire.EncodeError(err)
	st, e := status.New(codes.Unauthenticated, ck.RV(d.Code).Error()).WithDetails(protoadapt.MessageV1Of(d))
	if e != nil {
		return wire.EncodeStatus(err)
	}
	return st.Err()
}

func peerName(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		return p.Addr.String()
	}
	return ""
}
