package server

import (
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestCallersOfEndpointsAreBounded: those of the metrics could take all descriptors
// of the process, and keep them.
func TestCallersOfEndpointsAreBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := newMetrics()
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := m.listen(addr, answerLive, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.close() })
	if m.http.WriteTimeout == 0 || m.http.ReadTimeout == 0 || m.http.IdleTimeout == 0 {
		t.Error("a caller may take for ever")
	}
	var idle []net.Conn
	for range maxWeb {
		idle = append(idle, connected(t, addr))
	}
	client := &http.Client{Timeout: 300 * time.Millisecond}
	if r, err := client.Get("http://" + addr + "/metrics"); err == nil {
		_ = r.Body.Close()
		t.Error("one more caller was answered at once")
	}
	_ = idle[0].Close()
	client.Timeout = time.Minute
	r, err := client.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
}

// connected is a connection on which nothing is sent.
func connected(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
