// Package grep11client speaks GREP11 to a service: endpoints, leased streams,
// retries and logins. Its calls take and give the project's plain types;
// protobuf stops here.
//
// A Client has one goroutine per endpoint (endpoint.go), which owns that
// endpoint's connection (link.go). A call leases a stream of the best link
// (stream.go) and runs on the caller's own goroutine; retry.go says what is
// repeated, and on servers without the stream unary.go makes the same calls.
package grep11client

import (
	"context"
	"crypto/rand"
	"net"
	"sync"
	"time"
)

// Client is a service, reached through any of its endpoints. All methods may
// be called by many goroutines.
type Client struct {
	cfg       Config
	endpoints []*endpoint
	dialer    func(ctx context.Context, network, address string) (net.Conn, error)
	ctx       context.Context // ended by Close
	cancel    context.CancelFunc
	wg        sync.WaitGroup // the endpoints' goroutines
	kek       importKey

	mu        sync.Mutex
	started   bool
	downSince time.Time     // last time that the last link was lost
	changed   chan struct{} // closed at each change of an endpoint
}

// New makes a client. It sends nothing: the first call connects.
func New(cfg Config) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, dialer: new(net.Dialer).DialContext, changed: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for _, e := range cfg.Endpoints {
		preferred := cfg.Zone == "" || e.Zone == "" || e.Zone == cfg.Zone
		c.endpoints = append(c.endpoints, &endpoint{Endpoint: e, c: c, preferred: preferred, kicked: make(chan struct{}, 1)})
	}
	return c, nil
}

// Close ends all calls and connections. It does not wait for the network.
func (c *Client) Close() error {
	c.mu.Lock()
	c.cancel()
	c.mu.Unlock()
	c.wg.Wait()
	return nil
}

// requestID marks a change, so that a repeat of it is recognised.
func requestID() []byte {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	return id
}
