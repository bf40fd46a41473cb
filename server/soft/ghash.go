package soft

import (
	"encoding/binary"
	"math/bits"
)

// ghash is GCM's hash (SP 800-38D 6.4), multiplying in constant time with
// ordinary multiplications whose carries fall into bits that are masked off.
type ghash struct {
	h0, h1 uint64 // the hash key, low and high half
	y0, y1 uint64
	part   [16]byte
	n      int // bytes in part
}

func newGHASH(h [16]byte) ghash {
	return ghash{h1: binary.BigEndian.Uint64(h[:]), h0: binary.BigEndian.Uint64(h[8:])}
}

func (g *ghash) write(b []byte) {
	if g.n > 0 {
		n := copy(g.part[g.n:], b)
		g.n, b = g.n+n, b[n:]
		if g.n < len(g.part) {
			return
		}
		g.block(g.part[:])
	}
	for ; len(b) >= 16; b = b[16:] {
		g.block(b)
	}
	g.n = copy(g.part[:], b)
}

// fill completes a part block with zeros.
func (g *ghash) fill() {
	if g.n > 0 {
		clear(g.part[g.n:])
		g.block(g.part[:])
		g.n = 0
	}
}

// sum ends with the block of both lengths, given in bytes.
func (g *ghash) sum(lenAAD, lenData uint64) (out [16]byte) {
	g.fill()
	var lens [16]byte
	binary.BigEndian.PutUint64(lens[:], 8*lenAAD)
	binary.BigEndian.PutUint64(lens[8:], 8*lenData)
	g.block(lens[:])
	binary.BigEndian.PutUint64(out[:], g.y1)
	binary.BigEndian.PutUint64(out[8:], g.y0)
	return out
}

// block multiplies by the hash key: Karatsuba's three products of 64 bits, each
// once as they are and once reversed for its upper half, then the reduction
// modulo x^128 + x^7 + x^2 + x + 1 in GCM's reflected order.
func (g *ghash) block(b []byte) {
	y1, y0 := g.y1^binary.BigEndian.Uint64(b), g.y0^binary.BigEndian.Uint64(b[8:])
	y0r, y1r := bits.Reverse64(y0), bits.Reverse64(y1)
	h0r, h1r := bits.Reverse64(g.h0), bits.Reverse64(g.h1)
	lo, hi := carryless(y0, g.h0), carryless(y1, g.h1)
	mid := carryless(y0^y1, g.h0^g.h1) ^ lo ^ hi
	loR, hiR := carryless(y0r, h0r), carryless(y1r, h1r)
	midR := carryless(y0r^y1r, h0r^h1r) ^ loR ^ hiR
	v0, v1 := lo, bits.Reverse64(loR)>>1^mid
	v2, v3 := hi^bits.Reverse64(midR)>>1, bits.Reverse64(hiR)>>1
	v3, v2, v1, v0 = v3<<1|v2>>63, v2<<1|v1>>63, v1<<1|v0>>63, v0<<1
	v2 ^= v0 ^ v0>>1 ^ v0>>2 ^ v0>>7
	v1 ^= v0<<63 ^ v0<<62 ^ v0<<57
	v3 ^= v1 ^ v1>>1 ^ v1>>2 ^ v1>>7
	v2 ^= v1<<63 ^ v1<<62 ^ v1<<57
	g.y0, g.y1 = v2, v3
}

// carryless is the low half of a product of polynomials over GF(2).
func carryless(x, y uint64) (z uint64) {
	const every4th = 0x1111111111111111
	var xs, ys [4]uint64
	for i := range 4 {
		xs[i], ys[i] = x&(every4th<<i), y&(every4th<<i)
	}
	for i := range 4 {
		z |= (xs[0]*ys[i] ^ xs[1]*ys[(i+3)%4] ^ xs[2]*ys[(i+2)%4] ^ xs[3]*ys[(i+1)%4]) & (every4th << i)
	}
	return z
}

func (g *ghash) save(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, g.y1)
	b = binary.BigEndian.AppendUint64(b, g.y0)
	return append(b, g.part[:g.n]...)
}

func (g *ghash) load(b []byte) error {
	if len(b) < 16 || len(b) >= 32 {
		return errState
	}
	g.y1, g.y0 = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	g.n = copy(g.part[:], b[16:])
	return nil
}
