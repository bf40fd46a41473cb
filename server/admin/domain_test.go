package admin

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/server/admin/command"
)

func TestALifeOfADomain(t *testing.T) {
	r := operational(t)
	a, b := randomPart(), randomPart()
	key := command.Combine([]ck.Secret{a, b})
	want := sha256.Sum256(append([]byte{1}, key...))
	vp := r.load(a, b)
	if !bytes.Equal(vp, want[:]) {
		t.Fatalf("pattern %x, want %x", vp, want)
	}
	if r.installed.Current != nil || !bytes.Equal(r.installed.Next, key) || r.installed.Committed {
		t.Fatal("after the import the new register is not full and uncommitted")
	}
	r.must(command.XCP_ADM_COMMIT_WK, vp, person(0), person(1))
	if r.installed.Current != nil || !r.installed.Committed {
		t.Fatal("after the commit the new register is not committed")
	}
	r.must(command.XCP_ADM_COMMIT_WK, vp, person(0), person(1)) // a no-op, accepted and counted
	r.must(command.XCP_ADM_FINALIZE_WK, vp, person(2))
	if !bytes.Equal(r.installed.Current, key) || r.installed.Next != nil || r.installed.Committed {
		t.Fatal("after finalize the key is not current")
	}
	r.must(command.XCP_ADM_DOM_ZEROIZE, nil, person(2))
	s := r.d.s
	if r.installed.Current != nil || len(s.admins) != 0 || !s.imprint() || s.domain.Instance != 2 {
		t.Fatal("zeroize left something")
	}
	if err := r.reopen(); err != nil {
		t.Fatal(err)
	}
}

func TestAStateSurvivesRestartsInMidCeremony(t *testing.T) {
	r := operational(t)
	importer := r.ceremony(command.XCP_IMPRKEY_RSA_2048)
	if err := r.reopen(); err != nil {
		t.Fatal(err)
	}
	var payload []byte
	for range 3 {
		q := r.partRequest(importer, randomPart(), person(2))
		payload = append(payload, q.Marshal()...)
	}
	vp := r.must(command.XCP_ADM_IMPORT_WK, payload)
	if err := r.reopen(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(command.Pattern(r.installed.Next), vp) {
		t.Fatal("the new register did not survive")
	}
	r.must(command.XCP_ADM_COMMIT_WK, vp, person(0), person(1))
	if err := r.reopen(); err != nil || !r.installed.Committed {
		t.Fatal("the commit did not survive", err)
	}
	if got := r.must(command.XCP_ADMQ_WK_ORIGINS, nil); len(got) != 3*32 {
		t.Fatalf("%d bytes of part patterns", len(got))
	}
}

func TestADevelopmentUnitCanBeOwned(t *testing.T) {
	r := &rig{t: t}
	key := randomPart()
	var err error
	if r.d, err = Create(r.host(), nil, key); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.installed.Current, key) {
		t.Fatal("the master key is not in use")
	}
	r.must(command.XCP_ADM_DOM_ADMIN_LOGIN, person(0).cert)
	r.must(command.XCP_ADM_DOM_SET_ATTR, attrs(signThr, 1, revokeThr, 1), person(0))
	if !bytes.Equal(r.installed.Current, key) || r.d.s.imprint() {
		t.Fatal("owning the unit changed its key or left it in imprint mode")
	}
}

