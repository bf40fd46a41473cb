package admin

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// Log is the file of the audit records, one after the other. The state holds the newest
// record too, so a log that a crash left one short, or with half a record at its
// end, is completed at the next start. A log that was moved away begins again
// with the state's record; its first record's number shows what is missing.
type Log struct {
	mu      sync.Mutex
	f       *os.File
	first   uint64  // guarded by mu; number of the first record in the file
	offsets []int64 // guarded by mu; of each record, and the end
	last    []byte  // guarded by mu; the newest record
}

// OpenLog opens or makes a log and verifies its chain.
func OpenLog(path string) (*Log, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	l := &Log{f: f, offsets: []int64{0}}
	// The log's lock is the unit's: two processes must not both move its state on.
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("audit log %s: another process uses this crypto unit", path)
	}
	if err := l.scan(); err != nil {
		f.Close()
		return nil, fmt.Errorf("audit log %s: %w", path, err)
	}
	return l, nil
}

// Close closes the file.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	return l.f.Close()
}

// scan reads records until the end, or until half a record that a crash left there.
func (l *Log) scan() error {
	in := bufio.NewReader(l.f)
	for {
		b, _ := in.Peek(lenRecordMax)
		if len(b) == 0 {
			return nil
		}
		r, err := ParseRecord(b)
		if err != nil && len(b) < lenRecordMax {
			return l.f.Truncate(l.end())
		}
		if err != nil {
			return fmt.Errorf("after record %d: %w", l.newest(), err)
		}
		if l.last != nil && !l.continuedBy(r) {
			return fmt.Errorf("record %d does not continue the chain: %w", r.Sequence, errRecord)
		}
		l.took(bytes.Clone(b[:r.lenRecord]), r.Sequence)
		if _, err := in.Discard(r.lenRecord); err != nil {
			return err
		}
	}
}

func (l *Log) end() int64 { return l.offsets[len(l.offsets)-1] }

// newest is the number of the last record, 0 for none.
func (l *Log) newest() uint64 { return l.first + uint64(len(l.offsets)) - 2 }

func (l *Log) took(record []byte, number uint64) {
	if l.last == nil {
		l.first = number
	}
	l.offsets, l.last = append(l.offsets, l.end()+int64(len(record))), record
}

func (l *Log) continuedBy(r *Record) bool {
	return r.Sequence == l.newest()+1 && bytes.Equal(r.Before, l.last[len(l.last)-lenHash:])
}

var errMismatch = errors.New("audit log and unit state do not belong together (one of them was put back?)")

// catchUp brings the log to where the state is, at most one record further:
// every command begins with it.
func (l *Log) catchUp(c *chain) error {
	if l == nil || c.seq == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if bytes.Equal(l.last, c.last) {
		return nil
	}
	r, err := ParseRecord(c.last)
	if err != nil {
		return err
	}
	if l.last != nil && !l.continuedBy(r) {
		return fmt.Errorf("%w: the log ends with record %d, the state with %d", errMismatch, l.newest(), c.seq)
	}
	return l.write(c.last, c.seq)
}

// write puts a record at the log's end, durably. Caller holds l.mu.
func (l *Log) write(record []byte, number uint64) error {
	if _, err := l.f.WriteAt(record, l.end()); err != nil {
		return err
	}
	if err := l.f.Sync(); err != nil {
		return err
	}
	l.took(record, number)
	return nil
}

// read gives records from a number on, whole ones up to limit bytes.
func (l *Log) read(from uint64, limit int64) ([]byte, error) {
	if l == nil {
		return nil, errors.New("the unit keeps no audit log")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil || from < l.first || from > l.newest() {
		return nil, errNoRecord
	}
	i := from - l.first
	to := i + 1
	for to+1 < uint64(len(l.offsets)) && l.offsets[to+1]-l.offsets[i] <= limit {
		to++
	}
	b := make([]byte, l.offsets[to]-l.offsets[i])
	_, err := l.f.ReadAt(b, l.offsets[i])
	return b, err
}

var errNoRecord = errors.New("no such record in the log")
