package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
)

// listen opens all listeners of the configuration.
func (s *Server) listen() error {
	l := s.config.Listen
	for _, addr := range l.TLS {
		if err := s.listenOn(doorTLS, "tcp", addr); err != nil {
			return err
		}
	}
	for _, addr := range l.Plaintext {
		if err := s.listenOn(doorPlaintext, "tcp", addr); err != nil {
			return err
		}
	}
	if l.Unix != "" {
		if err := s.listenUnix(l.Unix); err != nil {
			return err
		}
	}
	if err := s.doors.auth.iam.listen(s.config.Auth.IAM, s.doors.web); err != nil {
		return err
	}
	return s.metrics.listen(s.config.Metrics.Listen, s.answerReady, s.log)
}

func (s *Server) listenUnix(path string) error {
	if len(path) > lenSocketPath {
		return badKey("listen.unix", "%s has %d bytes: the path of a socket has %d at most", path, len(path), lenSocketPath)
	}
	if err := removeStaleSocket(path); err != nil {
		return badKey("listen.unix", "%w", err)
	}
	if err := s.listenOn(doorUnix, "unix", path); err != nil {
		return err
	}
	return os.Chmod(path, 0o660)
}

func (s *Server) listenOn(d door, network, addr string) error {
	l, err := net.Listen(network, addr)
	if err != nil {
		return badKey("listen."+d.String(), "%w", err)
	}
	s.addListener(d, l)
	s.log.Info("listening", "how", d.String(), "address", l.Addr().String())
	return nil
}

func (s *Server) addListener(d door, l net.Listener) net.Listener {
	gl := &gate{Listener: l, door: d, doors: s.doors}
	s.mu.Lock()
	s.listeners = append(s.listeners, gl)
	s.mu.Unlock()
	return gl
}

// ServeOn answers without TLS on a listener of the caller's, such as an
// in-memory one, until the server stops.
func (s *Server) ServeOn(l net.Listener) error {
	return s.grpc.Serve(s.addListener(doorPlaintext, l))
}

// Addr is the address of the first TLS or plaintext TCP listener, for
// configurations that left the port open.
func (s *Server) Addr(tls bool) net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		if g, ok := l.(*gate); ok && g.door != doorUnix && (g.door == doorTLS) == tls {
			return g.Addr()
		}
	}
	return nil
}

// removeStaleSocket removes the socket of a server that was killed; one that
// answers is another server's.
func removeStaleSocket(path string) error {
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return fmt.Errorf("listen unix %s: another server answers there", path)
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode()&fs.ModeSocket == 0 {
		err = fmt.Errorf("listen unix %s: a file that is no socket is there", path)
	}
	if err != nil {
		return err
	}
	return os.Remove(path)
}
