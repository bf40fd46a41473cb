package grep11client_test

import (
	"slices"
	"testing"
	"time"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// The real server with one emulated unit, in this process, without TLS.
func benchSign(b *testing.B) func() error {
	s := newService(b)
	addr, _ := s.start("127.0.0.1:0")
	tok := loggedIn(b, s.client(addr))
	_, priv := signingPair(b, tok, token)
	digest := make([]byte, 32)
	return func() error {
		_, err := tok.Single(ctx, mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA}, grep11client.Key{ID: priv.ID}, digest, nil, false)
		return err
	}
}

func BenchmarkSignP256OneCaller(b *testing.B) {
	sign := benchSign(b)
	var times []time.Duration
	for b.Loop() {
		start := time.Now()
		must(b, sign())
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "median-µs")
}

func BenchmarkSignP256ManyCallers(b *testing.B) {
	sign := benchSign(b)
	b.SetParallelism(8) // 16 on 2 cores
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := sign(); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "signatures/s")
}