func TestVerificationOrder(t *testing.T) {
	type request struct {
		c     *command.Command
		by    []signer
		block func([]byte) []byte // change after signing
		sigs  func([]byte) []byte
	}
	signed := func(n int) func(*rig, *request) {
		return func(_ *rig, q *request) {
			for i := range n {
				q.by = append(q.by, person(i))
			}
		}
	}
	for _, row := range []struct {
		name string
		mod  func(*rig, *request)
		want command.Reason
	}{
		{"a block that is no DER", func(_ *rig, q *request) { q.block = func([]byte) []byte { return []byte("hello") } }, command.XCP_RSC_ASN_FMT_INVALID},
		{"a block with something after it", func(_ *rig, q *request) { q.block = func(b []byte) []byte { return append(b, 0) } }, command.XCP_RSC_ASN_FMT_INVALID},
		{"signatures that are no SignerInfos", func(_ *rig, q *request) { q.sigs = func([]byte) []byte { return []byte{0x30, 0} } }, command.XCP_RSC_ASN_FMT_INVALID},
		{"a signer named in 31 bytes", func(_ *rig, q *request) {
			q.by = []signer{person(0)}
			q.sigs = shortSKI
		}, command.XCP_RSC_SKI_MALFORMED},
		{"nine signatures", signed(9), command.XCP_RSC_TOO_MANY_SIGNERINFOS},
		{"a domain of 4 bytes", func(_ *rig, q *request) { q.c.Domain = q.c.Domain[:4] }, command.XCP_RSC_DOMAIN_INST_FMT},
		{"another domain", func(_ *rig, q *request) { q.c.Domain = command.Domain{Index: 1, Instance: 1}.Bytes() }, command.XCP_RSC_CMD_DOMAIN_RANGE},
		{"another life of the domain", func(_ *rig, q *request) { q.c.Domain = command.Domain{Instance: 7}.Bytes() }, command.XCP_RSC_DOMAIN_INST_MISMATCH},
		{"no module", func(_ *rig, q *request) { q.c.Module = nil }, command.XCP_RSC_MODULE_INST_FMT},
		{"another module", func(_ *rig, q *request) { q.c.Module = command.Module{Instance: 1}.Bytes() }, command.XCP_RSC_MODULE_SERNO_MISMATCH},
		{"another life of the module", func(r *rig, q *request) {
			q.c.Module = command.Module{Serial: r.d.s.module.Serial, Instance: 9}.Bytes()
		}, command.XCP_RSC_MODULE_INST_MISMATCH},
		{"a counter of 8 bytes", func(_ *rig, q *request) { q.c.Counter = q.c.Counter[8:] }, command.XCP_RSC_TCTR_FMT},
		{"the last counter again", func(r *rig, q *request) { q.c.Counter = r.d.s.counter[:] }, command.XCP_RSC_TCTR_VALUE},
		{"the greatest counter", func(_ *rig, q *request) { q.c.Counter = bytes.Repeat([]byte{0xFF}, 16) }, command.XCP_RSC_TCTR_VALUE},
		{"no signature", signed(0), command.XCP_RSC_SIGS_INSUFFICIENT},
		{"one signature of two", signed(1), command.XCP_RSC_SIGS_INSUFFICIENT},
		{"one administrator twice", func(_ *rig, q *request) { q.by = []signer{person(0), person(0)} }, command.XCP_RSC_SIGS_REJECTED},
		{"two good signatures and one of a stranger", func(_ *rig, q *request) { q.by = []signer{person(0), person(1), person(5)} }, command.XCP_RSC_SKI_NOT_FOUND},
		{"signed, then altered", func(r *rig, q *request) {
			q.by = []signer{person(0), person(1)}
			q.block = func([]byte) []byte {
				return r.cmd(command.XCP_ADM_DOM_CTRLPOINT_SET, make([]byte, 16)).Marshal()
			}
		}, command.XCP_RSC_SIGS_REJECTED},
		{"two signatures", signed(2), 0},
		{"all signatures", signed(3), 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := operational(t)
			points := command.Profiles["strict"]
			q := &request{c: r.cmd(command.XCP_ADM_DOM_CTRLPOINT_SET, points[:])}
			row.mod(r, q)
			block := q.c.Marshal()
			signatures := sign(block, q.by...)
			if q.block != nil {
				block = q.block(block)
			}
			if q.sigs != nil {
				signatures = q.sigs(signatures)
			}
			_, err := r.send(block, signatures)
			if row.want == 0 && err != nil {
				t.Fatal(err)
			}
			if row.want != 0 {
				r.want(err, row.want)
			}
		})
	}
}

// shortSKI drops a byte of the first signer's identifier.
func shortSKI(der []byte) []byte {
	at := bytes.Index(der, []byte{0x80, 32})
	out := append([]byte(nil), der[:at+2+31]...)
	out = append(out, der[at+2+32:]...)
	out[at+1] = 31
	if out[1] == 0x81 {
		out[2]--
	} else {
		out[1]--
	}
	return out
}

