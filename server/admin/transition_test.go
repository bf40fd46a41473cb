package admin

import (
	"bytes"
	"encoding/asn1"
	"encoding/binary"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/server/admin/command"
)

const (
	addAdmin     = command.XCP_ADM_DOM_ADMIN_LOGIN
	removeAdmin  = command.XCP_ADM_DOM_ADMIN_LOGOUT
	replaceAdmin = command.XCP_ADM_DOM_ADMIN_REPLACE
	setAttrs     = command.XCP_ADM_DOM_SET_ATTR
	genImporter  = command.XCP_ADM_GEN_DOM_IMPORTER
	genWK        = command.XCP_ADM_GEN_WK
	importWK     = command.XCP_ADM_IMPORT_WK
	commitWK     = command.XCP_ADM_COMMIT_WK
	finalizeWK   = command.XCP_ADM_FINALIZE_WK
	clearWK      = command.XCP_ADM_CLEAR_WK
	clearNextWK  = command.XCP_ADM_CLEAR_NEXT_WK
	setCPs       = command.XCP_ADM_DOM_CTRLPOINT_SET
	addCPs       = command.XCP_ADM_DOM_CTRLPOINT_ADD
	delCPs       = command.XCP_ADM_DOM_CTRLPOINT_DEL
	exportWK     = command.XCP_ADM_EXPORT_WK
	exportNextWK = command.XCP_ADM_EXPORT_NEXT_WK
)

// step is one command in a table; both administrators 0 and 1 sign unless by says otherwise.
type step struct {
	name    string
	start   func(*testing.T) *rig
	before  func(*rig)
	fn      command.Function
	payload func(*rig) []byte
	by      []signer
	want    command.Reason
}

func (s step) run(t *testing.T) {
	t.Helper()
	r := s.start(t)
	if s.before != nil {
		s.before(r)
	}
	var payload []byte
	if s.payload != nil {
		payload = s.payload(r)
	}
	_, err := r.do(s.fn, payload, s.by...)
	if s.want != 0 {
		r.want(err, s.want)
	} else if err != nil {
		t.Fatal(err)
	}
	if err := r.reopen(); err != nil {
		t.Fatalf("after the command the unit does not start: %v", err)
	}
}

func runSteps(t *testing.T, steps []step) {
	for _, s := range steps {
		t.Run(s.name, s.run)
	}
}

var quorum = []signer{person(0), person(1)}

func fixed(b []byte) func(*rig) []byte { return func(*rig) []byte { return b } }

