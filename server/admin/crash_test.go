package admin

import (
	"bytes"
	"os"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/server/admin/command"
)

// A crash can come at three points of a command: before the state is saved, after
// that and before its record is in the log, after both. The unit is started again
// after each; the ceremony goes on as if nothing had been.
func TestACrashAtEveryStepOfACeremony(t *testing.T) {
	a, b := randomPart(), randomPart()
	vp := command.Pattern(command.Combine([]ck.Secret{a, b}))
	strict := command.Profiles["strict"]
	steps := []struct {
		name string
		fn   command.Function
		make func(*rig) []byte
		by   []signer
	}{
		{"add the first administrator", addAdmin, fixed(person(0).cert), nil},
		{"add the second administrator", addAdmin, fixed(person(1).cert), nil},
		{"leave imprint mode", setAttrs, fixed(attrs(signThr, 2, revokeThr, 2)), quorum},
		{"set the policy", setCPs, fixed(strict[:]), quorum},
		{"generate the importer", genImporter, fixed([]byte{0, 0, 0, 3}), quorum[:1]},
		{"import the parts", importWK, func(r *rig) []byte {
			importer, err := command.ParseImporter(r.must(command.XCP_ADMQ_DOM_IMPORTER_CERT, nil))
			if err != nil {
				t.Fatal(err)
			}
			p, q := r.partRequest(importer, a, person(0)), r.partRequest(importer, b, person(1))
			return append(p.Marshal(), q.Marshal()...)
		}, nil},
		{"commit", commitWK, fixed(vp), quorum},
		{"finalize", finalizeWK, fixed(vp), quorum[:1]},
		{"zeroize", command.XCP_ADM_DOM_ZEROIZE, fixed(nil), quorum[:1]},
	}
	r := newRig(t)
	for _, s := range steps {
		payload := s.make(r)
		block := r.cmd(s.fn, payload).Marshal()
		signatures := sign(block, s.by...)
		log, err := os.ReadFile(r.logPath)
		if err != nil {
			t.Fatal(err)
		}
		before := r.snapshot()

		r.saveErr = os.ErrDeadlineExceeded // the process dies before the state is there
		r.send(block, signatures)
		r.saveErr = nil
		if err := r.reopen(); err != nil || r.snapshot() != before {
			t.Fatalf("%s: a crash before the save: %v", s.name, err)
		}
		if _, err := r.send(block, signatures); err != nil {
			t.Fatalf("%s: after the restart: %v", s.name, err)
		}
		after, seq := r.snapshot(), r.d.s.audit.seq
		for _, cut := range [][]byte{log, append(bytes.Clone(log), recordType, recordVersion, 0)} {
			if err := os.WriteFile(r.logPath, cut, 0o600); err != nil { // it dies before the record is, or with some of it
				t.Fatal(err)
			}
			if err := r.reopen(); err != nil || r.snapshot() != after || r.d.log.newest() != seq {
				t.Fatalf("%s: a crash before the record: %v, record %d of %d", s.name, err, r.d.log.newest(), seq)
			}
		}
		_, err = r.send(block, signatures) // the operator, who saw no answer, tries again
		switch want := reasonOf(err); {
		case s.fn == command.XCP_ADM_DOM_ZEROIZE && want != command.XCP_RSC_DOMAIN_INST_MISMATCH,
			s.fn != command.XCP_ADM_DOM_ZEROIZE && want != command.XCP_RSC_TCTR_VALUE:
			t.Fatalf("%s: sent again: %v", s.name, err)
		}
	}
}

// TestAnAuditLogOnAFullDisk: the state goes on by one command at most without its record.
func TestAnAuditLogOnAFullDisk(t *testing.T) {
	r := operational(t)
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	good := r.d.log.f
	r.d.log.f = full
	r.must(genImporter, []byte{0, 0, 0, 2}, person(0))
	_, err = r.do(genImporter, []byte{0, 0, 0, 2}, person(0))
	if ck.RVOf(err) != ck.CKR_DEVICE_MEMORY {
		t.Fatalf("a second command without a log: %v", err)
	}
	r.d.log.f = good
	full.Close()
	r.must(genImporter, []byte{0, 0, 0, 2}, person(0))
	if err := r.reopen(); err != nil {
		t.Fatal(err)
	}
}

func FuzzExecute(f *testing.F) {
	r := &rig{}
	d, err := Create(r.host(), nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	r.d = d
	block := r.cmd(addAdmin, person(0).cert).Marshal()
	f.Add(block, []byte(nil))
	f.Add(r.cmd(setAttrs, attrs(signThr, 1, revokeThr, 1)).Marshal(), sign(block, person(0)))
	f.Add((&command.Command{Function: command.XCP_ADMQ_AUDIT_STATE, Payload: make([]byte, 8)}).Marshal(), []byte(nil))
	f.Fuzz(func(t *testing.T, block, signatures []byte) {
		response, signature, err := d.Execute(t.Context(), block, signatures)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := command.ParseResponse(response); err != nil {
			t.Fatal(err)
		}
		if s, err := command.ParseSignatures(signature); err != nil || !s[0].Verify(&d.s.device.PublicKey, response) {
			t.Fatal("a response that is not signed")
		}
	})
}

func FuzzParseState(f *testing.F) {
	s, err := newState()
	if err != nil {
		f.Fatal(err)
	}
	b, err := s.marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"Version":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		if err != nil {
			return
		}
		if _, err := s.marshal(); err != nil {
			t.Fatal(err)
		}
	})
}
