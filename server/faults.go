package server

import (
	"context"
	"sync"
	"sync/atomic"

	"grep11/pkcs11/ck"
	"grep11/server/unit"
)

// faultList holds failures that tests ordered.
type faultList struct {
	any   atomic.Bool // no lock on the way of an ordinary call
	mu    sync.Mutex
	queue map[string][]ck.RV // guarded by mu
}

// FailNext has the next call of a method meet a failing unit, once for each
// value. The method is named as in the protocol: "SignSingle". For tests.
func (s *Server) FailNext(method string, rvs ...ck.RV) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if s.faults.queue == nil {
		s.faults.queue = map[string][]ck.RV{}
	}
	s.faults.queue[method] = append(s.faults.queue[method], rvs...)
	s.faults.any.Store(true)
}

type methodKey struct{}

// named notes a request's method for take, while failures are ordered.
func (f *faultList) named(ctx context.Context, method string) context.Context {
	if !f.any.Load() {
		return ctx
	}
	return context.WithValue(ctx, methodKey{}, method)
}

func (f *faultList) take(ctx context.Context) error {
	if !f.any.Load() {
		return nil
	}
	method, _ := ctx.Value(methodKey{}).(string)
	f.mu.Lock()
	defer f.mu.Unlock()
	rvs := f.queue[method]
	if len(rvs) == 0 {
		return nil
	}
	f.queue[method] = rvs[1:]
	return &unit.Fault{Err: rvs[0]}
}
