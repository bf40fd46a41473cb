package archive

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"grep11/pkcs11/ck"
)

var passphrase = ck.Secret("a good passphrase")

func sealed(t testing.TB, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	for len(plain) > 0 { // in odd pieces
		n := min(len(plain), 10007)
		if _, err := w.Write(plain[:n]); err != nil {
			t.Fatal(err)
		}
		plain = plain[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func opened(b []byte, p ck.Secret) ([]byte, error) {
	r, err := NewReader(bytes.NewReader(b), p)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestEveryLengthComesBack(t *testing.T) {
	for _, n := range []int{0, 1, lenChunk - 1, lenChunk, lenChunk + 1, 2 * lenChunk, 3*lenChunk + 5} {
		plain := bytes.Repeat([]byte("0123456"), n/7+1)[:n]
		got, err := opened(sealed(t, plain), passphrase)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes became %d: %v", n, len(got), err)
		}
	}
}

func TestChangedArchivesAreRefused(t *testing.T) {
	good := sealed(t, make([]byte, 3*lenChunk))
	const sealedChunk = lenChunk + lenTag
	at := func(i int) []byte { return good[lenHead+i*sealedChunk : lenHead+(i+1)*sealedChunk] }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	flip := func(i int) []byte {
		b := bytes.Clone(good)
		b[i] ^= 1
		return b
	}
	for _, test := range []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"another file", bytes.Repeat([]byte("x"), 1000)},
		{"the head alone", good[:lenHead]},
		{"cut in a chunk", good[:len(good)-1]},
		{"cut between chunks", good[:lenHead+2*sealedChunk]},
		{"a byte more", append(bytes.Clone(good), 0)},
		{"a chunk twice", join(good[:lenHead], at(0), at(0), at(1), at(2))},
		{"a chunk less", join(good[:lenHead], at(0), at(2))},
		{"chunks in another order", join(good[:lenHead], at(1), at(0), at(2))},
		{"another magic", flip(0)},
		{"another salt", flip(lenHead - 1)},
		{"a bit of the first chunk", flip(lenHead)},
		{"a bit of the last tag", flip(len(good) - 1)},
	} {
		if _, err := opened(test.b, passphrase); err == nil {
			t.Errorf("%s is taken", test.name)
		}
	}
	if _, err := opened(good, ck.Secret("another passphrase")); err == nil || errors.Is(err, ErrDamaged) {
		t.Error("a wrong passphrase:", err)
	}
	if _, err := NewWriter(io.Discard, ck.Secret("short")); err == nil {
		t.Error("a short passphrase is taken")
	}
}
