package consumers

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
)

const (
	crashObjects = 1000
	crashThreads = 8
)

// The server is killed again and again while threads create token objects.
// Each creation that was answered with CKR_OK must be there afterwards, once;
// one that failed may be there, but not twice.
func TestServerKilledDuringCreations(t *testing.T) {
	if *moduleFlag != "grep11" {
		t.Skip("only ours has a server to kill")
	}
	consumer(t, built(t, "grep11"), "github.com/miekg/pkcs11")
	s := start(t)
	p, slot := s.load(t)
	session := s.open(t, p, slot)

	answered := s.createWhileKilled(t, p, slot)
	s.stopServer(t, syscall.SIGKILL)
	s.startServer(t)

	found := labels(t, p, session)
	lost, double := 0, 0
	for label, ok := range answered {
		if ok && found[label] == 0 {
			lost++
		}
		if found[label] > 1 {
			double++
		}
	}
	t.Logf("%d created, %d of them answered, %d found; %d lost, %d double", len(answered), count(answered), len(found), lost, double)
	if lost > 0 || double > 0 || len(answered) != crashObjects {
		t.Errorf("%d answered creations lost, %d double, %d tried", lost, double, len(answered))
	}
}

// createWhileKilled tells for each label whether its creation was answered
// with CKR_OK.
func (s *service) createWhileKilled(t *testing.T, p *pkcs11.Ctx, slot uint) map[string]bool {
	var mu sync.Mutex
	answered := map[string]bool{}
	var creators sync.WaitGroup
	for thread := range crashThreads {
		session := s.open(t, p, slot)
		creators.Go(func() {
			for i := range crashObjects / crashThreads {
				label := fmt.Sprintf("%d-%d", thread, i)
				err := create(p, session, label, i)
				mu.Lock()
				answered[label] = err == nil
				mu.Unlock()
				time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
			}
		})
	}
	done := make(chan struct{})
	go func() { creators.Wait(); close(done) }()
	for kills := 0; ; kills++ {
		select {
		case <-done:
			t.Logf("the server was killed %d times", kills)
			if kills < 2 {
				t.Error("too few kills to mean anything")
			}
			return answered
		case <-time.After(time.Duration(50+rand.IntN(250)) * time.Millisecond):
			s.stopServer(t, syscall.SIGKILL)
			s.startServer(t)
		}
	}
}

// create makes data objects and keys in turn.
func create(p *pkcs11.Ctx, session pkcs11.SessionHandle, label string, i int) error {
	common := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_LABEL, label)}
	if i%2 == 0 {
		_, err := p.CreateObject(session, append(common,
			pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_DATA), pkcs11.NewAttribute(pkcs11.CKA_VALUE, []byte(label))))
		return err
	}
	_, err := p.GenerateKey(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)},
		append(common, pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32)))
	return err
}

func count(answered map[string]bool) (n int) {
	for _, ok := range answered {
		if ok {
			n++
		}
	}
	return n
}

// labels counts the token's objects by label.
func labels(t *testing.T, p *pkcs11.Ctx, session pkcs11.SessionHandle) map[string]int {
	t.Helper()
	if err := p.FindObjectsInit(session, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true)}); err != nil {
		t.Fatal(err)
	}
	defer p.FindObjectsFinal(session)
	found := map[string]int{}
	for {
		handles, _, err := p.FindObjects(session, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(handles) == 0 {
			return found
		}
		for _, h := range handles {
			a, err := p.GetAttributeValue(session, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, nil)})
			if err != nil {
				t.Fatal(err)
			}
			found[string(a[0].Value)]++
		}
	}
}
