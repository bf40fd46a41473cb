package hsm

import (
	"testing"

	"grep11/server/unit/unittest"
)

// TestUnit runs what emulated units run, on two units that share a master key.
func TestUnit(t *testing.T) {
	c := testConfig(t)
	unittest.Run(t, openUnit(t, c), openUnit(t, c))
}
