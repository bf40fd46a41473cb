package server

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// memoryGuard refuses new requests while the process holds too much: a request
// may have 64 MB, and thousands may be on their way.
type memoryGuard struct {
	limit  uint64
	full   atomic.Bool
	looked atomic.Int64 // when, in nanoseconds since 1970
}

// lookAtMemoryEvery bounds what the guard costs.
const lookAtMemoryEvery = 50 * time.Millisecond

// newMemoryGuard takes a limit in bytes, 0 for half of the machine's memory.
func newMemoryGuard(limit uint64) *memoryGuard {
	if limit == 0 {
		limit = machineMemory() / 2
	}
	return &memoryGuard{limit: limit}
}

// spareCollection has garbage collected less often than Go does by default, and
// as often as needed near the limit: small requests leave little but garbage.
// The variables that Go itself reads come first.
func (g *memoryGuard) spareCollection() {
	const percent = 400
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(g.limit / 4 * 3))
	}
}

const heapObjects = "/memory/classes/heap/objects:bytes"

// check is an error while the limit is passed.
func (g *memoryGuard) check() error {
	now, last := time.Now().UnixNano(), g.looked.Load()
	if now-last > int64(lookAtMemoryEvery) && g.looked.CompareAndSwap(last, now) {
		sample := []metrics.Sample{{Name: heapObjects}}
		metrics.Read(sample)
		g.full.Store(sample[0].Value.Uint64() > g.limit)
	}
	if g.full.Load() {
		return status.Error(codes.Unavailable, "the server has too much to do")
	}
	return nil
}

// tap looks at a request before its message is received.
func (s *Server) tap(ctx context.Context, _ *tap.Info) (context.Context, error) {
	if err := s.memory.check(); err != nil {
		return ctx, err
	}
	callerOf(ctx).began(ctx)
	return ctx, nil
}

// machineMemory is what the control group or the machine has.
func machineMemory() uint64 {
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 62); err == nil && n < 1<<50 {
			return n
		}
	}
	b, _ := os.ReadFile("/proc/meminfo")
	for _, line := range strings.Split(string(b), "\n") {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" {
			if kib, err := strconv.ParseUint(f[1], 10, 50); err == nil {
				return kib << 10
			}
		}
	}
	return 4 << 30
}
