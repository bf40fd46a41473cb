package operator

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"

	"grep11/server/admin/command"
)

// Send carries a block to a unit and its signed answer back.
type Send func(ctx context.Context, block, signatures []byte) (response, signature []byte, err error)

// Unit is one crypto unit as its administrators reach it.
type Unit struct {
	Name    string
	send    Send
	device  crypto.PublicKey
	module  []byte
	domain  command.Domain
	counter [command.LenCounter]byte
}

// ErrDevice means that an answer is not signed by the unit that was pinned.
var ErrDevice = errors.New("the answer is not signed by the crypto unit's device key")

// Connect asks a unit who it is. pinned is its device certificate as known
// from before; without one, the unit's own is believed and given back to be kept.
func Connect(ctx context.Context, name string, send Send, pinned []byte) (*Unit, []byte, error) {
	u := &Unit{Name: name, send: send}
	block := (&command.Command{Function: command.XCP_ADMQ_DEVICE_CERT}).Marshal()
	response, signature, err := send(ctx, block, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("unit %s: %w", name, err)
	}
	r, err := command.ParseResponse(response)
	if err != nil {
		return nil, nil, fmt.Errorf("unit %s: %w", name, err)
	}
	if err := r.Err(); err != nil {
		return nil, nil, fmt.Errorf("unit %s: %w", name, err)
	}
	if pinned == nil {
		pinned = r.Payload
	}
	cert, err := x509.ParseCertificate(pinned)
	if err != nil {
		return nil, nil, fmt.Errorf("unit %s: device certificate: %w", name, err)
	}
	u.device, u.module = cert.PublicKey, r.Module
	if _, err := u.accept(r.Function, response, signature); err != nil {
		return nil, nil, fmt.Errorf("unit %s: %w; if it was made anew, remove it from the known units", name, err)
	}
	return u, pinned, nil
}

// accept verifies an answer and takes over the counter it states.
func (u *Unit) accept(fn command.Function, response, signature []byte) ([]byte, error) {
	signed, err := command.ParseSignatures(signature)
	if err != nil || len(signed) != 1 || !signed[0].Verify(u.device, response) {
		return nil, ErrDevice
	}
	r, err := command.ParseResponse(response)
	if err != nil {
		return nil, err
	}
	d, ok := command.ParseDomain(r.Domain)
	switch {
	case r.Function != fn || !bytes.Equal(r.Module, u.module) || !ok || len(r.Counter) != len(u.counter):
		return nil, fmt.Errorf("the answer is to another command: %w", ErrDevice)
	case bytes.Compare(r.Counter, u.counter[:]) < 0 && d == u.domain:
		return nil, fmt.Errorf("the answer is an old one: %w", ErrDevice)
	}
	u.domain = d
	copy(u.counter[:], r.Counter)
	return r.Payload, r.Err()
}

// Query reads something; no signature is needed.
func (u *Unit) Query(ctx context.Context, fn command.Function, payload []byte) ([]byte, error) {
	c := command.Command{Function: fn, Module: u.module, Payload: payload}
	response, signature, err := u.send(ctx, c.Marshal(), nil)
	if err != nil {
		return nil, fmt.Errorf("unit %s: %w", u.Name, err)
	}
	out, err := u.accept(fn, response, signature)
	if err != nil {
		return nil, fmt.Errorf("unit %s: %w", u.Name, err)
	}
	return out, nil
}

// Prepare builds the block of a command that comes next, for signing.
func (u *Unit) Prepare(fn command.Function, payload []byte) []byte {
	return (&command.Command{Function: fn, Domain: u.domain.Bytes(), Module: u.module,
		Counter: u.next(), Payload: payload}).Marshal()
}

// next is the counter after the last one the unit stated.
func (u *Unit) next() []byte {
	c := u.counter
	low := binary.BigEndian.Uint64(c[8:]) + 1
	binary.BigEndian.PutUint64(c[8:], low)
	if low == 0 {
		binary.BigEndian.PutUint64(c[:8], binary.BigEndian.Uint64(c[:8])+1)
	}
	return c[:]
}

// Execute runs a command signed by some keys.
func (u *Unit) Execute(ctx context.Context, fn command.Function, payload []byte, by ...*Key) ([]byte, error) {
	block := u.Prepare(fn, payload)
	var signatures []byte
	for _, k := range by {
		s, err := k.Sign(block)
		if err != nil {
			return nil, fmt.Errorf("unit %s: %w", u.Name, err)
		}
		signatures = append(signatures, s...)
	}
	return u.Submit(ctx, fn, block, signatures)
}

// Submit sends a block that was signed elsewhere.
func (u *Unit) Submit(ctx context.Context, fn command.Function, block, signatures []byte) ([]byte, error) {
	response, signature, err := u.send(ctx, block, signatures)
	if err != nil {
		return nil, fmt.Errorf("unit %s: %w", u.Name, err)
	}
	out, err := u.accept(fn, response, signature)
	if err != nil {
		return nil, fmt.Errorf("unit %s: %w", u.Name, err)
	}
	if c, err := command.ParseCommand(block); err != nil || !bytes.Equal(c.Counter, u.counter[:]) {
		return nil, fmt.Errorf("unit %s: the answer is to another command: %w", u.Name, ErrDevice)
	}
	return out, nil
}
