package server

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

func TestHealth(t *testing.T) {
	s := newServer(t)
	client := healthpb.NewHealthClient(inMemory(t, s))
	check := func(service string) (healthpb.HealthCheckResponse_ServingStatus, error) {
		r, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		return r.GetStatus(), err
	}
	web := func() (int, string) {
		r := httptest.NewRecorder()
		s.answerReady(r, httptest.NewRequest(http.MethodGet, "/ready", nil))
		b, _ := io.ReadAll(r.Body)
		return r.Code, string(b)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watch, err := client.Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	hears := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if r, err := watch.Recv(); err != nil || r.Status != want {
			t.Errorf("a watcher hears %v, %v instead of %v", r, err, want)
		}
	}
	hears(healthpb.HealthCheckResponse_SERVING)
	for _, service := range []string{"", "grep11.Crypto", "grep11.ext.v1.Session"} {
		if got, err := check(service); err != nil || got != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v, %v", service, got, err)
		}
	}
	if _, err := check("nobody's"); status.Code(err) != codes.NotFound {
		t.Error("a service that is not there:", err)
	}
	if code, text := web(); code != http.StatusOK {
		t.Error(code, text)
	}
	drain := func(drained bool) {
		for _, u := range s.units.Units() {
			if _, err := s.units.Drain(u.Name, drained); err != nil {
				t.Fatal(err)
			}
		}
	}
	drain(true)
	hears(healthpb.HealthCheckResponse_NOT_SERVING)
	if got, err := check(""); err != nil || got != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("without units: %v, %v", got, err)
	}
	if code, text := web(); code != http.StatusServiceUnavailable || !strings.Contains(text, "no crypto unit") {
		t.Error(code, text)
	}
	drain(false)
	hears(healthpb.HealthCheckResponse_SERVING)
	s.draining.Store(true)
	hears(healthpb.HealthCheckResponse_NOT_SERVING)
	if _, err := watch.Recv(); status.Code(err) != codes.Unavailable {
		t.Error("a watcher of a server that stops:", err)
	}
}
