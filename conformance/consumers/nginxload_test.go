package consumers

import (
	"flag"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var reloadsFlag = flag.Int("reloads", 4, "reloads of nginx under load; 100 for the long form")

const maxWorkerKB = 64 << 10 // resident, with a library of its own

// load is clients that make handshakes until they are stopped.
type load struct {
	done  atomic.Bool
	all   sync.WaitGroup
	count atomic.Int64

	mu     sync.Mutex
	failed []failure // guarded by mu
}

type failure struct {
	began time.Time
	err   error
}

func (w *webServer) startLoad(clients int) *load {
	l := &load{}
	for client := range clients {
		l.all.Go(func() {
			for i := client; !l.done.Load(); i++ {
				began := time.Now()
				if err := w.get(i % 3); err != nil {
					l.mu.Lock()
					l.failed = append(l.failed, failure{began, err})
					l.mu.Unlock()
				}
				l.count.Add(1)
			}
		})
	}
	return l
}

func (l *load) stop() []failure {
	l.done.Store(true)
	l.all.Wait()
	return l.failed
}

// nginx is reloaded and the service restarted while clients shake hands: none
// fails but those that began within the first second of the restart. Run the
// long form with -run NginxUnderLoad -reloads 100 -v.
func TestNginxUnderLoad(t *testing.T) {
	w := startNginx(t)
	workers := w.settle(t, nil)
	l := w.startLoad(2) // enough to keep four workers from idling
	var early, late rss
	for reload := 1; reload <= *reloadsFlag; reload++ {
		syscall.Kill(w.master, syscall.SIGHUP)
		workers = w.settle(t, workers)
		if reload == max(1, *reloadsFlag/4) {
			early = w.memory(workers)
		}
	}
	late = w.memory(workers)
	restart := time.Now()
	w.s.stopServer(t, syscall.SIGTERM)
	w.s.startServer(t)
	back := time.Now()
	time.Sleep(2 * time.Second)
	bad := 0
	for _, f := range l.stop() {
		if f.began.Before(restart) || f.began.After(back.Add(time.Second)) {
			bad++
			t.Errorf("%v from the restart: %v", f.began.Sub(restart).Round(time.Millisecond), f.err)
		}
	}
	t.Logf("%d handshakes during %d reloads and a restart of %v: %d failed, %d of them not because of the restart",
		l.count.Load(), *reloadsFlag, back.Sub(restart).Round(time.Millisecond), len(l.failed), bad)
	t.Logf("memory: early %v; late %v", early, late)
	// Workers are new with each reload: how much they have depends on how many
	// of them have used the library yet.
	if late.master > early.master+early.master/10+4096 || late.workers > 4*maxWorkerKB {
		t.Errorf("memory grows: early %v, late %v", early, late)
	}
}