func TestAdministratorTransitions(t *testing.T) {
	imprint := newRig
	add := func(by ...signer) func(*rig) {
		return func(r *rig) {
			for _, s := range by {
				r.must(addAdmin, s.cert)
			}
		}
	}
	set := func(pairs ...uint32) func(*rig) {
		return func(r *rig) { r.must(setAttrs, attrs(pairs...), person(0), person(1)) }
	}
	oneAdmin := func(t *testing.T) *rig {
		r := newRig(t)
		r.must(addAdmin, person(0).cert)
		r.must(setAttrs, attrs(signThr, 1, revokeThr, 1), person(0))
		return r
	}
	runSteps(t, []step{
		{name: "adding in imprint mode needs no signature", start: imprint, fn: addAdmin, payload: fixed(person(0).cert)},
		{name: "adding in operation needs the threshold", start: operational, fn: addAdmin, payload: fixed(person(4).cert), by: quorum},
		{name: "adding in operation with one signature of two", start: operational, fn: addAdmin, payload: fixed(person(4).cert), by: quorum[:1], want: command.XCP_RSC_SIGS_INSUFFICIENT},
		{name: "adding twice", start: imprint, before: add(person(0)), fn: addAdmin, payload: fixed(person(0).cert), want: command.XCP_RSC_SKI_FOUND},
		{name: "adding a ninth", start: imprint, before: add(signers()["P-256"][:8]...), fn: addAdmin, payload: fixed(person(8).cert), want: command.XCP_RSC_ADMINLIST_FULL},
		{name: "adding something that is no certificate", start: imprint, fn: addAdmin, payload: fixed([]byte("x")), want: command.XCP_RSC_CERT_FMT},
		{name: "adding nothing", start: imprint, fn: addAdmin, want: command.XCP_RSC_CERT_FMT},
		{name: "adding a certificate that is too long", start: imprint, fn: addAdmin, payload: fixed(make([]byte, 12289)), want: command.XCP_RSC_CERT_FMT},
		{name: "adding a key on P-224", start: imprint, fn: addAdmin, payload: fixed(signers()["P-224"][0].cert), want: command.XCP_RSC_CERT_TYPE_INVALID},
		{name: "removing in imprint mode", start: imprint, before: add(person(0)), fn: removeAdmin, payload: fixed(person(0).ski())},
		{name: "removing in operation needs the revocation threshold", start: operational, fn: removeAdmin, payload: fixed(person(2).ski()), by: quorum},
		{name: "removing with one signature of two", start: operational, fn: removeAdmin, payload: fixed(person(2).ski()), by: quorum[:1], want: command.XCP_RSC_SIGS_INSUFFICIENT},
		{name: "removing a stranger", start: operational, fn: removeAdmin, payload: fixed(person(7).ski()), by: quorum, want: command.XCP_RSC_SKI_NOT_FOUND},
		{name: "removing by 20 bytes", start: operational, fn: removeAdmin, payload: fixed(make([]byte, 20)), by: quorum, want: command.XCP_RSC_SKI_MALFORMED},
		{name: "removing below the threshold", start: operational, before: func(r *rig) {
			r.must(setAttrs, attrs(signThr, 3), person(0), person(1))
		}, fn: removeAdmin, payload: fixed(person(2).ski()), by: quorum, want: command.XCP_RSC_LOGOUT_BELOW_THRESHOLD},
		{name: "removing the last", start: oneAdmin, fn: removeAdmin, payload: fixed(person(0).ski()), by: quorum[:1], want: command.XCP_RSC_LOGOUT_LAST_ADMIN},
		{name: "removing the second last without single sign", start: operational, before: func(r *rig) {
			set(perms, r.d.s.attributes[command.XCP_ADMINT_PERMS]&^command.XCP_ADMP_1SIGN)(r)
			r.must(removeAdmin, person(2).ski(), person(0), person(1))
		}, fn: removeAdmin, payload: fixed(person(1).ski()), by: quorum, want: command.XCP_RSC_LOGOUT_NO_SINGLE_SIGN},
		{name: "replacing keeps the number", start: operational, fn: replaceAdmin, payload: fixed(append(person(2).ski(), person(5).cert...)), by: quorum},
		{name: "replacing by one who is there", start: operational, fn: replaceAdmin, payload: fixed(append(person(2).ski(), person(1).cert...)), by: quorum, want: command.XCP_RSC_SKI_FOUND},
		{name: "replacing nobody", start: operational, fn: replaceAdmin, payload: fixed([]byte{1}), by: quorum, want: command.XCP_RSC_SKI_MALFORMED},
		{name: "replacing by no certificate", start: operational, fn: replaceAdmin, payload: fixed(person(2).ski()), by: quorum, want: command.XCP_RSC_CERT_FMT},
		{name: "adding RSA where only EC is permitted", start: operational, before: set(keyKinds, command.XCP_ADMK__DEFAULT&^command.XCP_ADMK_KTYPE_RSA),
			fn: addAdmin, payload: fixed(signers()["RSA"][0].cert), by: quorum, want: command.XCP_RSC_ADM_KTYPE_POLICY_VIOLATION},
		{name: "adding RSA-2048 where 128 bits are the minimum", start: operational, before: set(mode, command.XCP_ADMM_CHG_KEYSTR|command.XCP_ADMM_STR_128BIT),
			fn: addAdmin, payload: fixed(signers()["RSA"][0].cert), by: quorum, want: command.XCP_RSC_KEY_STRENGTH_POLICY_VIOLATION},
	})
}

