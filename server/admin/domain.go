package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"grep11/pkcs11/ck"
	"grep11/server/admin/command"
)

// Host is what a domain needs of the crypto unit it administers.
type Host struct {
	// Save seals the state and replaces the stored one, durably and as a whole:
	// after an error or a crash either the old or the new one is there.
	Save func(state []byte) error
	// Install takes registers and policy into use. It owns what it is given.
	Install func(Registers, command.ControlPoints)
	// Rewrap seals a key blob under the committed next master key.
	Rewrap func(ctx context.Context, blob []byte) ([]byte, error)
	Log    *slog.Logger
}

// Domain is the administration engine of one crypto unit.
type Domain struct {
	host    Host
	log     *Log       // own lock; nil: records are chained but kept nowhere
	mu      sync.Mutex // held for a whole command
	s       *state     // guarded by mu; never changed, only replaced
	refused bucket     // guarded by mu; how often refusals are recorded
}

// Create makes the domain of a new unit, in imprint mode, and saves it. With a
// master key it is a development unit: see the package's comment.
func Create(h Host, log *Log, development ck.Secret) (*Domain, error) {
	s, err := newState()
	if err != nil {
		return nil, err
	}
	if development != nil {
		s.registers.Current = append(ck.Secret(nil), development...)
	}
	d := &Domain{host: h, log: log, s: s}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d, d.adopt(s, record{event: command.XCP_LOGEV_STARTUP})
}

// Open continues with a saved state and takes its registers into use.
func Open(h Host, log *Log, saved []byte) (*Domain, error) {
	s, err := parseState(saved)
	if err != nil {
		return nil, err
	}
	if err := log.catchUp(&s.audit); err != nil {
		return nil, err
	}
	d := &Domain{host: h, log: log, s: s}
	h.Install(s.registers.clone(), s.points)
	return d, nil
}

// adopt makes s the domain's state: recorded, saved, in use. Caller holds d.mu.
func (d *Domain) adopt(s *state, r record) error {
	if err := d.log.catchUp(&d.s.audit); err != nil {
		return fmt.Errorf("audit log: %w: %w", ck.CKR_DEVICE_MEMORY, err)
	}
	s.audit.add(s, r)
	saved, err := s.marshal()
	if err != nil {
		return fmt.Errorf("%w: %v", ck.CKR_IBM_INTERNAL_ERROR, err)
	}
	defer clear(saved)
	if err := d.host.Save(saved); err != nil {
		return fmt.Errorf("the unit's state was not saved: %w: %w", ck.CKR_DEVICE_MEMORY, err)
	}
	d.install(s)
	if err := d.log.catchUp(&s.audit); err != nil {
		// The state holds its record; the next command or start completes the log.
		d.logger().Error("audit log", "error", err)
	}
	return nil
}

// install takes a saved state into use and forgets the one before. Caller holds d.mu.
func (d *Domain) install(s *state) {
	old := d.s
	d.s = s
	if old == s || !s.registers.equal(old.registers) || s.points != old.points {
		d.host.Install(s.registers.clone(), s.points)
	}
	if old != s {
		old.registers.wipe()
	}
}

// Execute runs a command or query and gives the response block, signed by
// the device key. Refusals are responses too; an error means that the unit
// could not even answer.
func (d *Domain) Execute(ctx context.Context, block, signatures []byte) (response, signature []byte, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fn, payload, err := d.execute(ctx, block, signatures)
	d.logExecuted(ctx, fn, err)
	return d.s.respond(fn, err, payload)
}

// logExecuted writes one line: queries only for those who look closely.
func (d *Domain) logExecuted(ctx context.Context, fn command.Function, err error) {
	level := slog.LevelInfo
	switch {
	case fn.IsQuery():
		level = slog.LevelDebug
	case err != nil:
		level = slog.LevelWarn
	}
	d.logger().Log(ctx, level, "administration", "command", table[fn].name, "number", uint32(fn), "refused", err)
}

// execute is the order in which a command is verified. Caller holds d.mu.
func (d *Domain) execute(ctx context.Context, block, signatures []byte) (command.Function, []byte, error) {
	c, err := command.ParseCommand(block)
	if err != nil {
		return 0, nil, err
	}
	row, ok := table[c.Function]
	if !ok {
		return c.Function, nil, fmt.Errorf("function %#x: %w", uint32(c.Function), ck.CKR_FUNCTION_NOT_SUPPORTED)
	}
	if row.query != nil {
		payload, err := d.query(ctx, row, c)
		return c.Function, payload, err
	}
	x := &transition{state: d.s.clone(), payload: c.Payload, fn: c.Function}
	payload, err := d.command(row, c, x, block, signatures)
	if err != nil {
		x.registers.wipe()
		d.recordRefusal(x, err)
	}
	return c.Function, payload, err
}

