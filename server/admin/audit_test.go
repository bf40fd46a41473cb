package admin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"grep11/server/admin/command"
)

func (r *rig) auditFrom(n uint64) ([]byte, error) {
	r.t.Helper()
	return r.do(command.XCP_ADMQ_AUDIT_STATE, binary.BigEndian.AppendUint64(nil, n))
}

func TestTheAuditLogTellsTheDomainsLife(t *testing.T) {
	r := operational(t)
	vp := r.active()
	r.do(command.XCP_ADM_COMMIT_WK, vp, person(0)) // one signature of two
	b, err := r.auditFrom(1)
	if err != nil {
		t.Fatal(err)
	}
	all, err := VerifyChain(b, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	// startup, 3 administrators, thresholds, importer, import, commit, finalize, refusal
	if len(all) != 10 {
		t.Fatalf("%d records", len(all))
	}
	commit, last := all[7], all[9]
	if commit.Function != command.XCP_ADM_COMMIT_WK || len(commit.Signers) != 2 || !bytes.Equal(commit.Next, vp[:16]) ||
		!bytes.Equal(commit.Signers[0], person(0).ski()[:24]) || commit.Module != r.d.s.module {
		t.Errorf("the commit's record is %+v", commit)
	}
	if last.Event != command.XCP_LOGEV_FAILURE || last.Reason != command.XCP_RSC_SIGS_INSUFFICIENT || !bytes.Equal(last.Current, vp[:16]) {
		t.Errorf("the refusal's record is %+v", last)
	}
	newest := r.must(command.XCP_ADMQ_AUDIT_STATE, nil)
	if got, err := ParseRecord(newest); err != nil || !bytes.Equal(got.After, last.After) {
		t.Errorf("newest record: %v", err)
	}
	r.must(command.XCP_ADM_DOM_ZEROIZE, nil, person(0))
	if got, err := ParseRecord(r.must(command.XCP_ADMQ_AUDIT_STATE, nil)); err != nil || got.Event != command.XCP_LOGSPEV_TRANSACT_ZEROIZE {
		t.Errorf("zeroize is recorded as %+v, %v", got, err)
	}
}

func TestAuditQueriesOutOfRange(t *testing.T) {
	r := operational(t)
	for _, n := range []uint64{0, 1000, 1 << 63} {
		_, err := r.auditFrom(n)
		r.want(err, command.XCP_RSC_AUDIT_QUERY_INVALID_INDEX)
	}
	_, err := r.do(command.XCP_ADMQ_AUDIT_STATE, []byte{1})
	r.want(err, command.XCP_RSC_AUDIT_QUERY_PAYLOAD_SIZE)
}

func TestTamperingWithTheLogShows(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func([]byte) []byte
		ok     bool
	}{
		{"as it was", func(b []byte) []byte { return b }, true},
		{"a bit in the middle", func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, false},
		{"a record cut out", func(b []byte) []byte {
			n := int(binary.BigEndian.Uint16(b[2:]))
			m := int(binary.BigEndian.Uint16(b[n+2:]))
			return append(b[:n:n], b[n+m:]...)
		}, false},
		{"two records missing at the end", func(b []byte) []byte { return b[:len(b)-300] }, false},
		{"half a record at the end", func(b []byte) []byte { return b[:len(b)-5] }, true},
		{"the newest record missing", func(b []byte) []byte {
			at := 0
			for n := 0; at+n < len(b); n = int(binary.BigEndian.Uint16(b[at+2:])) {
				at += n
			}
			return b[:at]
		}, true},
		{"the whole log moved away", func([]byte) []byte { return nil }, true},
		{"another record after the state's newest", func(b []byte) []byte {
			var s state
			r, _ := VerifyChain(b, nil)
			last := r[len(r)-1]
			return append(b, encodeRecord(&s, record{}, last.Sequence+1, last.After, time.Now())...)
		}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := operational(t)
			b, err := os.ReadFile(r.logPath)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(r.logPath, row.change(b), 0o600); err != nil {
				t.Fatal(err)
			}
			err = r.reopen()
			if row.ok != (err == nil) {
				t.Fatalf("start: %v", err)
			}
			if !row.ok && !errors.Is(err, errRecord) && !errors.Is(err, errMismatch) {
				t.Fatal(err)
			}
			if row.ok {
				r.must(command.XCP_ADM_DOM_ADMIN_LOGOUT, person(2).ski(), person(0), person(1))
				if err := r.reopen(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// However long the commands take, no time passes between them.
func TestStrangersCannotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := operational(t)
		records := func(commands int) uint64 {
			before := r.d.s.audit.seq
			for range commands {
				r.do(command.XCP_ADM_COMMIT_WK, nil)
			}
			return r.d.s.audit.seq - before
		}
		if n := records(200); n != refusalBurst {
			t.Errorf("200 refused commands left %d records", n)
		}
		time.Sleep(3 * refusalEvery)
		if n := records(10); n != 3 {
			t.Errorf("10 refused commands later on left %d records", n)
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	s := &state{attributes: defaults()}
	f.Add(encodeRecord(s, record{event: 2, fn: 13, signers: []command.SKI{{1}, {2}}, reason: 21}, 7, make([]byte, 32), time.Unix(1e9, 0)))
	f.Add([]byte{recordType, recordVersion, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err == nil && (r.lenRecord > len(b) || r.Sequence > 1<<48) {
			t.Fatalf("%+v", r)
		}
	})
}
