package operator

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"grep11/pkcs11/ck"
	"grep11/server/admin/command"
)

// View is a unit's whole state, as its signed answers say.
type View struct {
	Unit           string            `json:"unit"`
	Module         string            `json:"module"`
	Instance       uint32            `json:"instance"`
	State          string            `json:"state"` // imprint, development, operational
	Administrators []Administrator   `json:"administrators"`
	Signatures     uint32            `json:"signature_threshold"`
	Revocations    uint32            `json:"revocation_threshold"`
	Attributes     map[string]uint32 `json:"attributes"`
	ControlPoints  string            `json:"control_points"`
	Profile        string            `json:"profile"`
	Current        Pattern           `json:"current,omitempty"`
	Next           Pattern           `json:"new,omitempty"`
	NextState      string            `json:"new_state"` // empty, uncommitted, committed
}

// Administrator is one key that may sign.
type Administrator struct {
	SKI  string `json:"ski"`
	Name string `json:"name"`
}

// Pattern is a verification pattern in hex.
type Pattern string

func patternOf(b []byte) Pattern { return Pattern(hex.EncodeToString(b)) }

// Bytes of the pattern.
func (p Pattern) Bytes() []byte {
	b, _ := hex.DecodeString(string(p))
	return b
}

// Short is enough to compare by eye: the part that blobs name.
func (p Pattern) Short() string {
	if len(p) > 32 {
		return string(p[:32])
	}
	return string(p)
}

// Look reads a unit's state.
func (u *Unit) Look(ctx context.Context) (*View, error) {
	v := &View{Unit: u.Name}
	for _, read := range []func(context.Context, *View) error{u.lookFlags, u.lookAttributes, u.lookAdmins, u.lookPoints, u.lookKeys} {
		if err := read(ctx, v); err != nil {
			return nil, err
		}
	}
	m, _ := command.ParseModule(u.module)
	v.Module, v.Instance = m.String(), u.domain.Instance
	return v, nil
}

func (u *Unit) lookFlags(ctx context.Context, v *View) error {
	b, err := u.Query(ctx, command.XCP_ADMQ_INTERNAL_STATE, nil)
	if err != nil {
		return err
	}
	if len(b) != 4 {
		return fmt.Errorf("unit %s: state of %d bytes", u.Name, len(b))
	}
	flags := binary.BigEndian.Uint32(b)
	v.State, v.NextState = "imprint", "empty"
	switch {
	case flags&ck.CK_IBM_DOM_IMPRINTED != 0:
		v.State = "operational"
	case flags&ck.CK_IBM_DOM_CURR_WK != 0:
		v.State = "development"
	}
	switch {
	case flags&ck.CK_IBM_DOM_COMMITTED_NWK != 0:
		v.NextState = "committed"
	case flags&ck.CK_IBM_DOM_NEXT_WK != 0:
		v.NextState = "uncommitted"
	}
	return nil
}

func (u *Unit) lookAttributes(ctx context.Context, v *View) error {
	b, err := u.Query(ctx, command.XCP_ADMQ_DOM_ATTRS, nil)
	if err != nil {
		return err
	}
	a, err := command.ParseAttributes(b)
	if err != nil {
		return fmt.Errorf("unit %s: %w", u.Name, err)
	}
	v.Attributes = map[string]uint32{}
	for i, value := range a {
		v.Attributes[i.String()] = value
	}
	v.Signatures, v.Revocations = a[command.XCP_ADMINT_SIGN_THR], a[command.XCP_ADMINT_REVOKE_THR]
	return nil
}

func (u *Unit) lookAdmins(ctx context.Context, v *View) error {
	skis, err := u.Query(ctx, command.XCP_ADMQ_DOMADMIN, nil)
	if err != nil {
		return err
	}
	const n = len(command.SKI{})
	for ; len(skis) >= n; skis = skis[n:] {
		cert, err := u.Query(ctx, command.XCP_ADMQ_DOMADMIN, skis[:n])
		if err != nil {
			return err
		}
		v.Administrators = append(v.Administrators, Administrator{hex.EncodeToString(skis[:n]), CertName(cert)})
	}
	return nil
}

