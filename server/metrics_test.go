package server

import (
	"net/http/httptest"
	"strings"
	"testing"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

func TestCallsAndUnitsAreCounted(t *testing.T) {
	c, s := crypto(t)
	for range 3 {
		must[*pb.GenerateRandomResponse](t)(c.GenerateRandom(t.Context(), &pb.GenerateRandomRequest{Len: 4}))
	}
	_, err := c.GenerateRandom(t.Context(), &pb.GenerateRandomRequest{})
	wantRV(t, err, ck.CKR_ARGUMENTS_BAD)
	if _, err := s.units.Drain("two", true); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.metrics.handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`grep11_calls_total{method="GenerateRandom",rv="CKR_OK"} 3`,
		`grep11_calls_total{method="GenerateRandom",rv="CKR_ARGUMENTS_BAD"} 1`,
		`grep11_call_seconds_count{method="GenerateRandom"} 4`,
		`grep11_unit_up{unit="one",zone=""} 1`,
		`grep11_unit_up{unit="two",zone=""} 0`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no line %s", want)
		}
	}
}
