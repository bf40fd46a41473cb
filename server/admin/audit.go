package admin

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"grep11/server/admin/command"
)

// chain is the end of the audit log, part of the state: the log's newest record
// is saved together with what it records.
type chain struct {
	seq  uint64
	last []byte
}

// record is what a transition adds to the log.
type record struct {
	event   uint32 // XCP_LOGEV_*
	special uint32 // XCP_LOGSPEV_*, instead of event
	fn      command.Function
	signers []command.SKI
	reason  command.Reason
}

// A record's layout, EP11's, with the optional fields that are used here:
//
//	0x42  version  length(2)  sequence(6)  time(6)  chain before(32)
//	module(16)  audit instance(2)  event(2)  firmware(4)  flags(4)  function(4)  domain(4)
//	[wrapping key id(16)]  [final wrapping key id(16)]  [key records(24 each)]  [reason(4)]
//	chain after(32) = SHA-256 of all before it
//
// Our own reading: special events have event 0xFFFF and their number as the function's
// high half; the wrapping key is the current, the final one the next; key records are the
// first 24 bytes of the SKIs of the first three signers.
const (
	recordType    = 0x42
	recordVersion = 1
	lenHash       = sha256.Size
	lenRecordHead = 16 + lenHash
	lenRecordMin  = lenRecordHead + 36 + lenHash
	lenRecordMax  = lenRecordMin + 16 + 16 + 3*lenKeyRecord + 4
	lenKeyRecord  = 24
	auditInstance = 1
)

var keyRecordFlags = []uint32{command.XCP_LOGFL_KEYREC0_PRESENT, command.XCP_LOGFL_KEYREC1_PRESENT, command.XCP_LOGFL_KEYREC2_PRESENT}

func (x *transition) record(err error) record {
	r := record{event: command.XCP_LOGEV_ADMFUNCTION, fn: x.fn, signers: x.signers}
	if x.fn == command.XCP_ADM_DOM_ZEROIZE && err == nil {
		r.special = command.XCP_LOGSPEV_TRANSACT_ZEROIZE
	}
	var refused *command.Refusal
	if errors.As(err, &refused) {
		r.event, r.reason = command.XCP_LOGEV_FAILURE, refused.Reason
	}
	return r
}

// add appends a record about s, the state after it.
func (c *chain) add(s *state, r record) {
	before := make([]byte, lenHash)
	if c.last != nil {
		copy(before, c.last[len(c.last)-lenHash:])
	}
	c.seq++
	c.last = encodeRecord(s, r, c.seq, before, time.Now())
}

func encodeRecord(s *state, r record, seq uint64, before []byte, now time.Time) []byte {
	b := []byte{recordType, recordVersion, 0, 0}
	b = append(b, u48(seq)...)
	b = append(b, u48(uint64(now.Unix()))...)
	b = append(b, before...)
	b = append(b, s.module.Bytes()...)
	b = binary.BigEndian.AppendUint16(b, auditInstance)
	event, fn := uint16(r.event), uint32(r.fn)
	if r.special != 0 {
		event, fn = 0xFFFF, r.special<<16|fn
	}
	b = binary.BigEndian.AppendUint16(b, event)
	b = binary.BigEndian.AppendUint32(b, recordVersion)
	flags, optional := s.optional(r)
	b = binary.BigEndian.AppendUint32(b, flags)
	b = binary.BigEndian.AppendUint32(b, fn)
	b = binary.BigEndian.AppendUint32(b, s.domain.Index)
	b = append(b, optional...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+lenHash))
	after := sha256.Sum256(b)
	return append(b, after[:]...)
}

// optional gives the fields that flags announce.
func (s *state) optional(r record) (flags uint32, fields []byte) {
	add := func(flag uint32, b []byte) {
		flags |= flag
		fields = append(fields, b...)
	}
	if s.registers.Current != nil {
		add(command.XCP_LOGFL_WK_PRESENT, command.Pattern(s.registers.Current)[:16])
	}
	if s.registers.Next != nil {
		add(command.XCP_LOGFL_FINALWK_PRESENT, command.Pattern(s.registers.Next)[:16])
	}
	for i, ski := range r.signers[:min(len(r.signers), len(keyRecordFlags))] {
		add(keyRecordFlags[i], ski[:lenKeyRecord])
	}
	if r.reason != 0 {
		add(command.XCP_LOGFL_REASON_PRESENT, binary.BigEndian.AppendUint32(nil, uint32(r.reason)))
	}
	return flags, fields
}

