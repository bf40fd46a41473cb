// This file lets internal.go declare functions without bodies.
