package grep11client

import (
	"context"
	"slices"
	"testing"
	"time"
)

// One server that does nothing, over mTLS and TCP, in this process: what
// remains is the way there and back.
func benchClient(b *testing.B) *Token {
	certs := newCerts(b)
	certs.issue(b, "server", time.Hour)
	certs.issue(b, "client", time.Hour)
	l := listen(b, "127.0.0.1:0")
	serve(b, l, &fakeServer{answer: signs}, certs.server(b, "server"))
	return dialTo(b, Config{TLS: certs.client("client"), Timeouts: DefaultTimeouts}, l.Addr().String()).Token(make([]byte, 16))
}

func BenchmarkOneCaller(b *testing.B) {
	t := benchClient(b)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	data := make([]byte, 32)
	var times []time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := t.call(ctx, signRequest(data)); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "median-µs")
}

func BenchmarkManyCallers(b *testing.B) {
	t := benchClient(b)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	data := make([]byte, 32)
	b.SetParallelism(8) // 16 on 2 cores
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := t.call(ctx, signRequest(data)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}