// Record is a decoded record.
type Record struct {
	Sequence  uint64
	Time      time.Time
	Event     uint32 // XCP_LOGEV_*, or XCP_LOGSPEV_*
	Function  command.Function
	Module    command.Module
	Domain    uint32
	Current   []byte // 16 bytes, or nil
	Next      []byte
	Signers   [][]byte // their first 24 bytes
	Reason    command.Reason
	Before    []byte
	After     []byte
	lenRecord int
}

var errRecord = errors.New("audit record is damaged")

// ParseRecord decodes the first record in b and checks its own hash.
func ParseRecord(b []byte) (*Record, error) {
	if len(b) < lenRecordMin || b[0] != recordType || b[1] != recordVersion {
		return nil, errRecord
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < lenRecordMin || n > lenRecordMax || n > len(b) {
		return nil, errRecord
	}
	b = b[:n]
	if after := sha256.Sum256(b[:n-lenHash]); [lenHash]byte(b[n-lenHash:]) != after {
		return nil, errRecord
	}
	r := &Record{Sequence: read48(b[4:]), Time: time.Unix(int64(read48(b[10:])), 0).UTC(),
		Before: b[16:lenRecordHead], After: b[n-lenHash:], lenRecord: n}
	return r, r.body(b[lenRecordHead : n-lenHash])
}

func (r *Record) body(b []byte) error {
	r.Module, _ = command.ParseModule(b[:command.LenModule])
	r.Event = uint32(binary.BigEndian.Uint16(b[18:]))
	flags := binary.BigEndian.Uint32(b[24:])
	r.Function = command.Function(binary.BigEndian.Uint32(b[28:]))
	if r.Event == 0xFFFF {
		r.Event = command.XCP_LOGEV_SPEC | uint32(r.Function)>>16
		r.Function &= 0xFFFF
	}
	r.Domain = binary.BigEndian.Uint32(b[32:])
	b = b[36:]
	take := func(flag uint32, n int) []byte {
		if flags&flag == 0 || len(b) < n {
			return nil
		}
		flags &^= flag
		field := b[:n]
		b = b[n:]
		return field
	}
	r.Current = take(command.XCP_LOGFL_WK_PRESENT, 16)
	r.Next = take(command.XCP_LOGFL_FINALWK_PRESENT, 16)
	for _, flag := range keyRecordFlags {
		if s := take(flag, lenKeyRecord); s != nil {
			r.Signers = append(r.Signers, s)
		}
	}
	if v := take(command.XCP_LOGFL_REASON_PRESENT, 4); v != nil {
		r.Reason = command.Reason(binary.BigEndian.Uint32(v))
	}
	if flags != 0 || len(b) != 0 {
		return errRecord
	}
	return nil
}

// VerifyChain decodes consecutive records and checks that each continues
// the one before. after is the chain state they must start from, nil for any.
func VerifyChain(b, after []byte) ([]*Record, error) {
	var all []*Record
	for len(b) > 0 {
		r, err := ParseRecord(b)
		if err != nil {
			return all, fmt.Errorf("record %d of the log: %w", len(all)+1, err)
		}
		if after != nil && string(r.Before) != string(after) ||
			len(all) > 0 && r.Sequence != all[len(all)-1].Sequence+1 {
			return all, fmt.Errorf("record %d does not continue the chain: %w", r.Sequence, errRecord)
		}
		all, after, b = append(all, r), r.After, b[r.lenRecord:]
	}
	return all, nil
}

func u48(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v<<16)[:6] }

func read48(b []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(b))<<32 | uint64(binary.BigEndian.Uint32(b[2:]))
}

// bucket lets a few refusals be recorded at once and then one every ten
// seconds, so that strangers cannot fill the disk. Monotonic time: a clock that jumps
// does not matter.
type bucket struct {
	left float64
	at   time.Time
}

const (
	refusalBurst = 20
	refusalEvery = 10 * time.Second
)

func (b *bucket) take(now time.Time) bool {
	if b.at.IsZero() {
		b.left = refusalBurst
	} else {
		b.left = min(refusalBurst, b.left+float64(now.Sub(b.at))/float64(refusalEvery))
	}
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// recordRefusal records a refused command. Caller holds d.mu.
func (d *Domain) recordRefusal(x *transition, err error) {
	var refused *command.Refusal
	if !errors.As(err, &refused) || !d.refused.take(time.Now()) {
		return
	}
	s := d.s.clone()
	if err := d.adopt(s, x.record(err)); err != nil {
		d.logger().Error("audit of a refused command", "error", err)
	}
}

// What the record is about, in words.
func (r *Record) What() string {
	switch {
	case r.Event == command.XCP_LOGEV_STARTUP:
		return "unit made"
	case FunctionName(r.Function) != "":
		return FunctionName(r.Function)
	}
	return fmt.Sprintf("event %#x, function %#x", r.Event, uint32(r.Function))
}
