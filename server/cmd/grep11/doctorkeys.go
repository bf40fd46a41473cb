package main

import (
	"context"
	"errors"
	"fmt"

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
	for p := range patterns {
		n, under, e := sealedUnder(ctx, c, p[:])
		looked, sealed, err = n, sealed+under, errors.Join(err, e)
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

// masterKeys gives the verification patterns of the units' master keys, current and
// committed ones.
func masterKeys(ctx context.Context, c *grep11client.Client) (map[[32]byte]bool, error) {
	units, err := c.CryptoUnits(ctx)
	all := map[[32]byte]bool{}
	for _, u := range units {
		for _, p := range [][]byte{u.WrappingKey, u.Next} {
			if len(p) == 32 {
				all[[32]byte(p)] = true
			}
		}
	}
	return all, err
}

func sealedUnder(ctx context.Context, c *grep11client.Client, pattern []byte) (looked, sealed uint64, err error) {
	for after := uint64(0); looked < keysToLookAt; {
		r, err := c.RewrapStore(ctx, pattern, after, true)
		if err != nil {
			return looked, sealed, err
		}
		looked, sealed = looked+r.Seen, sealed+r.Seen-r.Left
		if after = r.Next; after == 0 {
			break
		}
	}
	return looked, sealed, nil
}
