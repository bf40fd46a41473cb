package admin

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"grep11/pkcs11/ck"
	"grep11/server/admin/command"
)

// Registers are a unit's master keys, LenKey bytes each or nil for empty.
type Registers struct {
	Current, Next ck.Secret
	Committed     bool // the quorum approved Next
}

func (r Registers) clone() Registers {
	return Registers{bytes.Clone(r.Current), bytes.Clone(r.Next), r.Committed}
}

func (r Registers) equal(o Registers) bool {
	return subtle.ConstantTimeCompare(r.Current, o.Current) == 1 &&
		subtle.ConstantTimeCompare(r.Next, o.Next) == 1 && r.Committed == o.Committed
}

func (r *Registers) wipe() {
	r.Current.Wipe()
	r.Next.Wipe()
}

// state is all a domain keeps. Transitions work on a clone.
type state struct {
	module     command.Module
	domain     command.Domain
	counter    counter
	admins     []administrator
	attributes command.Attributes
	points     command.ControlPoints
	registers  Registers
	origins    [][]byte          // patterns of the parts that made the newest key
	importer   crypto.PrivateKey // nil: none
	ceremony   counter           // counter of the command that made the importer
	device     *ecdsa.PrivateKey // signs responses; survives zeroize
	deviceCert []byte
	audit      chain
}

func (s *state) imprint() bool { return s.attributes[command.XCP_ADMINT_SIGN_THR] == 0 }

func (s *state) has(permission uint32) bool {
	return s.attributes[command.XCP_ADMINT_PERMS]&permission != 0
}

// clone copies what transitions change in place.
func (s *state) clone() *state {
	t := *s
	t.admins = append([]administrator(nil), s.admins...)
	t.attributes = maps.Clone(s.attributes)
	t.registers = s.registers.clone()
	return &t
}

// blank empties everything that belongs to one life of the domain.
func (s *state) blank() {
	s.admins, s.origins, s.importer = nil, nil, nil
	s.attributes = defaults()
	s.points = command.Profiles["compatible"]
	s.registers.wipe()
	s.registers = Registers{}
}

func newState() (*state, error) {
	s := &state{domain: command.Domain{Instance: 1}, module: command.Module{Instance: 1}}
	if _, err := rand.Read(s.module.Serial[:]); err != nil {
		return nil, err
	}
	s.blank()
	return s, s.makeDevice()
}

// stored is the form of a state inside the sealed file, version 1.
type stored struct {
	Version    int
	Module     []byte
	Domain     []byte
	Counter    []byte
	Admins     [][]byte
	Attributes command.Attributes
	Points     []byte
	Current    []byte   `json:",omitempty"`
	Next       []byte   `json:",omitempty"`
	Committed  bool     `json:",omitempty"`
	Origins    [][]byte `json:",omitempty"`
	Importer   []byte   `json:",omitempty"`
	Ceremony   []byte   `json:",omitempty"`
	Device     []byte
	DeviceCert []byte
	AuditSeq   uint64
	AuditLast  []byte
}

const storedVersion = 1

// marshal gives the bytes to seal: they hold the master keys in the clear.
func (s *state) marshal() ([]byte, error) {
	out := stored{
		Version: storedVersion,
		Module:  s.module.Bytes(), Domain: s.domain.Bytes(), Counter: s.counter[:],
		Attributes: s.attributes, Points: s.points[:],
		Current: s.registers.Current, Next: s.registers.Next, Committed: s.registers.Committed,
		Origins: s.origins, Ceremony: s.ceremony[:], DeviceCert: s.deviceCert,
		AuditSeq: s.audit.seq, AuditLast: s.audit.last,
	}
	for _, a := range s.admins {
		out.Admins = append(out.Admins, a.cert)
	}
	var err error
	if out.Device, err = x509.MarshalPKCS8PrivateKey(s.device); err != nil {
		return nil, err
	}
	if s.importer != nil {
		if out.Importer, err = x509.MarshalPKCS8PrivateKey(s.importer); err != nil {
			return nil, err
		}
	}
	return json.Marshal(out)
}

var errState = errors.New("the unit's administration state is damaged")

// parseState is marshal's reverse. The file is authenticated by its seal, so
// errors mean a program's mistake or another version's file.
func parseState(b []byte) (*state, error) {
	var in stored
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("%w: %v", errState, err)
	}
	if in.Version != storedVersion {
		return nil, fmt.Errorf("%w: version %d, this program knows %d", errState, in.Version, storedVersion)
	}
	s := &state{attributes: in.Attributes, origins: in.Origins, deviceCert: in.DeviceCert,
		registers: Registers{in.Current, in.Next, in.Committed}, audit: chain{in.AuditSeq, in.AuditLast}}
	if err := s.fill(&in); err != nil {
		return nil, fmt.Errorf("%w: %v", errState, err)
	}
	return s, nil
}

func (s *state) fill(in *stored) error {
	var okM, okD bool
	s.module, okM = command.ParseModule(in.Module)
	s.domain, okD = command.ParseDomain(in.Domain)
	if !okM || !okD || len(in.Counter) != len(s.counter) || len(in.Ceremony) != len(s.ceremony) ||
		len(in.Attributes) != len(attributes) || !lenKeyOrNone(in.Current) || !lenKeyOrNone(in.Next) || len(in.Points) != len(s.points) {
		return errors.New("a field has the wrong length")
	}
	copy(s.counter[:], in.Counter)
	copy(s.ceremony[:], in.Ceremony)
	copy(s.points[:], in.Points)
	for _, der := range in.Admins {
		a, err := parseAdministrator(der)
		if err != nil {
			return err
		}
		s.admins = append(s.admins, a)
	}
	return s.fillKeys(in)
}

func (s *state) fillKeys(in *stored) error {
	device, err := x509.ParsePKCS8PrivateKey(in.Device)
	if err != nil {
		return fmt.Errorf("device key: %w", err)
	}
	var ok bool
	if s.device, ok = device.(*ecdsa.PrivateKey); !ok || s.device.Curve != elliptic.P256() {
		return errors.New("device key: not P-256")
	}
	if in.Importer == nil {
		return nil
	}
	if s.importer, err = x509.ParsePKCS8PrivateKey(in.Importer); err != nil {
		return fmt.Errorf("importer key: %w", err)
	}
	if k, ok := s.importer.(*ecdsa.PrivateKey); ok {
		var p *ecdh.PrivateKey
		if p, err = k.ECDH(); err != nil {
			return fmt.Errorf("importer key: %w", err)
		}
		s.importer = p
	}
	return nil
}

func lenKeyOrNone(b []byte) bool { return len(b) == 0 || len(b) == command.LenKey }

// DevelopmentKey is the master key in the saved state of a development unit, for a unit that
// joins it; nil for a unit that has owners or no key.
func DevelopmentKey(saved []byte) (ck.Secret, error) {
	s, err := parseState(saved)
	if err != nil {
		return nil, err
	}
	defer s.registers.wipe()
	if !s.imprint() {
		return nil, nil
	}
	return s.registers.clone().Current, nil
}