func (u *Unit) lookPoints(ctx context.Context, v *View) error {
	b, err := u.Query(ctx, command.XCP_ADMQ_DOM_CTRLPOINTS, nil)
	if err != nil {
		return err
	}
	s, err := command.ParseControlPoints(b)
	if err != nil {
		return fmt.Errorf("unit %s: %w", u.Name, err)
	}
	v.ControlPoints, v.Profile = s.String(), command.ProfileOf(s)
	return nil
}

func (u *Unit) lookKeys(ctx context.Context, v *View) error {
	for _, r := range []struct {
		fn    command.Function
		empty command.Reason
		into  *Pattern
	}{
		{command.XCP_ADMQ_WK, command.XCP_RSC_WK_MISSING, &v.Current},
		{command.XCP_ADMQ_NEXT_WK, command.XCP_RSC_NEXT_WK_MISSING, &v.Next},
	} {
		b, err := u.Query(ctx, r.fn, nil)
		var refused *command.Refusal
		if errors.As(err, &refused) && refused.Reason == r.empty {
			continue
		}
		if err != nil {
			return err
		}
		*r.into = patternOf(b)
	}
	return nil
}

// has tells whether an administrator's key is known to the unit.
func (v *View) has(ski command.SKI) bool {
	for _, a := range v.Administrators {
		if a.SKI == ski.String() {
			return true
		}
	}
	return false
}

// Difference is one thing that units of one service should have in common and do not.
type Difference struct {
	What   string            `json:"what"`
	Values map[string]string `json:"values"` // by unit
}

func (d Difference) String() string { return fmt.Sprintf("%s differs: %v", d.What, d.Values) }

// aspects are what units of one service have in common.
var aspects = []struct {
	what string
	of   func(*View) string
}{
	{"state", func(v *View) string { return v.State }},
	{"administrators", func(v *View) string { return fmt.Sprint(v.skis()) }},
	{"signature threshold", func(v *View) string { return fmt.Sprint(v.Signatures) }},
	{"revocation threshold", func(v *View) string { return fmt.Sprint(v.Revocations) }},
	{"attributes", func(v *View) string { return fmt.Sprint(v.Attributes) }},
	{"control points", func(v *View) string { return v.ControlPoints }},
	{"current master key", func(v *View) string { return v.Current.orEmpty() }},
	{"new master key", func(v *View) string { return v.Next.orEmpty() }},
	{"state of the new master key", func(v *View) string { return v.NextState }},
}

func (p Pattern) orEmpty() string {
	if p == "" {
		return "(empty)"
	}
	return string(p)
}

// skis are the administrators' identifiers, sorted: their order does not matter.
func (v *View) skis() []string {
	var all []string
	for _, a := range v.Administrators {
		all = append(all, a.SKI)
	}
	slices.Sort(all)
	return all
}

// Compare lists what differs between units.
func Compare(views []*View) []Difference {
	var all []Difference
	for _, a := range aspects {
		d := Difference{What: a.what, Values: map[string]string{}}
		different := false
		for _, v := range views {
			d.Values[v.Unit] = a.of(v)
			different = different || a.of(v) != a.of(views[0])
		}
		if different {
			all = append(all, d)
		}
	}
	return all
}

// NextStep says what the units wait for.
func NextStep(views []*View) string {
	state := func(s string) bool {
		return slices.ContainsFunc(views, func(v *View) bool { return v.State == s || v.NextState == s })
	}
	without := slices.ContainsFunc(views, func(v *View) bool { return v.Current == "" && v.Next == "" })
	switch {
	case state("imprint"):
		return "Next: grep11 unit init, to give the units their administrators."
	case state("uncommitted"):
		return "Next: grep11 unit mk commit, by the quorum."
	case state("committed"):
		return "Next: grep11 unit mk activate (it rewraps stored keys first where a master key is replaced)."
	case without:
		return "Next: grep11 unit mk load, with the key parts of their holders."
	case state("development"):
		return "Development units: in use, owned by nobody. grep11 unit init would give them owners."
	}
	return "The units are in operation."
}