func (d *Domain) query(ctx context.Context, row row, c *command.Command) ([]byte, error) {
	if err := d.s.identify(c, true); err != nil {
		return nil, err
	}
	return row.query(ctx, d, c.Payload)
}

func (d *Domain) command(row row, c *command.Command, x *transition, block, signatures []byte) ([]byte, error) {
	signed, err := command.ParseSignatures(signatures)
	if err != nil {
		return nil, err
	}
	if err := d.s.identify(c, false); err != nil {
		return nil, err
	}
	next, err := parseCounter(c.Counter, d.s.counter)
	if err != nil {
		return nil, err
	}
	if x.signers, err = d.s.verify(block, signed, row.need(d.s, c.Payload)); err != nil {
		return nil, err
	}
	if !row.imprint && d.s.imprint() {
		return nil, command.Refuse(command.XCP_RSC_MODE_IMPRINT, "function %d", uint32(c.Function))
	}
	x.counter = next
	payload, err := row.change(x)
	if err != nil {
		return nil, err
	}
	return payload, d.adopt(x.state, x.record(nil))
}

// transition is one command at work on a copy of the state.
type transition struct {
	*state
	fn      command.Function
	payload []byte
	signers []command.SKI
}

// identify checks that a command is for this domain and module in their
// present lives. Queries may leave both open.
func (s *state) identify(c *command.Command, query bool) error {
	if err := s.identifyDomain(c.Domain, query); err != nil {
		return err
	}
	if query && len(c.Module) == 0 {
		return nil
	}
	m, ok := command.ParseModule(c.Module)
	switch {
	case !ok:
		return command.Refuse(command.XCP_RSC_MODULE_INST_FMT, "%d bytes", len(c.Module))
	case m.Serial != s.module.Serial:
		return command.Refuse(command.XCP_RSC_MODULE_SERNO_MISMATCH, "for %v, this is %v", m, s.module)
	case m.Instance != s.module.Instance:
		return command.Refuse(command.XCP_RSC_MODULE_INST_MISMATCH, "for %d, this is %d", m.Instance, s.module.Instance)
	}
	return nil
}

func (s *state) identifyDomain(b []byte, query bool) error {
	if query && len(b) == 0 {
		return nil
	}
	d, ok := command.ParseDomain(b)
	switch {
	case !ok:
		return command.Refuse(command.XCP_RSC_DOMAIN_INST_FMT, "%d bytes", len(b))
	case d.Index != s.domain.Index:
		return command.Refuse(command.XCP_RSC_CMD_DOMAIN_RANGE, "domain %d", d.Index)
	case d.Instance != s.domain.Instance && !(query && d.Instance == 0):
		return command.Refuse(command.XCP_RSC_DOMAIN_INST_MISMATCH, "for %d, this is %d", d.Instance, s.domain.Instance)
	}
	return nil
}

// verify counts the administrators who signed. One signature that is unknown,
// wrong or double spoils the command.
func (s *state) verify(block []byte, signed []command.Signature, need int) ([]command.SKI, error) {
	var who []command.SKI
	seen := map[command.SKI]bool{}
	for i := range signed {
		ski := signed[i].Signer
		at := s.find(ski)
		switch {
		case at < 0:
			return nil, command.Refuse(command.XCP_RSC_SKI_NOT_FOUND, "signer %v", ski)
		case seen[ski]:
			return nil, command.Refuse(command.XCP_RSC_SIGS_REJECTED, "%v signed twice", ski)
		case !s.admins[at].signed(&signed[i], block):
			return nil, command.Refuse(command.XCP_RSC_SIGS_REJECTED, "wrong signature of %v", ski)
		}
		seen[ski] = true
		who = append(who, ski)
	}
	if len(who) < need {
		return nil, command.Refuse(command.XCP_RSC_SIGS_INSUFFICIENT, "%d of %d", len(who), need)
	}
	return who, nil
}

// answer turns an error into a response's return code and payload.
func answer(err error) (ck.RV, []byte) {
	var r *command.Refusal
	if errors.As(err, &r) {
		return r.Reason.RV(), []byte{byte(r.Reason >> 24), byte(r.Reason >> 16), byte(r.Reason >> 8), byte(r.Reason)}
	}
	return ck.RVOf(err), nil
}

func (d *Domain) logger() *slog.Logger {
	if d.host.Log != nil {
		return d.host.Log
	}
	return slog.Default()
}