func TestAttributeTransitions(t *testing.T) {
	initial := attributes[command.XCP_ADMINT_PERMS].initial
	two := func(t *testing.T) *rig {
		r := newRig(t)
		r.must(addAdmin, person(0).cert)
		r.must(addAdmin, person(1).cert)
		return r
	}
	set := func(pairs ...uint32) func(*rig) {
		return func(r *rig) { r.must(setAttrs, attrs(pairs...), person(0), person(1)) }
	}
	imprint := func(name string, payload []byte, by []signer, want command.Reason) step {
		return step{name: name, start: two, fn: setAttrs, payload: fixed(payload), by: by, want: want}
	}
	later := func(name string, payload []byte, want command.Reason) step {
		return step{name: name, start: operational, fn: setAttrs, payload: fixed(payload), by: quorum, want: want}
	}
	after := func(before func(*rig), s step) step {
		s.before = before
		return s
	}
	frozen := set(perms, initial&^(command.XCP_ADMP_CHG_WK_RANDOM|command.XCP_ADMP_CHG_SIGN_THR|command.XCP_ADMP_CHG_REVOKE_THR))
	var many []byte
	for range 11 {
		many = append(many, attrs(signThr, 1)...)
	}
	runSteps(t, []step{
		imprint("leaving with as many signatures as the new threshold", attrs(signThr, 2, revokeThr, 1), quorum, 0),
		imprint("leaving with one signature and threshold 2", attrs(signThr, 2, revokeThr, 1), quorum[:1], command.XCP_RSC_SIGS_INSUFFICIENT),
		imprint("leaving without signature", attrs(signThr, 1, revokeThr, 1), nil, command.XCP_RSC_SIGS_INSUFFICIENT),
		imprint("leaving signed by a stranger", attrs(signThr, 1, revokeThr, 1), []signer{person(6)}, command.XCP_RSC_SKI_NOT_FOUND),
		imprint("leaving with revocation threshold 0", attrs(signThr, 2), quorum, command.XCP_RSC_IMPR_REVOKE_ZERO),
		imprint("leaving with signature threshold 0", attrs(revokeThr, 1), nil, command.XCP_RSC_IMPRINT_EXIT_INVD),
		imprint("leaving with a signature threshold above the administrators", attrs(signThr, 3, revokeThr, 1), quorum, command.XCP_RSC_IMPR_TOOMANY_SIGNERS),
		imprint("leaving with a revocation threshold above the administrators", attrs(signThr, 2, revokeThr, 9), quorum, command.XCP_RSC_IMPR_TOOMANY_REVOKERS),
		imprint("leaving with threshold 1 while giving up single sign", attrs(signThr, 1, revokeThr, 2, perms, initial&^command.XCP_ADMP_1SIGN), quorum, command.XCP_RSC_CHG_SIGNERS_TO_ONE_NO_1SIGN),
		imprint("setting a permission in imprint mode", attrs(perms, initial|command.XCP_ADMP_WK_RANDOM), nil, 0),
		imprint("an empty list", nil, nil, command.XCP_RSC_ATTRS_FMT),
		imprint("half a pair", []byte{0, 0, 0, 1}, nil, command.XCP_RSC_ATTRS_FMT),
		imprint("an unknown attribute", attrs(11, 0), nil, command.XCP_RSC_ATTRS_TYPE_INVALID),
		imprint("attribute 0", attrs(0, 0), nil, command.XCP_RSC_ATTRS_TYPE_INVALID),
		imprint("an attribute twice", append(attrs(perms, 0), attrs(perms, 0)...), nil, command.XCP_RSC_ATTRS_REPEAT),
		imprint("eleven attributes", many, nil, command.XCP_RSC_ATTRS_TOO_MANY),
		imprint("the standards, which are reported only", attrs(uint32(command.XCP_ADMINT_STD), 1), nil, command.XCP_RSC_CHG_READONLY_ATTRS),
		imprint("the mode bit that says operational", attrs(mode, command.XCP_ADMM_CHG_KEYSTR|command.XCP_ADMM_AUTHENTICATED), nil, command.XCP_RSC_CHG_READONLY_ATTRS),
		imprint("a mode bit of cards", attrs(mode, command.XCP_ADMM_CHG_KEYSTR|command.XCP_ADMM_EXTWNG), nil, command.XCP_RSC_ATTRS_TYPE_INVALID),
		imprint("a permission bit of cards", attrs(perms, initial|command.XCP_ADMP_STATE_EXPORT), nil, command.XCP_RSC_ATTRS_TYPE_INVALID),
		later("the mode as it was read", attrs(mode, command.XCP_ADMM_CHG_KEYSTR|command.XCP_ADMM_AUTHENTICATED), 0),
		later("raising a threshold", attrs(signThr, 3), 0),
		later("a threshold of 4 with 3 administrators", attrs(signThr, 4), command.XCP_RSC_IMPR_TOOMANY_SIGNERS),
		later("lowering the signature threshold to 0", attrs(signThr, 0), command.XCP_RSC_LOWERING_SIGNERS_TO_ZERO),
		later("lowering the revocation threshold to 0", attrs(revokeThr, 0), command.XCP_RSC_LOWERING_REVOKERS_TO_ZERO),
		later("lowering both to 0", attrs(signThr, 0, revokeThr, 0), command.XCP_RSC_LOWERING_SIGNERS_TO_ZERO),
		later("lowering to 1 with single sign", attrs(signThr, 1, revokeThr, 1), 0),
		later("revocation threshold 1 without single sign", attrs(revokeThr, 1, perms, initial&^command.XCP_ADMP_1SIGN), command.XCP_RSC_CHG_REVOKERS_TO_ONE_NO_1SIGN),
		after(frozen, later("a frozen permission", attrs(perms, initial&^(command.XCP_ADMP_CHG_WK_RANDOM|changeThresholds)|command.XCP_ADMP_WK_RANDOM), command.XCP_RSC_CHG_PROTECTED_ATTRS)),
		after(frozen, later("a frozen threshold", attrs(signThr, 1), command.XCP_RSC_CHG_PROTECTED_THRESHOLD)),
		after(frozen, later("a change control given back", attrs(perms, initial), command.XCP_RSC_REACTIVATE_RO_ATTRS)),
		later("no classical signatures", attrs(extPerms, command.XCP_ADMP__DEFAULT_EXT01&^command.XCP_ADMP_NQS_ADM_SIGNATURES), command.XCP_RSC_ADM_SIG_POLICY_VIOLATION),
		after(set(extPerms, command.XCP_ADMP__DEFAULT_EXT01&^command.XCP_ADMP_CHG_QS_ADM_SIGNATURES),
			later("frozen kinds of signatures", attrs(extPerms, command.XCP_ADMP__DEFAULT_EXT01&^(command.XCP_ADMP_CHG_QS_ADM_SIGNATURES|command.XCP_ADMP_QS_ADM_SIGNATURES)), command.XCP_RSC_ADM_SIG_CHANGE_PROHIBITED)),
		after(set(mode, 0), later("a frozen key strength", attrs(mode, command.XCP_ADMM_STR_128BIT), command.XCP_RSC_KEY_STRENGTH_CHANGE_PROHIBITED)),
		later("no EC keys while all administrators have them", attrs(keyKinds, command.XCP_ADMK__DEFAULT&^command.XCP_ADMK_KTYPE_ECC), command.XCP_RSC_ADM_KTYPE_POLICY_VIOLATION),
		after(set(keyKinds, command.XCP_ADMK__DEFAULT&^command.XCP_ADMK_CHG_KTYPE_RSA),
			later("frozen key types", attrs(keyKinds, command.XCP_ADMK__DEFAULT&^(command.XCP_ADMK_CHG_KTYPE_RSA|command.XCP_ADMK_KTYPE_RSA)), command.XCP_RSC_ADM_KTYPE_CHANGE_PROHIBITED)),
	})
}

