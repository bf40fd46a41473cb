package conformance

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"grep11/conformance/kind"
	"grep11/pkcs11/ck"
)

// answers are what functions answered in this run of the tests.
var answers = struct {
	mu   sync.Mutex
	seen map[string]map[ck.RV]bool // guarded by mu
}{seen: map[string]map[ck.RV]bool{}}

func init() {
	heard = func(name string, rv ck.RV) {
		answers.mu.Lock()
		defer answers.mu.Unlock()
		if answers.seen[name] == nil {
			answers.seen[name] = map[ck.RV]bool{}
		}
		answers.seen[name][rv] = true
	}
}

func seen(name string, code string) bool {
	answers.mu.Lock()
	defer answers.mu.Unlock()
	for rv := range answers.seen[name] {
		if rv.Error() == code {
			return true
		}
	}
	return false
}

// TestReturnValues: each code of the standard's list for each function is an
// answer that the calls here, or TestMachine's, get; or return-reasons.csv says
// why no caller can cause it.
func TestReturnValues(t *testing.T) {
	if !ours() {
		return
	}
	if kind.Name() != "emulated" {
		t.Skip("other services have fewer mechanisms")
	}
	for _, scenes := range [][]scene{makerScenes, keyScenes, operationScenes, messageScenes, userScenes, otherScenes} {
		for _, s := range scenes {
			t.Run(s.what, func(t *testing.T) { s.play(newProbe(t)) })
		}
	}
	t.Run("one bad argument", TestOneBadArgument)
	t.Run("interfaces", TestInterfaceList)
	t.Run("arguments of C_Initialize", TestInitializeArguments)
	playMachine(t)
	excused := excuses(t)
	shown := 0
	for name, codes := range returns(t) {
		for _, code := range codes {
			switch saw, why := seen(name, code), excused[name+" "+code]; {
			case code == "":
			case saw && why != "":
				t.Errorf("%s answers %s, though %q", name, code, why)
			case !saw && why == "":
				t.Errorf("%s was not seen to answer %s", name, code)
			case saw:
				shown++
			}
		}
	}
	t.Logf("%d answers of functions shown, %d that no caller can cause", shown, len(excused))
}

// playMachine makes TestMachine's calls, unless it has made them.
func playMachine(t *testing.T) {
	if !machinePlayed {
		t.Run("random calls", TestMachine)
	}
}

var machinePlayed bool

// excuses gives the reason for each function and code that has one.
func excuses(t *testing.T) map[string]string {
	rows, err := Table("return-reasons.csv")
	if err != nil {
		t.Fatal(err)
	}
	lists := returns(t)
	why := map[string]string{}
	for _, r := range rows {
		for _, name := range strings.Split(r[1], "; ") {
			if !slices.Contains(lists[name], r[0]) {
				t.Errorf("return-reasons.csv: %s is not on the list of %s", r[0], name)
			}
			why[name+" "+r[0]] = r[2]
		}
	}
	return why
}

// scene is calls that are to be answered in a certain way.
type scene struct {
	what string
	play func(*probe)
}

// probe makes calls in a session.
type probe struct {
	t *testing.T
	*session
}

func newProbe(t *testing.T) *probe { return &probe{t, openSession(t)} }

// ask makes a call in the session.
func (p *probe) ask(name string, arguments ...uintptr) ck.RV {
	return p.module.Call(name, append([]uintptr{p.handle}, arguments...)...)
}

// want is ask for a call that has one right answer.
func (p *probe) want(rv ck.RV, name string, arguments ...uintptr) {
	p.t.Helper()
	if got := p.ask(name, arguments...); got != rv {
		p.t.Errorf("%s: %v, want %v", name, got, rv)
	}
}

func (p *probe) ok(name string, arguments ...uintptr) {
	p.t.Helper()
	p.want(ck.CKR_OK, name, arguments...)
}

// open gives another session, of the same user.
func (p *probe) open(flags ck.Flags) *probe {
	p.t.Helper()
	at := p.word(0)
	if rv := p.module.Call("C_OpenSession", p.slot(p.t), uintptr(flags|ck.CKF_SERIAL_SESSION), 0, 0, at); rv != ck.CKR_OK {
		p.t.Fatalf("C_OpenSession: %v", rv)
	}
	return &probe{p.t, &session{p.module, p.memory, *p.at(at)}}
}

