package admin

import (
	"bytes"
	"encoding/binary"

	"grep11/server/admin/command"
)

// counter is a transaction counter, a big-endian integer.
type counter [command.LenCounter]byte

func (c counter) after(d counter) bool { return bytes.Compare(c[:], d[:]) > 0 }

// parseCounter accepts what is greater than the last one. A step of 2^64 or more is
// refused too: one command must not use up the numbers of all that follow.
func parseCounter(b []byte, last counter) (counter, error) {
	var c counter
	if len(b) != len(c) {
		return c, command.Refuse(command.XCP_RSC_TCTR_FMT, "%d bytes", len(b))
	}
	copy(c[:], b)
	if !c.after(last) || c.tooFar(last) {
		return c, command.Refuse(command.XCP_RSC_TCTR_VALUE, "counter %x, the last one was %x", c, last)
	}
	return c, nil
}

// tooFar tells whether c - d needs more than 64 bits; c is after d.
func (c counter) tooFar(d counter) bool {
	high := binary.BigEndian.Uint64(c[:8]) - binary.BigEndian.Uint64(d[:8])
	borrow := binary.BigEndian.Uint64(c[8:]) < binary.BigEndian.Uint64(d[8:])
	return high > 1 || high == 1 && !borrow
}
