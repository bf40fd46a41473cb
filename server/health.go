package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"grep11/server/balancer"
)

// Health for what spreads callers over servers: gRPC's own health service, and
// /ready and /live beside the metrics. A server without its database is ready: keys
// in use go on, and the other servers do not have it either.

// ready is an error that says why the server can serve nobody.
func (s *Server) ready() error {
	inService := func(u balancer.Status) bool { return u.Healthy && !u.Drained }
	switch {
	case s.draining.Load():
		return errors.New("the server stops")
	case !slices.ContainsFunc(s.units.Units(), inService):
		return errors.New("no crypto unit is in service")
	}
	return s.memory.check()
}

// watchEvery is how soon a watcher hears of a change.
const watchEvery = time.Second

// health is grpc.health.v1. It has one answer for all services of the server.
type health struct {
	healthpb.UnimplementedHealthServer
	srv *Server
}

func (h health) status() healthpb.HealthCheckResponse_ServingStatus {
	if h.srv.ready() != nil {
		return healthpb.HealthCheckResponse_NOT_SERVING
	}
	return healthpb.HealthCheckResponse_SERVING
}

// has tells whether a name is one of ours; the empty one is the whole server.
func (h health) has(service string) bool {
	_, ok := h.srv.grpc.GetServiceInfo()[service]
	return ok || service == ""
}

func (h health) Check(_ context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if !h.has(r.Service) {
		return nil, status.Error(codes.NotFound, "no such service")
	}
	return &healthpb.HealthCheckResponse{Status: h.status()}, nil
}

func (h health) Watch(r *healthpb.HealthCheckRequest, to healthpb.Health_WatchServer) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	said := healthpb.HealthCheckResponse_UNKNOWN
	for {
		stops := h.srv.draining.Load() // before the status, which tells of it
		now := healthpb.HealthCheckResponse_SERVICE_UNKNOWN
		if h.has(r.Service) {
			now = h.status()
		}
		if now != said {
			if err := to.Send(&healthpb.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			said = now
		}
		if stops {
			return status.Error(codes.Unavailable, "the server stops")
		}
		select {
		case <-to.Context().Done():
			return status.FromContextError(to.Context().Err()).Err()
		case <-tick.C:
		}
	}
}

// answerReady is /ready: 200, or 503 and why.
func (s *Server) answerReady(w http.ResponseWriter, _ *http.Request) {
	if err := s.ready(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ready\n")
}

// answerLive is /live: the process answers.
func answerLive(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "live\n") }
