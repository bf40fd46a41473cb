package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	"grep11/grep11client/extpb"
	"grep11/pkcs11/ck"
)

// The file starts with magic; then come records, each a length and a CRC-32C of
// the serialised StoreRecord, 4 bytes big-endian each, and the record. What a
// crash left of an unfinished record does not match and is cut off by the next
// writer.
const (
	magic     = "grep11 store 1\n\x00"
	lenHead   = 8
	maxRecord = 64 << 20
	// compactAbove is the file size from which a log that is mostly outdated is
	// written anew.
	compactAbove = 1 << 20

	lockPause    = 2 * time.Millisecond
	lockPatience = 5 * time.Second // with a writer that does not go on
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// log is the open file. Its owner serialises all calls.
type log struct {
	path string
	file *os.File
	read int64 // how far records were applied
}

func fault(what string, err error) error {
	return fmt.Errorf("local store: %s: %v: %w", what, err, ck.CKR_DEVICE_ERROR)
}

// refresh applies what was written since the last time, by anybody. replaced
// is called first where another file has taken this one's place.
func (l *log) refresh(replaced func(), apply func(*extpb.StoreRecord)) error {
	now, err := os.Stat(l.path)
	if errors.Is(err, os.ErrNotExist) && l.file == nil {
		return nil // nothing was ever stored
	}
	if err != nil {
		return fault("look", err)
	}
	if l.file != nil {
		had, err := l.file.Stat()
		if err != nil {
			return fault("look", err)
		}
		if os.SameFile(had, now) && had.Size() == l.read {
			return nil
		}
		if !os.SameFile(had, now) || had.Size() < l.read {
			l.close()
		}
	}
	if l.file == nil {
		replaced()
		if err := l.open(); err != nil {
			return err
		}
	}
	return l.replay(apply)
}

func (l *log) open() error {
	f, err := os.OpenFile(l.path, os.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fault("open", err)
	}
	head := make([]byte, len(magic))
	n, err := f.ReadAt(head, 0)
	if n == 0 && errors.Is(err, io.EOF) { // being made
		l.file, l.read = f, 0
		return nil
	}
	if string(head[:n]) != magic {
		_ = f.Close()
		return fault("open", fmt.Errorf("%s is no store", l.path))
	}
	l.file, l.read = f, int64(len(magic))
	return nil
}

func (l *log) close() {
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}

// replay applies whole records from where it stopped.
func (l *log) replay(apply func(*extpb.StoreRecord)) error {
	if l.read == 0 {
		return nil
	}
	r := io.NewSectionReader(l.file, l.read, 1<<62)
	for {
		record, n, err := readRecord(r)
		if err != nil {
			return nil // not finished, by a writer at work or one that died
		}
		l.read += n
		apply(record)
	}
}

func readRecord(r io.Reader) (*extpb.StoreRecord, int64, error) {
	var head [lenHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, 0, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxRecord {
		return nil, 0, io.ErrUnexpectedEOF
	}
	body, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err != nil || len(body) != int(n) || crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return nil, 0, io.ErrUnexpectedEOF
	}
	record := &extpb.StoreRecord{}
	if err := proto.Unmarshal(body, record); err != nil {
		return nil, 0, err
	}
	return record, lenHead + int64(n), nil
}

func appendRecord(to []byte, record *extpb.StoreRecord) ([]byte, error) {
	body, err := proto.Marshal(record)
	if err != nil || len(body) > maxRecord {
		return nil, fmt.Errorf("local store: a change of %d bytes: %w", len(body), ck.CKR_DEVICE_MEMORY)
	}
	to = binary.BigEndian.AppendUint32(to, uint32(len(body)))
	to = binary.BigEndian.AppendUint32(to, crc32.Checksum(body, castagnoli))
	return append(to, body...), nil
}

// exclusively runs f while no other process writes. The lock is on the store
// itself, so that who may write it may lock it, and counts only while the store
// has not been replaced.
func (l *log) exclusively(f func() error) error {
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return fault("make the folder", err)
	}
	for giveUp := time.Now().Add(lockPatience); ; time.Sleep(lockPause) {
		store, err := os.OpenFile(l.path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
		if err != nil {
			return fault("open", err)
		}
		switch err := lock(store); {
		case err == nil && l.isAt(store):
			defer l.unlock(store)
			return f()
		case err != nil && !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(giveUp):
			_ = store.Close()
			return fault("lock", errors.Join(err, errStays))
		}
		_ = store.Close()
	}
}

var errStays = errors.New("another process writes, and does not end")

func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

func (l *log) isAt(f *os.File) bool {
	now, err := os.Stat(l.path)
	had, failed := f.Stat()
	return err == nil && failed == nil && os.SameFile(had, now)
}

// unlock says so: closing would not do while a forked child has the file, too.
// A store that replaced this one was locked before it was there.
func (l *log) unlock(store *os.File) {
	for _, f := range []*os.File{store, l.file} {
		if f != nil {
			_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
		}
	}
	_ = store.Close()
}

// add writes a record behind the last whole one. Caller holds the lock and has
// refreshed. When it returns without error the record stays, whatever happens.
func (l *log) add(record *extpb.StoreRecord) error {
	var data []byte
	if l.read == 0 {
		data = []byte(magic)
		defer syncFolder(l.path)
	}
	data, err := appendRecord(data, record)
	if err != nil {
		return err
	}
	if err := l.file.Truncate(l.read); err != nil {
		return fault("write", err)
	}
	if _, err = l.file.WriteAt(data, l.read); err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		_ = l.file.Truncate(l.read)
		return fault("write", err)
	}
	l.read += int64(len(data))
	return nil
}

// replace writes the file anew, with one record. Caller holds the lock.
func (l *log) replace(record *extpb.StoreRecord) error {
	data, err := appendRecord([]byte(magic), record)
	if err != nil {
		return err
	}
	fresh := l.path + ".new"
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return fault("write anew", err)
	}
	l.share(f)
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = lock(f)
	}
	if err == nil {
		err = os.Rename(fresh, l.path)
	}
	if err != nil {
		_ = f.Close()
		return fault("write anew", err)
	}
	syncFolder(l.path)
	l.close()
	l.file, l.read = f, int64(len(data))
	return nil
}

// share gives a file that is to replace the store the store's owner, group and
// mode: an administrator has let somebody use it.
func (l *log) share(beside *os.File) {
	store, err := os.Stat(l.path)
	if err != nil {
		return // not made yet
	}
	now, err := beside.Stat()
	owner, ok := store.Sys().(*syscall.Stat_t)
	if err != nil || !ok {
		return
	}
	if has, ok := now.Sys().(*syscall.Stat_t); ok && (has.Uid != owner.Uid || has.Gid != owner.Gid) {
		if beside.Chown(int(owner.Uid), int(owner.Gid)) != nil {
			_ = beside.Chown(-1, int(owner.Gid)) // a member of the group may
		}
	}
	if now.Mode().Perm() != store.Mode().Perm() {
		_ = beside.Chmod(store.Mode().Perm())
	}
}

func syncFolder(path string) {
	if d, err := os.Open(filepath.Dir(path)); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