func TestRegisterTransitions(t *testing.T) {
	var vp []byte
	loaded := func(r *rig) { vp = r.load(randomPart(), randomPart()) }
	committed := func(r *rig) {
		loaded(r)
		r.must(commitWK, vp, quorum...)
	}
	active := func(r *rig) { r.active() }
	rotating := func(r *rig) { active(r); committed(r) }
	random := func(r *rig) { r.permit(command.XCP_ADMP_WK_RANDOM) }
	pattern := func(*rig) []byte { return vp }
	row := func(name string, before func(*rig), fn command.Function, payload func(*rig) []byte, by []signer, want command.Reason) step {
		return step{name: name, start: operational, before: before, fn: fn, payload: payload, by: by, want: want}
	}
	steps := []step{
		row("commit by quorum", loaded, commitWK, pattern, quorum, 0),
		row("commit by one of two", loaded, commitWK, pattern, quorum[:1], command.XCP_RSC_SIGS_INSUFFICIENT),
		row("commit of nothing", nil, commitWK, fixed(make([]byte, 32)), quorum, command.XCP_RSC_NEXT_WK_MISSING),
		row("commit of another pattern", loaded, commitWK, fixed(make([]byte, 32)), quorum, command.XCP_RSC_WK_MISMATCH),
		row("commit of half a pattern", loaded, commitWK, func(*rig) []byte { return vp[:16] }, quorum, command.XCP_RSC_WK_MISMATCH),
		row("finalize what is committed", committed, finalizeWK, pattern, quorum[:1], 0),
		row("finalize a rotation", rotating, finalizeWK, pattern, quorum[:1], 0),
		row("finalize unsigned", committed, finalizeWK, pattern, nil, command.XCP_RSC_SIGS_INSUFFICIENT),
		row("finalize what is not committed", loaded, finalizeWK, pattern, quorum, command.XCP_RSC_COMMITTED_WK_MISSING),
		row("finalize nothing", active, finalizeWK, fixed(make([]byte, 32)), quorum, command.XCP_RSC_COMMITTED_WK_MISSING),
		row("finalize another pattern", committed, finalizeWK, fixed(make([]byte, 32)), quorum, command.XCP_RSC_WK_MISMATCH),
		row("clear the new register", loaded, clearNextWK, nil, quorum[:1], 0),
		row("clear the new register after the commit", committed, clearNextWK, nil, quorum[:1], 0),
		row("clear an empty new register", active, clearNextWK, nil, quorum, command.XCP_RSC_NEXT_WK_MISSING),
		row("clear the current register", active, clearWK, nil, quorum[:1], 0),
		row("clear an empty current register", loaded, clearWK, nil, quorum, command.XCP_RSC_WK_MISSING),
		row("clear unsigned", active, clearWK, nil, nil, command.XCP_RSC_SIGS_INSUFFICIENT),
		row("a random key where permitted", random, genWK, nil, quorum, 0),
		row("a random key by default", nil, genWK, nil, quorum, command.XCP_RSC_RANDOM_WK_PROHIBITED),
		row("a random key into a full register", func(r *rig) { random(r); loaded(r) }, genWK, nil, quorum, command.XCP_RSC_WKS_PRESENT),
		row("a random key with a payload", random, genWK, fixed([]byte{1}), quorum, command.XCP_RSC_WK_MISMATCH),
		row("zeroize by one", rotating, command.XCP_ADM_DOM_ZEROIZE, nil, quorum[:1], 0),
		row("zeroize unsigned", rotating, command.XCP_ADM_DOM_ZEROIZE, nil, nil, command.XCP_RSC_SIGS_INSUFFICIENT),
		row("zeroize by one where a quorum is asked for", func(r *rig) {
			r.must(setAttrs, attrs(perms, r.d.s.attributes[command.XCP_ADMINT_PERMS]&^command.XCP_ADMP_ZERO_1SIGN), quorum...)
		}, command.XCP_ADM_DOM_ZEROIZE, nil, quorum[:1], command.XCP_RSC_SIGS_INSUFFICIENT),
		row("re-encrypt towards a committed key", rotating, command.XCP_ADM_REENCRYPT, fixed([]byte("blob")), nil, 0),
		row("re-encrypt before the commit", loaded, command.XCP_ADM_REENCRYPT, fixed([]byte("blob")), nil, command.XCP_RSC_COMMITTED_WK_MISSING),
		row("re-encrypt something else", rotating, command.XCP_ADM_REENCRYPT, fixed([]byte("bad")), nil, command.XCP_RSC_BLOB_REENCRYPT_REJECT),
		row("ask for an empty current register", loaded, command.XCP_ADMQ_WK, nil, nil, command.XCP_RSC_WK_MISSING),
		row("ask for an empty new register", active, command.XCP_ADMQ_NEXT_WK, nil, nil, command.XCP_RSC_NEXT_WK_MISSING),
		row("ask for an importer that is used up", active, command.XCP_ADMQ_DOM_IMPORTER_CERT, nil, nil, command.XCP_RSC_NO_IMPORTER),
	}
	for _, fn := range []command.Function{genImporter, genWK, importWK, commitWK, finalizeWK, clearWK, clearNextWK, setCPs, addCPs, delCPs, exportWK, exportNextWK} {
		s := row(FunctionName(fn)+" in imprint mode", nil, fn, nil, nil, command.XCP_RSC_MODE_IMPRINT)
		s.start = newRig
		steps = append(steps, s)
	}
	runSteps(t, steps)
}

