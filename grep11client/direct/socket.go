package direct

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Socket is a connection that at first waits in Go's poller, with deadlines, and
// after Block in the kernel, without. One goroutine at a time reads and writes it;
// any may Shut it.
type Socket struct {
	net.Conn // until Block

	mu   sync.Mutex // held by Block, Shut and Close
	fd   int        // after Block; -1: before it and after Close
	shut bool
}

// NewSocket takes a connection over.
func NewSocket(conn net.Conn) *Socket { return &Socket{Conn: conn, fd: -1} }

// leastFD keeps clear of a process's standard files, which it may have closed.
const leastFD = 3

// Block leaves Go's poller. It fails on what is no socket of the kernel's.
func (s *Socket) Block() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return net.ErrClosed
	}
	own, ok := s.Conn.(syscall.Conn)
	if !ok {
		return errors.New("not a socket")
	}
	raw, err := own.SyscallConn()
	if err != nil {
		return err
	}
	fd := -1
	if outer := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, leastFD) }); outer != nil {
		return outer
	}
	if err != nil {
		return err
	}
	_ = s.Conn.Close()
	if err := unix.SetNonblock(fd, false); err != nil {
		_ = unix.Close(fd)
		return err
	}
	s.fd = fd
	return nil
}

func (s *Socket) Read(b []byte) (int, error) {
	if s.fd < 0 {
		return s.Conn.Read(b)
	}
	for {
		switch n, err := unix.Read(s.fd, b); {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0 && len(b) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (s *Socket) Write(b []byte) (done int, err error) {
	if s.fd < 0 {
		return s.Conn.Write(b)
	}
	for done < len(b) {
		n, err := unix.SendmsgN(s.fd, b[done:], nil, nil, unix.MSG_NOSIGNAL)
		if err != nil && err != unix.EINTR {
			return done, err
		}
		done += max(n, 0)
	}
	return done, nil
}

// Shut ends a call under way, and all later ones.
func (s *Socket) Shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	if s.fd < 0 {
		_ = s.Conn.Close()
		return
	}
	_ = unix.Shutdown(s.fd, unix.SHUT_RDWR)
}

// Close may be called when no call is under way.
func (s *Socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	if s.fd < 0 {
		return s.Conn.Close()
	}
	fd := s.fd
	s.fd = -1
	return unix.Close(fd)
}
