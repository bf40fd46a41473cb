package chaos

import (
	"fmt"
	"strings"
	"time"

	"github.com/miekg/pkcs11"
)

// entry is an object or a key pair as its creator remembers it.
type entry struct {
	name                      string
	objects                   int // that its creation makes
	made, renamed, gone       bool
	mayMade, mayRenamed, lost bool // the call failed: it may have happened
}

// create is a thread that makes objects, renames every second and destroys
// every third of them, and keeps a ledger of what was answered.
func (a *application) create(thread int) {
	s, err := a.session()
	for i := 0; !a.stop.Load(); i++ {
		if err != nil {
			s, err = a.reopen(s)
			continue
		}
		e := &entry{name: fmt.Sprintf("object %s %d-%d", a.kind, thread, i), objects: 1 + i%2}
		err = a.live(s, i, e)
		a.mu.Lock()
		a.report.ledger = append(a.report.ledger, e)
		a.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
}

// live is the life of one entry, up to the first call that fails.
func (a *application) live(s pkcs11.SessionHandle, i int, e *entry) error {
	var h pkcs11.ObjectHandle
	err := a.timed("create", 1, func() (err error) { h, err = a.make(s, e); return err })
	if e.made, e.mayMade = err == nil, err != nil; err != nil {
		return err
	}
	if i%2 == 0 {
		err = a.timed("change", 1, func() error {
			return a.p.SetAttributeValue(s, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, e.name+renamed)})
		})
		if e.renamed, e.mayRenamed = err == nil, err != nil; err != nil {
			return err
		}
	}
	if i%3 == 0 {
		err = a.timed("destroy", 1, func() error { return a.p.DestroyObject(s, h) })
		e.gone, e.lost = err == nil, err != nil
	}
	return err
}

const renamed = " renamed"

func (a *application) make(s pkcs11.SessionHandle, e *entry) (pkcs11.ObjectHandle, error) {
	if e.objects == 2 {
		_, private, err := a.pair(s, e.name)
		return private, err
	}
	return a.p.CreateObject(s, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_DATA), pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, e.name), pkcs11.NewAttribute(pkcs11.CKA_VALUE, []byte(e.name))})
}

// compare looks for everything in the ledger. The service is whole again.
func (a *application) compare() error {
	there, err := a.labels()
	if err != nil {
		return err
	}
	a.report.Objects = len(a.report.ledger)
	for _, e := range a.report.ledger {
		a.report.Wrong = append(a.report.Wrong, e.differs(there[e.name], there[e.name+renamed])...)
	}
	return nil
}

// differs tells what is there otherwise than it was answered.
func (e *entry) differs(old, changed int) (wrong []string) {
	least, most := e.objects, e.objects
	switch {
	case e.mayMade:
		least = 0
	case e.gone:
		least, most = least-1, most-1
	case e.lost:
		least--
	}
	n := old + changed
	if n < least || n > most || e.mayMade && n != 0 && n != e.objects {
		wrong = append(wrong, fmt.Sprintf("%s: %d there, not %d to %d", e.name, n, least, most))
	}
	if want := e.renamed && !e.gone; changed > 1 || want && !e.lost && changed == 0 || changed > 0 && !e.renamed && !e.mayRenamed {
		wrong = append(wrong, fmt.Sprintf("%s: %d were renamed", e.name, changed))
	}
	return wrong
}

// labels counts the token's objects by their labels.
func (a *application) labels() (map[string]int, error) {
	s, err := a.session()
	if err != nil {
		return nil, err
	}
	if err := a.p.FindObjectsInit(s, nil); err != nil {
		return nil, err
	}
	there := map[string]int{}
	for {
		found, _, err := a.p.FindObjects(s, 1000)
		if err != nil || len(found) == 0 {
			return there, err
		}
		for _, h := range found {
			v, err := a.p.GetAttributeValue(s, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, nil)})
			if err != nil {
				return nil, fmt.Errorf("label of object %d: %w", h, err)
			}
			there[strings.TrimSpace(string(v[0].Value))]++
		}
	}
}