func TestControlPointTransitions(t *testing.T) {
	compatible, strict := command.Profiles["compatible"], command.Profiles["strict"]
	only := func(p ...command.ControlPoint) []byte { s := command.SetOf(p...); return s[:] }
	set := func(s command.ControlPoints) func(*rig) {
		return func(r *rig) { r.must(setCPs, s[:], quorum...) }
	}
	row := func(name string, before func(*rig), fn command.Function, payload []byte, by []signer, want command.Reason) step {
		return step{name: name, start: operational, before: before, fn: fn, payload: fixed(payload), by: by, want: want}
	}
	noAdd := compatible.Minus(command.SetOf(command.XCP_CPB_ADD_CPBS))
	noDelete := strict.Minus(command.SetOf(command.XCP_CPB_DELETE_CPBS))
	runSteps(t, []step{
		row("the strict profile", nil, setCPs, strict[:], quorum, 0),
		row("back to the compatible profile", set(strict), addCPs, compatible[:], quorum, 0),
		row("by one of two", nil, setCPs, strict[:], quorum[:1], command.XCP_RSC_SIGS_INSUFFICIENT),
		row("by one where permitted", func(r *rig) { r.permit(command.XCP_ADMP_CP_1SIGN) }, setCPs, strict[:], quorum[:1], 0),
		row("a set of 8 bytes", nil, setCPs, strict[:8], quorum, command.XCP_RSC_CPS_FMT),
		row("unknown points", nil, addCPs, only(127), quorum, command.XCP_RSC_CP_SET_INVALID),
		row("protected keys, which these units lack", nil, addCPs, only(command.XCP_CPB_CPACF_PK), quorum, command.XCP_RSC_CP_MODE_SET),
		row("curves without elliptic curves", nil, delCPs, only(command.XCP_CPB_ALG_EC), quorum, command.XCP_RSC_CPS_SET_INCONSISTENT),
		row("deleting a point that is off", set(strict), delCPs, only(command.XCP_CPB_ALG_RAW_RSA), quorum, 0),
		row("adding where that is off", set(noAdd), addCPs, only(command.XCP_CPB_ADD_CPBS), quorum, command.XCP_RSC_CPS_PREVENT_ADD),
		row("deleting where that is off", set(noDelete), delCPs, only(command.XCP_CPB_SIGN_ASYMM), quorum, command.XCP_RSC_CPS_PREVENT_DEL),
		row("setting less where that is off", set(noDelete), setCPs, only(command.XCP_CPB_ADD_CPBS), quorum, command.XCP_RSC_CPS_PREVENT_DEL),
	})
}

