package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
)

// keysToLookAt bounds the doctor's look at the stored keys: some seconds.
const keysToLookAt = 100_000

// keys tells whether the stored keys have their master key. Administrators alone may
// look; for others it is left out.
func (d *doctor) keys(ctx context.Context, c *grep11client.Client) {
	patterns, err := masterKeys(ctx, c)
	if errors.Is(err, ck.CKR_ACTION_PROHIBITED) || err == nil && len(patterns) == 0 {
		return
	}
	var looked, sealed uint64
	for _, p := range patterns {
		looked = 0
		err = errors.Join(err, batches(ctx, c, p, true, func(r grep11client.Rewrapped) bool {
			looked, sealed = looked+r.Seen, sealed+r.Seen-r.Left
			return looked < keysToLookAt
		}))
	}
	switch {
	case err != nil:
		d.bad("stored keys", err.Error(), "the server's log names the cause")
	case sealed < looked:
		d.bad("stored keys", fmt.Sprintf("%d of %d are sealed under a master key that no crypto unit has", looked-sealed, looked),
			"load that master key again (grep11 unit mk, grep11 unit compare), or bring the store back that belongs to these units")
	default:
		d.good("stored keys", "%d, all under a master key of the crypto units", looked)
	}
}

// masterKeys gives the verification patterns of the units' master keys: current ones,
// then committed ones, so that a key that is rewrapped meanwhile is not missed.
func masterKeys(ctx context.Context, c *grep11client.Client) (all [][]byte, err error) {
	units, err := c.CryptoUnits(ctx)
	add := func(p []byte) {
		if len(p) > 0 && !slices.ContainsFunc(all, func(q []byte) bool { return bytes.Equal(p, q) }) {
			all = append(all, p)
		}
	}
	for _, u := range units {
		add(u.WrappingKey)
	}
	for _, u := range units {
		add(u.Next)
	}
	return all, err
}
