package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"grep11/pkcs11/ck"
)

// PINs are hashed with argon2id in the parameters that RFC 9106 and OWASP name
// for interactive use; a stored hash carries its own.
const (
	hashMemory  = 19 << 10 // KiB
	hashPasses  = 2
	hashThreads = 1
	hashLen     = 32
	saltLen     = 16

	maxHashMemory = 1 << 20 // KiB, in a stored hash
	maxHashPasses = 64
)

var b64 = base64.RawStdEncoding

// hash makes what is stored of a PIN.
func (c *Control) hash(ctx context.Context, pin ck.Secret) (string, error) {
	salt := make([]byte, saltLen)
	rand.Read(salt)
	sum, err := c.argon2(ctx, pin, salt, hashPasses, hashMemory, hashThreads)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		hashMemory, hashPasses, hashThreads, b64.EncodeToString(salt), b64.EncodeToString(sum)), err
}

// verify compares a PIN with a stored hash.
func (c *Control) verify(ctx context.Context, stored string, pin ck.Secret) (bool, error) {
	h, err := parseHash(stored)
	if err != nil {
		return false, err
	}
	sum, err := c.argon2(ctx, pin, h.salt, h.passes, h.memory, h.threads)
	return err == nil && subtle.ConstantTimeCompare(sum, h.sum) == 1, err
}

// argon2 waits for one of the places: each computation takes a processor and
// its memory.
func (c *Control) argon2(ctx context.Context, pin ck.Secret, salt []byte, passes, memory uint32, threads uint8) ([]byte, error) {
	select {
	case c.places <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting to check a PIN: %w", ctx.Err())
	}
	defer func() { <-c.places }()
	return argon2.IDKey(pin, salt, passes, memory, threads, hashLen), nil
}

type pinHash struct {
	memory, passes uint32
	threads        uint8
	salt, sum      []byte
}

var errHash = fmt.Errorf("stored PIN hash is damaged: %w", ck.CKR_DEVICE_ERROR)

func parseHash(s string) (h pinHash, err error) {
	part := strings.Split(s, "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" || part[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, errHash
	}
	if _, err := fmt.Sscanf(part[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.threads); err != nil {
		return h, errHash
	}
	h.salt, err = b64.DecodeString(part[4])
	if err != nil {
		return h, errHash
	}
	h.sum, err = b64.DecodeString(part[5])
	if err != nil || len(h.sum) != hashLen || h.memory > maxHashMemory ||
		h.passes == 0 || h.passes > maxHashPasses || h.threads == 0 {
		return h, errHash
	}
	return h, nil
}