func TestImporterTypes(t *testing.T) {
	u32 := func(v uint32) func(*rig) []byte { return fixed(binary.BigEndian.AppendUint32(nil, v)) }
	row := func(name string, payload func(*rig) []byte, want command.Reason) step {
		return step{name: name, start: operational, fn: genImporter, payload: payload, by: quorum[:1], want: want}
	}
	runSteps(t, []step{
		row("P-256", u32(2), 0), row("P-521", u32(3), 0), row("P-521 as TKE has it", u32(8), 0),
		row("Brainpool", u32(4), command.XCP_RSC_IMPORTER_INVD_TYPE),
		row("an unknown type", u32(9), command.XCP_RSC_IMPORTER_INVD_TYPE),
		row("a type of 1 byte", fixed([]byte{0}), command.XCP_RSC_IMPR_FIELD_SIZE),
	})
}

// parts builds an import's payload step by step.
type parts struct {
	r        *rig
	importer any
	requests []command.PartRequest
	raw      []byte
}

func (p *parts) add(value []byte, by ...signer) *parts {
	if by == nil {
		by = []signer{person(0)}
	}
	p.requests = append(p.requests, p.r.partRequest(p.importer, value, by...))
	return p
}

func (p *parts) payload() []byte {
	out := append([]byte(nil), p.raw...)
	for i := range p.requests {
		out = append(out, p.requests[i].Marshal()...)
	}
	return out
}

