// Package archive seals a stream under a passphrase, for files that leave the
// server: backups and moves of key stores. The construction is STREAM (Hoang,
// Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption and its
// Nonce-Reuse Misuse-Resistance, section 7), as the age format has it too.
//
//	magic | salt (16) | chunk | chunk | ...
//
// A chunk is 64 KiB, the last one up to that, sealed with AES-256-GCM under
// argon2id(passphrase, salt). Its nonce is the chunk's number (11 bytes,
// big-endian) and 1 for the last chunk, 0 for others; its additional data are
// magic and salt. So chunks cannot be moved, repeated, cut off or added.
package archive

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/argon2"

	"grep11/pkcs11/ck"
)

const (
	magic    = "grep11 archive 1\n"
	lenSalt  = 16
	lenHead  = len(magic) + lenSalt
	lenChunk = 64 << 10
	lenTag   = 16

	kdfPasses = 3
	kdfMemory = 64 << 10 // KiB

	// MinPassphrase is the shortest passphrase, in bytes.
	MinPassphrase = 8
)

// sealing is the state that both directions share.
type sealing struct {
	aead  cipher.AEAD
	head  []byte
	chunk uint64
}

func newSealing(head []byte, passphrase ck.Secret) (sealing, error) {
	key := argon2.IDKey(passphrase, head[len(magic):], kdfPasses, kdfMemory, 1, 32)
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealing{}, err
	}
	aead, err := cipher.NewGCM(block)
	return sealing{aead: aead, head: head}, err
}

// nonce of the next chunk.
func (s *sealing) nonce(last bool) []byte {
	n := make([]byte, 12)
	binary.BigEndian.PutUint64(n[3:11], s.chunk)
	if last {
		n[11] = 1
	}
	s.chunk++
	return n
}

// Writer seals what is written to it. Close writes the last chunk, without
// which the archive cannot be read.
type Writer struct {
	sealing
	w   io.Writer
	buf []byte
}

func NewWriter(w io.Writer, passphrase ck.Secret) (*Writer, error) {
	if len(passphrase) < MinPassphrase {
		return nil, fmt.Errorf("the passphrase has %d bytes: at least %d are needed", len(passphrase), MinPassphrase)
	}
	head := append([]byte(magic), make([]byte, lenSalt)...)
	rand.Read(head[len(magic):])
	s, err := newSealing(head, passphrase)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(head)
	return &Writer{sealing: s, w: w, buf: make([]byte, 0, lenChunk+lenTag)}, err
}

func (w *Writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if len(w.buf) == lenChunk { // only now is it known not to be the last
			if err := w.flush(false); err != nil {
				return n, err
			}
		}
		k := copy(w.buf[len(w.buf):lenChunk], p)
		w.buf, p, n = w.buf[:len(w.buf)+k], p[k:], n+k
	}
	return n, nil
}

func (w *Writer) flush(last bool) error {
	_, err := w.w.Write(w.aead.Seal(w.buf[:0], w.nonce(last), w.buf, w.head))
	w.buf = w.buf[:0]
	return err
}

// Close ends the archive. It does not close what is below.
func (w *Writer) Close() error { return w.flush(true) }

// ErrDamaged is about an archive that is not as it was written.
var ErrDamaged = errors.New("the archive is damaged or cut short")

// Reader opens an archive. What it gives was sealed under the passphrase, in
// this place; the end of the archive is io.EOF, anything else is an error.
type Reader struct {
	sealing
	r     *bufio.Reader
	chunk []byte // sealed
	rest  []byte // of the opened chunk
	last  bool
}

func NewReader(r io.Reader, passphrase ck.Secret) (*Reader, error) {
	head := make([]byte, lenHead)
	if _, err := io.ReadFull(r, head); err != nil || string(head[:len(magic)]) != magic {
		return nil, errors.New("the file is no archive of a key store")
	}
	s, err := newSealing(head, passphrase)
	if err != nil {
		return nil, err
	}
	out := &Reader{sealing: s, r: bufio.NewReader(r), chunk: make([]byte, lenChunk+lenTag)}
	if err := out.open(); err != nil {
		return nil, errors.New("the passphrase is wrong, or the archive is damaged")
	}
	return out, nil
}

func (r *Reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.last {
			return 0, io.EOF
		}
		if err := r.open(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// open reads the next chunk. It is the last if nothing follows.
func (r *Reader) open() error {
	n, err := io.ReadFull(r.r, r.chunk)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	_, err = r.r.Peek(1)
	r.last = errors.Is(err, io.EOF)
	if err != nil && !r.last {
		return err
	}
	r.rest, err = r.aead.Open(r.chunk[:0], r.nonce(r.last), r.chunk[:n], r.head)
	if err != nil {
		return ErrDamaged
	}
	return nil
}
