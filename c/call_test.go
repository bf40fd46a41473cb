package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

// begin starts a life for one test, without a module behind it.
func begin(t *testing.T, l *life) *life {
	l.ctx, l.end = context.WithCancel(context.Background())
	current.Store(l)
	t.Cleanup(func() { l.end(); current.Store(nil) })
	return l
}

func answer(err error) func(context.Context, *pkcs11.Module) error {
	return func(context.Context, *pkcs11.Module) error { return err }
}

func TestCallMakesTheCode(t *testing.T) {
	if rv := call("C_Test", &args{}, answer(nil)); ck.RV(rv) != ck.CKR_CRYPTOKI_NOT_INITIALIZED {
		t.Errorf("before C_Initialize: %v", ck.RV(rv))
	}
	begin(t, &life{})
	for _, row := range []struct {
		what string
		a    args
		f    func(context.Context, *pkcs11.Module) error
		want ck.RV
	}{
		{"success", args{}, answer(nil), ck.CKR_OK},
		{"a code with facts around it", args{}, answer(fmt.Errorf("key 5: %w", ck.CKR_KEY_HANDLE_INVALID)), ck.CKR_KEY_HANDLE_INVALID},
		{"an error without a code", args{}, answer(errors.New("odd")), ck.CKR_GENERAL_ERROR},
		{"bad arguments come before the call", args{err: ck.CKR_ARGUMENTS_BAD}, nil, ck.CKR_ARGUMENTS_BAD},
		{"a panic", args{}, func(context.Context, *pkcs11.Module) error { panic("odd") }, ck.CKR_GENERAL_ERROR},
	} {
		if rv := call("C_Test", &row.a, row.f); ck.RV(rv) != row.want {
			t.Errorf("%s: %v, want %v", row.what, ck.RV(rv), row.want)
		}
	}
	if n := current.Load().calls.Load(); n != 0 {
		t.Errorf("%d calls under way after all returned", n)
	}
}

func TestFinalizeWakesCalls(t *testing.T) {
	l := begin(t, &life{bound: time.Hour})
	answered := make(chan ck.RV)
	go func() {
		answered <- ck.RV(call("C_Test", &args{}, func(ctx context.Context, _ *pkcs11.Module) error {
			<-ctx.Done()
			return ctx.Err()
		}))
	}()
	for l.calls.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	current.Store(nil)
	l.end()
	l.drain()
	if rv := <-answered; rv != ck.CKR_CRYPTOKI_NOT_INITIALIZED {
		t.Errorf("a woken call: %v", rv)
	}
}

func TestCallsAreLogged(t *testing.T) {
	var text strings.Builder
	l := begin(t, &life{log: slog.New(slog.NewTextHandler(&text, nil))})
	l.result("C_Sign", fmt.Errorf("key 5: %w", ck.CKR_KEY_HANDLE_INVALID))
	l.result("C_Sign", ck.CKR_BUFFER_TOO_SMALL) // part of normal use
	l.result("C_Sign", nil)
	if got := text.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "rv=CKR_KEY_HANDLE_INVALID") || !strings.Contains(got, "key 5") {
		t.Errorf("logged %q", got)
	}
}

func TestTrace(t *testing.T) {
	var text strings.Builder
	begin(t, &life{log: slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelError})), trace: true})
	call("C_Login", &args{session: 7, inSession: true}, answer(fmt.Errorf("PIN 1234: %w", ck.CKR_PIN_INCORRECT)))
	call("C_GetInfo", &args{}, answer(nil))
	got := text.String()
	for _, part := range []string{"call=C_Login session=7 took=", "rv=CKR_PIN_INCORRECT", "call=C_GetInfo took=", "rv=CKR_OK"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q lacks %q", got, part)
		}
	}
	if strings.Contains(got, "1234") || strings.Count(got, "\n") != 2 {
		t.Errorf("traced %q", got)
	}
}

func TestUnpad(t *testing.T) {
	for in, want := range map[string]string{
		"dev                             ": "dev",
		"two words   ":                     "two words",
		"ends with NUL\x00garbage":         "ends with NUL",
		"                ":                 "",
	} {
		if got := unpad([]byte(in)); got != want {
			t.Errorf("unpad(%q) = %q", in, got)
		}
	}
}
