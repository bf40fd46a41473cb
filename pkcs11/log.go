package pkcs11

import (
	"context"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"sync"
	"time"
)

// logSettings is [log] of the configuration.
type logSettings struct {
	to    string // "", "stderr", "syslog" or a file's path
	level slog.Level
	trace bool // a line per call
}

const toStderr, toSyslog = "stderr", "syslog"

// newLog makes the log: by default there is none, for the terminal is the
// application's. What cannot be opened is none, too.
func newLog(c logSettings) (*slog.Logger, io.Closer) {
	f := &logFile{path: c.to}
	var w io.Writer = f
	switch c.to {
	case "":
		return slog.New(slog.DiscardHandler), f
	case toStderr:
		w = os.Stderr
	case toSyslog:
		s := &syslogWriter{}
		return slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: c.level, ReplaceAttr: noTime})), s
	}
	h := slog.NewTextHandler(w, &slog.HandlerOptions{Level: c.level})
	return slog.New(&pidHandler{h}), f
}

// pidHandler adds the process, for a fork's children write to the same file.
type pidHandler struct{ slog.Handler }

func (h *pidHandler) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(slog.Int("pid", os.Getpid()))
	return h.Handler.Handle(ctx, r)
}

func noTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		return slog.Attr{}
	}
	return a
}

// logFile is a log file that may be moved away under us: it is opened again
// when its path leads elsewhere.
type logFile struct {
	path string // immutable

	mu     sync.Mutex
	file   *os.File  // guarded by mu
	looked time.Time // guarded by mu
}

const lookAgain = time.Second

func (f *logFile) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) > lookAgain {
		f.reopen()
	}
	if f.file == nil {
		return len(b), nil // nowhere to write is no reason to fail calls
	}
	return f.file.Write(b)
}

// Caller holds f.mu.
func (f *logFile) reopen() {
	f.looked = time.Now()
	if f.file != nil {
		there, err := os.Stat(f.path)
		here, errHere := f.file.Stat()
		if err == nil && errHere == nil && os.SameFile(there, here) {
			return
		}
		f.file.Close()
	}
	f.file, _ = os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
}

func (f *logFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// syslogWriter connects at the first line, and again when that is lost.
type syslogWriter struct {
	mu     sync.Mutex
	w      *syslog.Writer // guarded by mu
	closed bool           // guarded by mu
}

func (s *syslogWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return len(b), nil
	}
	if s.w == nil {
		w, err := syslog.New(syslog.LOG_USER|syslog.LOG_WARNING, "grep11")
		if err != nil {
			return len(b), nil
		}
		s.w = w
	}
	return s.w.Write(b)
}

func (s *syslogWriter) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.w == nil {
		return nil
	}
	err := s.w.Close()
	s.w = nil
	return err
}