func (p *probe) login(user ck.UserType, pin string) ck.RV {
	return p.ask("C_Login", uintptr(user), p.bytes(pin), uintptr(len(pin)))
}

func (p *probe) loginAgain() {
	p.t.Helper()
	if rv := p.login(ck.CKU_USER, setting(p.t, "GREP11_PIN")); rv != ck.CKR_OK {
		p.t.Fatalf("C_Login: %v", rv)
	}
}

func (p *probe) word(w uintptr) uintptr { return p.memory.Words(w).Address() }

func (p *probe) at(address uintptr) *uintptr {
	for _, m := range p.memory.all {
		if uintptr(m) == address {
			return (*uintptr)(m)
		}
	}
	panic(fmt.Sprintf("conformance: %#x is not the start of a piece of memory", address))
}

func (p *probe) bytes(s string) uintptr { return p.memory.Bytes([]byte(s)).Address() }

func (p *probe) room(n int) uintptr { return p.memory.Room(n).Address() }

func (p *probe) mechanism(m ck.MechanismType) uintptr { return p.memory.Mechanism(m, nil).Address() }

func (p *probe) mechanismWith(m ck.MechanismType, param uintptr, n uintptr) uintptr {
	return p.memory.Words(uintptr(m), param, n).Address()
}

// gcm is AES-GCM with CK_GCM_PARAMS.
func (p *probe) gcm() uintptr {
	return p.mechanismWith(ck.CKM_AES_GCM, p.memory.Words(p.room(12), 12, 96, 0, 0, 128).Address(), 48)
}

func (p *probe) template(t ck.Template) (at, n uintptr) {
	return p.memory.Template(t).Address(), uintptr(len(t))
}

// secret makes a secret session key that anybody may use.
func (p *probe) secret(m ck.MechanismType, more ck.Template) uintptr {
	p.t.Helper()
	base := ck.Template{ck.Bool(ck.CKA_PRIVATE, false), ck.Bool(ck.CKA_EXTRACTABLE, true), ck.Bool(ck.CKA_SENSITIVE, false)}
	if m == ck.CKM_AES_KEY_GEN || m == ck.CKM_GENERIC_SECRET_KEY_GEN {
		base = base.Set(ck.Ulong(ck.CKA_VALUE_LEN, 32))
	}
	at, n := p.template(base.With(more))
	key := p.word(0)
	p.ok("C_GenerateKey", p.mechanism(m), at, n, key)
	return *p.at(key)
}

func rights(types ...ck.AttributeType) (t ck.Template) {
	for _, at := range types {
		t = append(t, ck.Bool(at, true))
	}
	return t
}

// pair makes a key pair of the session's.
func (p *probe) pair(m ck.MechanismType, pub, priv ck.Template) (public, private uintptr) {
	p.t.Helper()
	handles := p.memory.Words(0, 0)
	const word = unsafe.Sizeof(uintptr(0))
	pubAt, pubN := p.template(pub)
	privAt, privN := p.template(priv)
	p.ok("C_GenerateKeyPair", p.mechanism(m), pubAt, pubN, privAt, privN, handles.Address(), handles.Address()+word)
	return handles.WordAt(0), handles.WordAt(1)
}

func (p *probe) rsa(bits uint64, pub, priv ck.Template) (uintptr, uintptr) {
	p.t.Helper()
	return p.pair(ck.CKM_RSA_PKCS_KEY_PAIR_GEN, ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, bits)}.With(pub), priv)
}

func (p *probe) kem() (uintptr, uintptr) {
	p.t.Helper()
	return p.pair(ck.CKM_ML_KEM_KEY_PAIR_GEN, ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, ck.CKP_ML_KEM_768), ck.Bool(ck.CKA_ENCAPSULATE, true)},
		ck.Template{ck.Bool(ck.CKA_DECAPSULATE, true), ck.Bool(ck.CKA_PRIVATE, false)})
}
