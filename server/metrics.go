package server

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"grep11/pkcs11/ck"
	"grep11/server/balancer"
)

// serverMetrics are the server's own, in a registry of their own.
type serverMetrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	ready    map[string]methodMetrics // immutable: by method, for calls that succeed
	http     *http.Server
}

type methodMetrics struct {
	ok      prometheus.Counter
	seconds prometheus.Observer
}

func newMetrics() *serverMetrics {
	m := &serverMetrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "grep11_calls_total", Help: "Calls answered, by method and return value.",
		}, []string{"method", "rv"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "grep11_call_seconds", Help: "Time a call took inside the server.",
			Buckets: []float64{.00005, .0002, .001, .005, .02, .1, .5, 2, 10},
		}, []string{"method"}),
		ready: map[string]methodMetrics{},
	}
	m.registry.MustRegister(m.calls, m.seconds)
	for _, sv := range services {
		for _, row := range sv.methods {
			m.ready[row.name] = methodMetrics{m.calls.WithLabelValues(row.name, ck.CKR_OK.Error()), m.seconds.WithLabelValues(row.name)}
		}
	}
	return m
}

func (m *serverMetrics) count(method string, err error, took time.Duration) {
	r, known := m.ready[method]
	if known {
		r.seconds.Observe(took.Seconds())
	}
	if known && err == nil {
		r.ok.Inc()
		return
	}
	m.calls.WithLabelValues(method, ck.RVOf(err).Error()).Inc()
}

// watch adds what the balancer knows of the units.
func (m *serverMetrics) watch(b *balancer.Balancer) {
	for _, g := range []struct {
		name, help string
		value      func(balancer.Status) float64
	}{
		{"grep11_unit_up", "1 while a crypto unit is healthy and in service.", func(s balancer.Status) float64 { return truth(s.Healthy && !s.Drained) }},
		{"grep11_unit_calls", "Calls inside a crypto unit, or waiting for it.", func(s balancer.Status) float64 { return float64(s.Load) }},
	} {
		for i, s := range b.Units() {
			m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: g.name, Help: g.help, ConstLabels: prometheus.Labels{"unit": s.Name, "zone": s.Zone},
			}, func() float64 { return g.value(b.Units()[i]) }))
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (m *serverMetrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// listen serves /metrics, and what tells of the server's health, where an address
// is configured.
func (m *serverMetrics) listen(addr string, ready http.HandlerFunc, log *slog.Logger) error {
	if addr == "" {
		return nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return badKey("metrics.listen", "%w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", m.handler())
	mux.HandleFunc("/ready", ready)
	mux.HandleFunc("/live", answerLive)
	m.http = serveWeb("metrics", l, mux, log)
	log.Info("metrics", "address", l.Addr().String())
	return nil
}

func (m *serverMetrics) close() error {
	if m.http == nil {
		return nil
	}
	return m.http.Close()
}
