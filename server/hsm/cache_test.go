package hsm

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

var (
	blobsFlag = flag.Int("blobs", 2000, "keys of the test of the cache")
	cacheFlag = flag.Int("cache", 100, "its cache")
)

const threads = 16

// TestMoreKeysThanTheHSMHolds makes and uses many more keys than the cache
// keeps in the HSM, from 16 threads.
func TestMoreKeysThanTheHSMHolds(t *testing.T) {
	c := testConfig(t)
	c.CacheKeys, c.KeysInMemory = *cacheFlag, false
	u := openUnit(t, c)
	blobs := make([]unit.Blob, *blobsFlag)
	sums := make([][]byte, len(blobs))
	start := time.Now()
	parallel(len(blobs), func(i int) {
		k, err := u.GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32)})
		if err != nil {
			t.Error(err)
			return
		}
		blobs[i], sums[i] = k.Blob, k.CheckSum
	})
	made := time.Since(start)
	start = time.Now()
	var most atomic.Int64
	parallel(len(blobs), func(i int) {
		if i%200 == 0 {
			most.Store(max(most.Load(), int64(objects(t, u))))
		}
		if i%3 == 0 {
			i = rand.IntN(min(len(blobs), *cacheFlag/2)) // some are used again and again
		}
		out, err := u.Single(ctx, mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_ECB}, blobs[i], unit.Input{Data: make([]byte, 16)})
		if err != nil || !bytes.Equal(out[:3], sums[i]) {
			t.Errorf("key %d: %x instead of %x, %v", i, out, sums[i], err)
		}
	})
	t.Logf("%d keys made in %v, used in %v through a cache of %d; %d objects at most", len(blobs), made, time.Since(start), *cacheFlag, most.Load())
	if n := most.Load(); n > int64(*cacheFlag+2*threads) {
		t.Errorf("%d objects are in the HSM", n)
	}
	u.Unit.Close()
	if n := objects(t, u); n > 0 {
		t.Errorf("%d objects are left in the HSM", n)
	}
}

func parallel(n int, f func(i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range threads {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	all.Wait()
}

// objects counts the session objects in the HSM.
func objects(t *testing.T, u *Unit) int {
	t.Helper()
	n, err := call(u.pool, time.Minute, func(c *connection, s pkcs11.SessionHandle) (int, error) {
		if err := c.FindObjectsInit(s, attributes(ck.Template{ck.Bool(ck.CKA_TOKEN, false)})); err != nil {
			return 0, err
		}
		defer c.FindObjectsFinal(s)
		n := 0
		for {
			found, _, err := c.FindObjects(s, 1000)
			if err != nil || len(found) == 0 {
				return n, err
			}
			n += len(found)
		}
	})
	if err != nil {
		t.Error(err)
	}
	return n
}
