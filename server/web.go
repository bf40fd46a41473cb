package server

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// maxWeb is how many callers an HTTP endpoint has at a time; more wait for their turn,
// which comes, since none has much time.
const maxWeb = 1000

// serveWeb answers HTTP on a listener until the server it gives is closed.
func serveWeb(what string, l net.Listener, h http.Handler, log *slog.Logger) *http.Server {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelInfo),
	}
	go func() {
		if err := s.Serve(netutil.LimitListener(l, maxWeb)); !errors.Is(err, http.ErrServerClosed) {
			log.Error("endpoint ended", "what", what, "cause", err)
		}
	}()
	return s
}
