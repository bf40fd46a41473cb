package chaos

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"
)

// What kinds of application there are: of many threads, of a few, and of one. Their
// calls go different ways through the library.
var kinds = map[string]struct{ signers, creators int }{"many": {16, 4}, "few": {3, 1}, "lone": {1, 0}}

const (
	calm  = "calm"
	pairs = 8 // keys that the signers share

	// A thread's pause between its calls, so that their times are the service's and
	// not those of a queue for the processor, which all parts share here.
	breath = 4 * time.Millisecond
)

// application is a program that uses the library.
type application struct {
	kind  string
	p     *pkcs11.Ctx
	slot  uint
	keys  []signingKey
	aes   pkcs11.ObjectHandle
	plain []byte
	coded []byte // plain, encrypted once before anything went wrong

	phase atomic.Pointer[phase]
	stop  atomic.Bool

	mu     sync.Mutex
	report report
}

type signingKey struct {
	private pkcs11.ObjectHandle
	public  *ecdsa.PublicKey
}

// runApplication says "ready", takes "phase NAME" and "stop", and reports.
func runApplication(in io.Reader, out io.Writer) error {
	a := &application{kind: flag.Arg(1), p: pkcs11.New(flag.Arg(0)), report: report{Phases: map[string]*figures{}}}
	if err := a.begin(); err != nil {
		return err
	}
	a.say(calm)
	var threads sync.WaitGroup
	for i := range kinds[a.kind].signers {
		threads.Go(func() { a.sign(i) })
	}
	for i := range kinds[a.kind].creators {
		threads.Go(func() { a.create(i) })
	}
	fmt.Fprintln(out, "ready")
	lines := bufio.NewScanner(in)
	for lines.Scan() && lines.Text() != "stop" {
		a.say(strings.TrimPrefix(lines.Text(), "phase "))
		fmt.Fprintln(out, "done")
	}
	a.stop.Store(true)
	threads.Wait()
	if err := a.compare(); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(a.report)
}

// phase is what happens: calm, or the name of a fault.
type phase struct {
	name   string
	number int
	fault  string // the last one
	past   string // the one before
}

func (a *application) say(name string) {
	next := phase{name: name, fault: name}
	if last := a.phase.Load(); last != nil {
		next.number, next.past = last.number+1, last.fault
		if name == calm {
			next.fault, next.past = last.fault, last.past
		}
	}
	a.phase.Store(&next)
}

// blame names what a call that ends now has met: the fault that was on when it
// ended or began, or the one in between.
func (a *application) blame(before *phase) string {
	now := a.phase.Load()
	switch {
	case now.name != calm:
		return now.name
	case before.name != calm:
		return before.name
	case before.number != now.number:
		return now.fault
	}
	return calm
}

func (a *application) begin() error {
	if a.p == nil {
		return errors.New("the library cannot be loaded")
	}
	if err := a.p.Initialize(); err != nil {
		return err
	}
	slots, err := a.p.GetSlotList(true)
	if err != nil || len(slots) == 0 {
		return fmt.Errorf("%d slots: %w", len(slots), err)
	}
	a.slot = slots[0]
	s, err := a.session()
	if err != nil {
		return err
	}
	if err := a.p.Login(s, pkcs11.CKU_USER, userPIN); err != nil {
		return err
	}
	for i := range pairs {
		public, private, err := a.pair(s, fmt.Sprint("signer ", i, " of ", a.kind))
		if err != nil {
			return err
		}
		key, err := a.publicKey(s, public)
		if err != nil {
			return err
		}
		a.keys = append(a.keys, signingKey{private, key})
	}
	return a.prepare(s)
}

// prepare makes the AES key and encrypts with it.
func (a *application) prepare(s pkcs11.SessionHandle) (err error) {
	a.aes, err = a.p.GenerateKey(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)}, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32), pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, true)})
	if err != nil {
		return err
	}
	a.plain = bytes.Repeat([]byte("sixteen bytes ok"), 64)
	a.coded, err = a.encrypt(s, 1)
	return err
}

func (a *application) session() (pkcs11.SessionHandle, error) {
	return a.p.OpenSession(a.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
}

func (a *application) pair(s pkcs11.SessionHandle, name string) (public, private pkcs11.ObjectHandle, err error) {
	p256, err := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7})
	if err != nil {
		return 0, 0, err
	}
	token, called := pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_LABEL, name)
	return a.p.GenerateKeyPair(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_EC_KEY_PAIR_GEN, nil)},
		[]*pkcs11.Attribute{token, called, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, p256)},
		[]*pkcs11.Attribute{token, called, pkcs11.NewAttribute(pkcs11.CKA_SIGN, true), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true)})
}

func (a *application) publicKey(s pkcs11.SessionHandle, h pkcs11.ObjectHandle) (*ecdsa.PublicKey, error) {
	values, err := a.p.GetAttributeValue(s, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, nil)})
	if err != nil {
		return nil, err
	}
	var point []byte
	if _, err := asn1.Unmarshal(values[0].Value, &point); err != nil {
		return nil, err
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
}

// sign is a thread that signs, verifies, and every eighth time encrypts in parts,
// an operation whose state outlives servers and units.
func (a *application) sign(thread int) {
	s, err := a.session()
	for i := thread; !a.stop.Load(); i++ {
		if err != nil {
			s, err = a.reopen(s)
			continue
		}
		if i%8 == 0 {
			err = a.timed("encrypt in parts", 6, func() error { return a.encryptAndCompare(s) })
		} else {
			err = a.timed("sign", 1, func() error { return a.signAndVerify(s, a.keys[i%pairs]) })
		}
		time.Sleep(breath)
	}
}

// reopen gives up a session whose operation failed.
func (a *application) reopen(s pkcs11.SessionHandle) (pkcs11.SessionHandle, error) {
	_ = a.p.CloseSession(s)
	time.Sleep(10 * time.Millisecond)
	return a.session()
}

var errWrong = errors.New("a wrong result")

func (a *application) signAndVerify(s pkcs11.SessionHandle, k signingKey) error {
	digest := sha256.Sum256([]byte(time.Now().String()))
	if err := a.p.SignInit(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil)}, k.private); err != nil {
		return err
	}
	sig, err := a.p.Sign(s, digest[:])
	if err != nil {
		return err
	}
	if len(sig) != 64 || !ecdsa.Verify(k.public, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return errWrong
	}
	return nil
}

func (a *application) encryptAndCompare(s pkcs11.SessionHandle) error {
	got, err := a.encrypt(s, 4)
	if err == nil && !bytes.Equal(got, a.coded) {
		err = errWrong
	}
	return err
}

func (a *application) encrypt(s pkcs11.SessionHandle, parts int) ([]byte, error) {
	if err := a.p.EncryptInit(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_CBC, make([]byte, 16))}, a.aes); err != nil {
		return nil, err
	}
	var out []byte
	n := len(a.plain) / parts
	for i := range parts {
		b, err := a.p.EncryptUpdate(s, a.plain[i*n:(i+1)*n])
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
	}
	last, err := a.p.EncryptFinal(s)
	return append(out, last...), err
}

// timed runs what is that many calls to the service, and notes how it went.
func (a *application) timed(what string, calls int, f func() error) error {
	before, start := a.phase.Load(), time.Now()
	err := f()
	took, met := time.Since(start), a.blame(before)
	a.mu.Lock()
	defer a.mu.Unlock()
	if past := a.phase.Load().past; met != calm && past != calm {
		what += " after " + past
	}
	a.report.note(met, what, calls, took, err)
	return err
}
