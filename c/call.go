package main

// #cgo CFLAGS: -std=gnu11
// #include "engine.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/until"
)

// life is the time from C_Initialize to C_Finalize.
type life struct {
	module *pkcs11.Module
	ctx    context.Context // ends with it, and all calls under way
	many   context.Context // the same, for a call beside many
	end    context.CancelFunc
	bound  time.Duration // of one call, 0 for none
	log    *slog.Logger  // nil: none
	trace  bool          // a line per call
	calls  atomic.Int64  // under way
}

var current atomic.Pointer[life]

// enter counts a call in, nil if the library is not initialised. C_Finalize
// takes current away before it looks at calls, hence the second look here.
func enter() *life {
	l := current.Load()
	if l == nil {
		return nil
	}
	l.calls.Add(1)
	if current.Load() != l {
		l.leave()
		return nil
	}
	return l
}

func (l *life) leave() { l.calls.Add(-1) }

// shared is what a call's context is made of.
func (l *life) shared() context.Context {
	if crowded() {
		return l.many
	}
	return l.ctx
}

// latest is when a call that begins now has to end.
func (l *life) latest() (t time.Time) {
	if l.bound > 0 {
		t = time.Now().Add(l.bound)
	}
	return t
}

// call is the one way from C into the module: it checks that the library is
// initialised and that the arguments were fit to be read, bounds the call's
// time, recovers panics, logs, and makes the CK_RV.
func call(name string, a *args, f func(context.Context, *pkcs11.Module) error) C.CK_RV {
	l := enter()
	if l == nil {
		return rv(ck.CKR_CRYPTOKI_NOT_INITIALIZED)
	}
	defer l.leave()
	ctx := until.New(l.shared(), l.latest())
	defer ctx.Release()
	began := l.now()
	err := run(ctx, l.module, name, a, f)
	l.traced(name, began, a, err)
	return l.result(name, err)
}

// callUnbounded is call for a function that waits as long as the caller likes.
func callUnbounded(name string, a *args, f func(context.Context, *pkcs11.Module) error) C.CK_RV {
	l := enter()
	if l == nil {
		return rv(ck.CKR_CRYPTOKI_NOT_INITIALIZED)
	}
	defer l.leave()
	began := l.now()
	err := run(l.ctx, l.module, name, a, f)
	l.traced(name, began, a, err)
	return l.result(name, err)
}

func run(ctx context.Context, m *pkcs11.Module, name string, a *args, f func(context.Context, *pkcs11.Module) error) (err error) {
	if a.err != nil && a.inSession {
		return m.Refuse(a.session, name, a.err)
	}
	if a.err != nil {
		return a.err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s: %w", p, debug.Stack(), ck.CKR_GENERAL_ERROR)
		}
	}()
	return f(ctx, m)
}

// now is when a call begins that is traced.
func (l *life) now() (t time.Time) {
	if l.trace {
		t = time.Now()
	}
	return t
}

// traced writes the line of a call's trace: how long it took and what it
// answered. Of the arguments the session alone is shown; others may be secrets.
func (l *life) traced(name string, began time.Time, a *args, err error) {
	if !l.trace {
		return
	}
	line := slog.NewRecord(began, slog.LevelInfo, "trace", 0)
	line.AddAttrs(slog.String("call", name))
	if a.inSession {
		line.AddAttrs(slog.Uint64("session", uint64(a.session)))
	}
	line.AddAttrs(slog.Duration("took", time.Since(began)), slog.String("rv", l.code(err).Error()))
	_ = l.log.Handler().Handle(l.ctx, line) // a log that cannot be written is no reason to fail calls
}

// code is a call's answer.
func (l *life) code(err error) ck.RV {
	if err != nil && l.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return ck.CKR_CRYPTOKI_NOT_INITIALIZED // woken by C_Finalize
	}
	return ck.RVOf(err)
}

// result logs a call that ended and makes its CK_RV.
func (l *life) result(name string, err error) C.CK_RV {
	code := l.code(err)
	level := levelOf(code)
	switch {
	case l.log == nil || !l.log.Enabled(l.ctx, level):
	case err == nil:
		l.log.Log(l.ctx, level, name, "rv", code.Error())
	default:
		l.log.Log(l.ctx, level, name, "rv", code.Error(), "cause", err.Error())
	}
	return rv(code)
}

// levelOf keeps answers that are part of normal use out of an ordinary log.
func levelOf(code ck.RV) slog.Level {
	switch code {
	case ck.CKR_OK, ck.CKR_BUFFER_TOO_SMALL, ck.CKR_ATTRIBUTE_TYPE_INVALID, ck.CKR_ATTRIBUTE_SENSITIVE,
		ck.CKR_USER_ALREADY_LOGGED_IN, ck.CKR_FUNCTION_NOT_SUPPORTED, ck.CKR_NO_EVENT:
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

func rv(code ck.RV) C.CK_RV { return C.CK_RV(code) }

// unsupported answers for the functions of the standard that the module lacks.
func unsupported(name string) C.CK_RV { return refuse(name, ck.CKR_FUNCTION_NOT_SUPPORTED) }

func refuse(name string, code ck.RV) C.CK_RV {
	return call(name, &args{err: code}, nil)
}
