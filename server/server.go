package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"grep11/server/access"
	"grep11/server/balancer"
	"grep11/server/keystore"
	"grep11/server/unit"
)

// maxMessage bounds a request (grep11-wire 1), with room for the stream's
// envelope. Up to maxReceived it is received, to be refused in GREP11's form.
const (
	maxMessage  = 64<<20 + 4096
	maxReceived = 80 << 20
)

// Server is one process of the service.
type Server struct {
	config  Config
	log     *slog.Logger
	grpc    *grpc.Server
	doors   *doors
	units   *balancer.Balancer
	ext     *extension
	metrics *serverMetrics
	memory  *memoryGuard
	faults  faultList

	inside   atomic.Int64 // requests being answered
	draining atomic.Bool

	once   sync.Once
	closed error // guarded by once

	mu        sync.Mutex
	listeners []net.Listener // guarded by mu
}

// Open makes a server of a configuration: it opens the store and the units and
// listens, but serves nothing yet. Errors name the key that is to be changed.
func Open(ctx context.Context, c Config, log *slog.Logger) (*Server, error) {
	s, err := open(ctx, c, log)
	return s, c.Locate(err)
}

func open(ctx context.Context, c Config, log *slog.Logger) (*Server, error) {
	warnOfReaders(c, log)
	store, err := keystore.Open(ctx, c.Keystore.Address())
	if err != nil {
		return nil, badKey(c.Keystore.key(), "%w", err)
	}
	members, err := openUnits(c.Units, log)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	s, err := New(c, store, members, log)
	if err != nil {
		return nil, errors.Join(err, closeUnits(members), store.Close())
	}
	s.memory.spareCollection()
	if err := errors.Join(s.checkStore(ctx), s.listen()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// New makes a server of its parts and owns them from then on. It has no
// listeners; see ServeOn.
func New(c Config, store *keystore.Store, members []balancer.Member, log *slog.Logger) (*Server, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{config: c, log: log, metrics: newMetrics(), memory: newMemoryGuard(c.Listen.Memory)}
	var err error
	if s.doors, err = newDoors(c, store.ServiceKey(), s.memory.limit, log); err != nil {
		return nil, err
	}
	if s.units, err = balancer.New(members, balancer.Options{Zone: c.Listen.Zone, Log: log}); err != nil {
		return nil, err
	}
	s.metrics.watch(s.units)
	store.BridgeOutage(c.Keystore.Outage.Duration)
	s.ext = &extension{store: store, access: access.New(store), do: s.do,
		onlyAdmins: c.Auth.TokenMakers == "admins", maxTokens: c.Keystore.Tokens}
	s.grpc = grpc.NewServer(s.options()...)
	s.register(s.grpc)
	healthpb.RegisterHealthServer(s.grpc, health{srv: s})
	return s, nil
}

// window is how many bytes a caller may send before they are read.
const window = 4 << 20

// maxHeaders bounds a request's metadata as HTTP/2 counts it: a few bytes can stand
// for much of it.
const maxHeaders = 2 * maxBearer

// do serves the extension's handlers.
func (s *Server) do(ctx context.Context, f func(unit.Unit) (unit.Key, error)) (unit.Key, error) {
	return balancer.Do(ctx, s.units, false, func(u unit.Unit) (unit.Key, error) {
		if err := s.faults.take(ctx); err != nil {
			return unit.Key{}, err
		}
		return f(u)
	})
}

func (s *Server) options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(s.doors),
		grpc.ForceServerCodecV2(protoCodec),
		grpc.MaxRecvMsgSize(maxReceived),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.InTapHandle(s.tap),
		grpc.MaxConcurrentStreams(s.config.Listen.Streams),
		grpc.ConnectionTimeout(10 * time.Second),
		// Fixed windows: else each request would be followed by a ping and its answer,
		// by which gRPC measures what a connection bears.
		grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(window),
		grpc.WaitForHandlers(true),
		// Clients may ping moderately without being told to go away (grep11-wire 6.4).
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
	}
}

// Serve answers on all listeners until Stop or Close.
func (s *Server) Serve() error {
	s.mu.Lock()
	listeners := s.listeners
	s.mu.Unlock()
	errs := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { errs <- s.grpc.Serve(l) }()
	}
	var all []error
	for range listeners {
		if err := <-errs; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			all = append(all, err)
			s.grpc.Stop()
		}
	}
	return errors.Join(all...)
}

// Stop lets the calls inside finish, as long as the configuration allows, and
// closes the server. Idle streams are ended.
func (s *Server) Stop() error {
	s.draining.Store(true)
	stopped := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(stopped)
	}()
	s.quiet(stopped)
	return s.Close()
}

// quiet waits until all has ended, nothing but idle streams is left, or the
// time is over.
func (s *Server) quiet(stopped <-chan struct{}) {
	over := time.After(s.config.Listen.Drain.Duration)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	idle := 0
	for idle < 3 { // answers are on their way for a moment after their calls
		select {
		case <-stopped:
			return
		case <-over:
			return
		case <-tick.C:
		}
		idle++
		if s.inside.Load() > 0 {
			idle = 0
		}
	}
}

// Close ends everything at once: connections, then units, then the store. What
// was closed stays so.
func (s *Server) Close() error {
	s.once.Do(func() { s.closed = s.close() })
	return s.closed
}

func (s *Server) close() error {
	s.draining.Store(true)
	s.grpc.Stop()
	s.mu.Lock()
	for _, l := range s.listeners {
		_ = l.Close() // one that served is closed already
	}
	s.mu.Unlock()
	return errors.Join(s.doors.auth.iam.close(), s.metrics.close(), s.units.Close(), s.ext.store.Close())
}