func TestAReplayedCommandIsRefusedInEveryLife(t *testing.T) {
	r := operational(t)
	points := command.Profiles["strict"]
	block := r.cmd(command.XCP_ADM_DOM_CTRLPOINT_SET, points[:]).Marshal()
	signatures := sign(block, person(0), person(1))
	if _, err := r.send(block, signatures); err != nil {
		t.Fatal(err)
	}
	_, err := r.send(block, signatures)
	r.want(err, command.XCP_RSC_TCTR_VALUE)
	r.must(command.XCP_ADM_DOM_ZEROIZE, nil, person(0))
	_, err = r.send(block, signatures)
	r.want(err, command.XCP_RSC_DOMAIN_INST_MISMATCH)
	other := another(t)
	_, err = other.send(block, signatures)
	other.want(err, command.XCP_RSC_MODULE_SERNO_MISMATCH)
}

func TestARevokedAdministratorCannotSign(t *testing.T) {
	r := operational(t)
	r.must(command.XCP_ADM_DOM_ADMIN_LOGOUT, person(2).ski(), person(0), person(1))
	_, err := r.do(command.XCP_ADM_GEN_DOM_IMPORTER, []byte{0, 0, 0, 2}, person(2))
	r.want(err, command.XCP_RSC_SKI_NOT_FOUND)
}

func TestUnknownFunctionsAreNotSupported(t *testing.T) {
	r := operational(t)
	for _, fn := range []command.Function{0, command.XCP_ADM_ADMIN_LOGIN, command.XCP_ADM_SET_CLOCK, 0x1FFFF} {
		if _, err := r.do(fn, nil, person(0), person(1)); ck.RVOf(err) != ck.CKR_FUNCTION_NOT_SUPPORTED {
			t.Errorf("function %d: %v", fn, err)
		}
	}
}

func TestQueriesNeedNoIdentityButAWrongOneIsRefused(t *testing.T) {
	r := operational(t)
	query := func(domain, module []byte) error {
		c := command.Command{Function: command.XCP_ADMQ_DOM_ATTRS, Domain: domain, Module: module}
		_, err := r.send(c.Marshal(), nil)
		return err
	}
	if err := query(nil, nil); err != nil {
		t.Error(err)
	}
	if err := query(command.Domain{}.Bytes(), nil); err != nil {
		t.Error(err)
	}
	r.want(query(command.Domain{Instance: 9}.Bytes(), nil), command.XCP_RSC_DOMAIN_INST_MISMATCH)
	r.want(query(nil, make([]byte, 16)), command.XCP_RSC_MODULE_SERNO_MISMATCH)
}

func TestEveryKindOfKeySigns(t *testing.T) {
	for _, kind := range []string{"P-256", "P-384", "P-521", "RSA", "Ed25519"} {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t)
			s := signers()[kind][0]
			r.must(command.XCP_ADM_DOM_ADMIN_LOGIN, s.cert)
			r.must(command.XCP_ADM_DOM_SET_ATTR, attrs(signThr, 1, revokeThr, 1), s)
			r.must(command.XCP_ADM_GEN_DOM_IMPORTER, binary.BigEndian.AppendUint32(nil, uint32(command.XCP_IMPRKEY_EC_P256)), s)
		})
	}
}

func TestAFullDiskLeavesTheOldState(t *testing.T) {
	r := operational(t)
	importer := r.ceremony(command.XCP_IMPRKEY_EC_P256)
	p, q := r.partRequest(importer, randomPart(), person(1)), r.partRequest(importer, randomPart(), person(1))
	payload := append(p.Marshal(), q.Marshal()...)
	r.saveErr = ck.CKR_DEVICE_MEMORY
	if _, err := r.do(command.XCP_ADM_IMPORT_WK, payload); ck.RVOf(err) != ck.CKR_DEVICE_MEMORY {
		t.Fatalf("got %v", err)
	}
	r.saveErr = nil
	r.must(command.XCP_ADM_IMPORT_WK, payload) // the same command is still good
}
