package soft

import (
	"os"
	"testing"

	"grep11/server/unit/unittest"
)

func TestWycheproof(t *testing.T) {
	if dir := os.Getenv("WYCHEPROOF_DIR"); dir != "" {
		unittest.Wycheproof(t, newTestUnit(t), dir)
	}
}