func TestImportTransitions(t *testing.T) {
	a, b := randomPart(), randomPart()
	vp := command.Pattern(command.Combine([]ck.Secret{a, b}))
	with := func(part, pattern []byte) []byte { return append(append([]byte(nil), part...), pattern...) }
	ec := command.XCP_IMPRKEY_EC_P256
	// resign rebuilds a part's block with a changed field.
	resign := func(p *parts, i int, change func(*command.Command)) {
		c, err := command.ParseCommand(p.requests[i].Block)
		if err != nil {
			t.Fatal(err)
		}
		change(c)
		p.requests[i].Block = c.Marshal()
		p.requests[i].Signatures = sign(p.requests[i].Block, person(0))
	}
	fields := func(f ...any) []byte {
		der, err := asn1.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	id := []byte{0, 0x29, 0, 12}
	for _, row := range []struct {
		name string
		kind command.ImporterType
		make func(*parts)
		want command.Reason
	}{
		{"two parts", ec, func(p *parts) { p.add(a).add(b) }, 0},
		{"two parts to an RSA importer", command.XCP_IMPRKEY_RSA_2048, func(p *parts) { p.add(a).add(b) }, 0},
		{"three parts, signed by different administrators", ec, func(p *parts) { p.add(a, person(0)).add(b, person(1)).add(randomPart(), person(2)) }, 0},
		{"parts that carry the pattern", ec, func(p *parts) { p.add(with(a, vp)).add(with(b, vp)) }, 0},
		{"no parts", ec, func(*parts) {}, command.XCP_RSC_NO_KEYPARTS},
		{"one part", ec, func(p *parts) { p.add(a) }, command.XCP_RSC_IMPR_SINGLE_KEYPART},
		{"one part where permitted", ec, func(p *parts) { p.r.permit(command.XCP_ADMP_WK_1PART); p.add(a) }, 0},
		{"twenty-one parts", ec, func(p *parts) {
			for range 21 {
				p.add(a)
			}
		}, command.XCP_RSC_IMPR_MANY_KEYPARTS},
		{"a part twice", ec, func(p *parts) { p.add(a).add(b).add(a) }, command.XCP_RSC_IMPR_KEYPARTS_CONFLICT},
		{"parts that cancel out", ec, func(p *parts) { p.add(a).add(b).add(command.Combine([]ck.Secret{a, b})) }, command.XCP_RSC_IMPR_KEYPARTS_CONFLICT},
		{"only one part carries the pattern", ec, func(p *parts) { p.add(with(a, vp)).add(b) }, command.XCP_RSC_RCPTINFO_KEY_MIXMODE},
		{"parts of two ceremonies", ec, func(p *parts) { p.add(with(a, vp)).add(with(b, command.Pattern(a))) }, command.XCP_RSC_RCPTINFO_KEY_VPS_DIFF},
		{"parts that make another key", ec, func(p *parts) { p.add(with(a, vp)).add(with(randomPart(), vp)) }, command.XCP_RSC_RCPTINFO_KEY_VPS_MISMATCH},
		{"a part of 40 bytes", ec, func(p *parts) { p.add(a).add(make([]byte, 40)) }, command.XCP_RSC_RCPTINFO_KEY_SIZE},
		{"a part for the importer before", ec, func(p *parts) { p.add(a).add(b); p.r.ceremony(ec) }, command.XCP_RSC_TCTR_VALUE},
		{"a part for the importer before, signed anew", ec, func(p *parts) {
			old := p.importer
			p.r.ceremony(ec)
			p.importer = old
			p.add(a).add(b)
		}, command.XCP_RSC_NO_IMPORTER},
		{"a part numbered after the import", ec, func(p *parts) {
			p.add(a).add(b)
			resign(p, 1, func(c *command.Command) { c.Counter[15] += 5 })
		}, command.XCP_RSC_TCTR_VALUE},
		{"a part without signature", ec, func(p *parts) { p.add(a).add(b); p.requests[1].Signatures = nil }, command.XCP_RSC_IMPR_NO_INT_SIGNATURE},
		{"a part signed by a stranger", ec, func(p *parts) { p.add(a).add(b, person(7)) }, command.XCP_RSC_SKI_NOT_FOUND},
		{"a part altered after signing", ec, func(p *parts) { p.add(a).add(b); p.requests[1].Block = p.requests[0].Block }, command.XCP_RSC_SIGS_REJECTED},
		{"a part for another domain", ec, func(p *parts) { p.add(a).add(b); p.requests[1].Domain = 3 }, command.XCP_RSC_IMPR_DOMAIN_DIFF},
		{"a part whose block is for another life", ec, func(p *parts) {
			p.add(a).add(b)
			resign(p, 1, func(c *command.Command) { c.Domain[7]++ })
		}, command.XCP_RSC_DOMAIN_INST_MISMATCH},
		{"a part whose block is another command", ec, func(p *parts) {
			p.add(a).add(b)
			resign(p, 1, func(c *command.Command) { c.Function = commitWK })
		}, command.XCP_RSC_CMD_EMBEDDED_FN},
		{"a part whose block is broken", ec, func(p *parts) { p.add(a).add(b); p.requests[1].Block = []byte{1} }, command.XCP_RSC_IMPR_BAD_CMDBLK_BER},
		{"a part without block", ec, func(p *parts) { p.add(a).add(b); p.requests[1].Block = nil }, command.XCP_RSC_IMPR_NO_INT_CMDBLK},
		{"a list that is no DER", ec, func(p *parts) { p.raw = []byte{0x30, 0x80} }, command.XCP_RSC_IMPR_CMDBLK_BER},
		{"a request with three fields", ec, func(p *parts) { p.raw = fields(id, []byte{0}, []byte{0}) }, command.XCP_RSC_IMPR_CMDBLK_FIELDCOUNT},
		{"a request with an integer", ec, func(p *parts) { p.raw = fields(id, 5, []byte{0}, []byte{0}) }, command.XCP_RSC_IMPR_CMDBLK_FIELDS},
		{"a request with a short function id", ec, func(p *parts) { p.raw = fields(id[:2], []byte{0}, []byte{0}, []byte{0}) }, command.XCP_RSC_IMPR_EMBEDDED_FN_FMT},
		{"a request for another function", ec, func(p *parts) { p.raw = fields([]byte{0, 0x29, 0, 13}, []byte{0}, []byte{0}, []byte{0}) }, command.XCP_RSC_IMPR_EMBEDDED_FN},
		{"an encrypted part that is no RecipientInfo", ec, func(p *parts) {
			p.add(a).add(b)
			resign(p, 1, func(c *command.Command) { c.Payload = []byte("hello") })
		}, command.XCP_RSC_RCPTINFO_FMT},
		{"an originator key off the curve", ec, func(p *parts) {
			p.add(a).add(b)
			resign(p, 1, func(c *command.Command) { c.Payload[bytes.Index(c.Payload, []byte{0x42, 0, 4})+5] ^= 1 })
		}, command.XCP_RSC_RCPTINFO_ECDH_SRC},
		{"an unknown key derivation", ec, func(p *parts) {
			p.add(a).add(b)
			resign(p, 1, func(c *command.Command) { c.Payload[bytes.Index(c.Payload, []byte{0x2b, 0x81, 4, 1, 11})+5] = 9 })
		}, command.XCP_RSC_RCPTINFO_KDF},
		{"an altered encrypted part", ec, func(p *parts) {
			p.add(a).add(b)
			resign(p, 1, func(c *command.Command) { c.Payload[len(c.Payload)-1] ^= 1 })
		}, command.XCP_RSC_RCPTINFO_ENCRD_SIZE},
		{"import where it is prohibited", ec, func(p *parts) {
			p.add(a).add(b)
			p.r.must(setAttrs, attrs(perms, p.r.d.s.attributes[command.XCP_ADMINT_PERMS]&^command.XCP_ADMP_WK_IMPORT), quorum...)
		}, command.XCP_RSC_IMPORT_WK_PROHIBITED},
		{"import into a full register", ec, func(p *parts) {
			p.r.permit(command.XCP_ADMP_WK_RANDOM)
			p.r.must(genWK, nil, quorum...)
			p.add(a).add(b)
		}, command.XCP_RSC_WKS_PRESENT},
	} {
		t.Run(row.name, func(t *testing.T) {
			step{start: operational, fn: importWK, want: row.want, payload: func(r *rig) []byte {
				p := &parts{r: r, importer: r.ceremony(row.kind)}
				row.make(p)
				return p.payload()
			}}.run(t)
		})
	}
	step{start: operational, fn: importWK, want: command.XCP_RSC_NO_IMPORTER, payload: func(r *rig) []byte {
		pub := r.ceremony(ec)
		p := &parts{r: r, importer: pub}
		p.add(a).add(b)
		r.must(importWK, p.payload())
		r.must(clearNextWK, nil, person(0))
		return p.payload() // the importer was for one import
	}}.run(t)
}

func TestExportAndImportElsewhere(t *testing.T) {
	from, to := operational(t), another(t)
	vp := from.active()
	from.permit(command.XCP_ADMP_WK_EXPORT)
	importer := to.ceremony(command.XCP_IMPRKEY_EC_P521)
	spki := to.must(command.XCP_ADMQ_DOM_IMPORTER_CERT, nil)
	request := command.ExportRequest{Holders: [][]byte{spki, spki, spki}}
	answer, err := command.ParseExport(from.must(exportWK, request.Marshal(), quorum...))
	if err != nil {
		t.Fatal(err)
	}
	_ = importer
	var payload []byte
	for _, sealed := range answer.Holders {
		block := to.cmd(importWK, sealed).Marshal()
		q := command.PartRequest{Block: block, Signatures: sign(block, person(2))}
		payload = append(payload, q.Marshal()...)
	}
	if got := to.must(importWK, payload); !bytes.Equal(got, vp) {
		t.Fatalf("the copy has pattern %x, the original %x", got, vp)
	}
}

func TestExportTransitions(t *testing.T) {
	exporting := func(r *rig) { r.active(); r.permit(command.XCP_ADMP_WK_EXPORT) }
	holders := func(n int) func(*rig) []byte {
		return func(r *rig) []byte {
			r.ceremony(command.XCP_IMPRKEY_EC_P256)
			spki := r.must(command.XCP_ADMQ_DOM_IMPORTER_CERT, nil)
			var e command.ExportRequest
			for range n {
				e.Holders = append(e.Holders, spki)
			}
			return e.Marshal()
		}
	}
	row := func(name string, before func(*rig), fn command.Function, payload func(*rig) []byte, want command.Reason) step {
		return step{name: name, start: operational, before: before, fn: fn, payload: payload, by: quorum, want: want}
	}
	strange := command.ExportRequest{Holders: [][]byte{{1}, {2}}}
	runSteps(t, []step{
		row("two holders", exporting, exportWK, holders(2), 0),
		row("the new key", func(r *rig) { r.load(randomPart(), randomPart()); r.permit(command.XCP_ADMP_WK_EXPORT) }, exportNextWK, holders(2), 0),
		row("not permitted", func(r *rig) { r.active() }, exportWK, holders(2), command.XCP_RSC_EXPORT_WK_PROHIBITED),
		row("one holder", exporting, exportWK, holders(1), command.XCP_RSC_EXPR_SINGLE_KEYPART),
		row("no holder", exporting, exportWK, holders(0), command.XCP_RSC_EXPR_KEYPART_ZEROLIMIT),
		row("too many holders", exporting, exportWK, holders(21), command.XCP_RSC_EXPR_KEYPART_LIMIT),
		row("no public keys", exporting, exportWK, fixed(strange.Marshal()), command.XCP_RSC_EXPR_CERT_INVALID),
		row("no sequence", exporting, exportWK, fixed([]byte{5}), command.XCP_RSC_EXPR_CERT_INVALID),
		row("no current key", nil, exportWK, nil, command.XCP_RSC_WK_MISSING),
		row("no new key", nil, exportNextWK, nil, command.XCP_RSC_NEXT_WK_MISSING),
	})
}

// TestZEveryReasonWasSeen runs last: each reason the sources can give was
// given in one of the tables above, and has words.
func TestZEveryReasonWasSeen(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	more, _ := filepath.Glob("command/*.go")
	used := regexp.MustCompile(`XCP_RSC_[A-Z0-9_]+`)
	names := map[string]command.Reason{}
	for _, r := range command.Reasons() {
		names[r.String()] = r
	}
	for _, f := range append(files, more...) {
		switch filepath.Base(f) {
		case "zconst.go", "reason.go":
			continue
		}
		if ok, _ := filepath.Match("*_test.go", filepath.Base(f)); ok {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range used.FindAllString(string(text), -1) {
			r, ok := names[name]
			if !ok {
				t.Errorf("%s: %s has no meaning in words", f, name)
			} else if !reasonsSeen[r] {
				t.Errorf("%s: no table makes the unit give %s", f, name)
			}
		}
	}
}
