// Package grep11client speaks GREP11 to a service: endpoints, leased streams,
// retries and logins. Its calls take and give the project's plain types;
// protobuf stops here.
//
// A Client has one goroutine per endpoint (endpoint.go), which owns that
// endpoint's connection (link.go). A call leases a stream of the best link
// (stream.go) and runs on the caller's own goroutine; one that is alone has a
// connection of its own (line.go). retry.go says what is repeated, and on servers
// without the stream unary.go makes the same calls.
package grep11client

import (
	"context"
	"crypto/rand"
	"net"
	"sync"
	"time"

	"grep11/grep11client/extpb"
	"grep11/grep11client/local"
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
	bearer    bearer
	certs     certificates
	store     *local.Store // nil: tokens and objects are the service's

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
	c := &Client{cfg: cfg, dialer: new(net.Dialer).DialContext, bearer: bearer{auth: cfg.Auth}, changed: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if cfg.Store != "" {
		c.store = local.New(cfg.Store, c.plain)
	}
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
	if c.store != nil {
		c.store.Close()
	}
	return nil
}

// ask makes a call. With a local store, tokens and objects are its business,
// and the service sees blobs only.
func (c *Client) ask(ctx context.Context, req *extpb.Request) (*extpb.Response, error) {
	if c.store == nil {
		return c.call(ctx, req)
	}
	if resp, ours, err := c.store.Answer(ctx, req); ours {
		return resp, err
	}
	if err := c.store.Resolve(req); err != nil {
		return nil, err
	}
	return c.plain(ctx, req)
}

// plain calls a service that knows neither our tokens nor our logins.
func (c *Client) plain(ctx context.Context, req *extpb.Request) (*extpb.Response, error) {
	req.Token, req.Credential = nil, nil
	return c.call(ctx, req)
}

// requestID marks a change, so that a repeat of it is recognised.
func requestID() []byte {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	return id
}
