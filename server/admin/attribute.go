package admin

import (
	"grep11/server/admin/command"
)

// attribute is the rule of one attribute: which bits a domain has, which of them may
// be set by command, which other bits say that they may still be changed, and
// the reason for refusing when they may not.
type attribute struct {
	initial  uint32
	writable uint32
	control  []guard
	frozen   command.Reason
}

// guard: bits may be changed while the control bit is on.
type guard struct{ bits, control uint32 }

// permissions are those of a domain, each with its change control.
var permissions = []guard{
	{command.XCP_ADMP_WK_IMPORT, command.XCP_ADMP_CHG_WK_IMPORT},
	{command.XCP_ADMP_WK_EXPORT, command.XCP_ADMP_CHG_WK_EXPORT},
	{command.XCP_ADMP_WK_1PART, command.XCP_ADMP_CHG_WK_1PART},
	{command.XCP_ADMP_WK_RANDOM, command.XCP_ADMP_CHG_WK_RANDOM},
	{command.XCP_ADMP_1SIGN, command.XCP_ADMP_CHG_1SIGN},
	{command.XCP_ADMP_CP_1SIGN, command.XCP_ADMP_CHG_CP_1SIGN},
	{command.XCP_ADMP_ZERO_1SIGN, command.XCP_ADMP_CHG_ZERO_1SIGN},
	// Without card administrators this one changes nothing; tools set it all the same.
	{command.XCP_ADMP_DO_NOT_DISTURB, command.XCP_ADMP_CHG_DO_NOT_DISTURB},
}

const (
	changeThresholds = command.XCP_ADMP_CHG_SIGN_THR | command.XCP_ADMP_CHG_REVOKE_THR
	strengths        = command.XCP_ADMM_STR_112BIT | command.XCP_ADMM_STR_128BIT | command.XCP_ADMM_STR_160BIT |
		command.XCP_ADMM_STR_192BIT | command.XCP_ADMM_STR_256BIT
)

// sixteen guards bits 0 to 15 by bits 16 to 31.
func sixteen(all uint32) []guard {
	var g []guard
	for bit := uint32(1); bit < 1<<16; bit <<= 1 {
		if all&bit != 0 {
			g = append(g, guard{bit, bit << 16})
		}
	}
	return g
}

var attributes = map[command.AttributeIndex]attribute{
	command.XCP_ADMINT_SIGN_THR:   {writable: 0xFFFFFFFF},
	command.XCP_ADMINT_REVOKE_THR: {writable: 0xFFFFFFFF},
	command.XCP_ADMINT_PERMS: {
		initial:  command.XCP_ADMP_WK_IMPORT | command.XCP_ADMP_1SIGN | command.XCP_ADMP_ZERO_1SIGN | changeThresholds | controls(permissions),
		writable: changeThresholds | controls(permissions) | guarded(permissions),
		control:  permissions, frozen: command.XCP_RSC_CHG_PROTECTED_ATTRS,
	},
	command.XCP_ADMINT_MODE: {
		initial:  command.XCP_ADMM_CHG_KEYSTR,
		writable: strengths | command.XCP_ADMM_CHG_KEYSTR,
		control:  []guard{{strengths, command.XCP_ADMM_CHG_KEYSTR}}, frozen: command.XCP_RSC_KEY_STRENGTH_CHANGE_PROHIBITED,
	},
	command.XCP_ADMINT_STD: {},
	command.XCP_ADMINT_PERMS_EXT01: {
		initial:  command.XCP_ADMP__DEFAULT_EXT01,
		writable: command.XCP_ADMP__DEFAULT_EXT01,
		control:  sixteen(command.XCP_ADMP__PERMS_EXT01), frozen: command.XCP_RSC_ADM_SIG_CHANGE_PROHIBITED,
	},
	command.XCP_ADMINT_GEN_KTYPES: keyTypes(command.XCP_ADMK__DEFAULT, command.XCP_ADMK__ALL),
	command.XCP_ADMINT_ECC_KTYPES: keyTypes(command.XCP_ADME__DEFAULT, command.XCP_ADME__ALL),
	command.XCP_ADMINT_DIL_KTYPES: keyTypes(command.XCP_ADMQ__DEFAULT, command.XCP_ADMQ__ALL),
	command.XCP_ADMINT_ADM_COMPL:  {},
}

func keyTypes(initial, all uint32) attribute {
	return attribute{initial, initial, sixteen(all), command.XCP_RSC_ADM_KTYPE_CHANGE_PROHIBITED}
}

func controls(g []guard) (bits uint32) {
	for _, r := range g {
		bits |= r.control
	}
	return bits
}

func guarded(g []guard) (bits uint32) {
	for _, r := range g {
		bits |= r.bits
	}
	return bits
}

func defaults() command.Attributes {
	a := command.Attributes{}
	for i, r := range attributes {
		a[i] = r.initial
	}
	return a
}

// setAttributes changes those that are listed, all or none. The rules for single bits come
// first, then what must hold of the result.
func setAttributes(x *transition) ([]byte, error) {
	wanted, err := command.ParseAttributes(x.payload)
	if err != nil {
		return nil, err
	}
	before, after := x.attributes, x.state.clone().attributes
	for i := command.AttributeIndex(1); i <= command.XCP_ADMINT_IDX_MAX; i++ {
		value, listed := wanted[i]
		if !listed {
			continue
		}
		if i == command.XCP_ADMINT_MODE { // reported, and sent back by tools as it was read
			value &^= command.XCP_ADMM_AUTHENTICATED & x.reported()[i]
		}
		if err := attributes[i].change(i, before[i], value); err != nil {
			return nil, err
		}
		after[i] = value
	}
	if err := x.thresholds(before, after); err != nil {
		return nil, err
	}
	if err := x.suits(after); err != nil {
		return nil, err
	}
	x.attributes = after
	return x.reported().Marshal(), nil
}

// change tells whether a value may follow another one.
func (r attribute) change(i command.AttributeIndex, before, after uint32) error {
	changed := before ^ after
	switch readonly := uint32(command.XCP_ADMM__READ_ONLY_ATTR); {
	case changed == 0:
		return nil
	case r.writable == 0, i == command.XCP_ADMINT_MODE && changed&readonly != 0:
		return command.Refuse(command.XCP_RSC_CHG_READONLY_ATTRS, "%v", i)
	case changed&^r.writable != 0:
		return command.Refuse(command.XCP_RSC_ATTRS_TYPE_INVALID, "%v: bits %#x", i, changed&^r.writable)
	case i == command.XCP_ADMINT_SIGN_THR || i == command.XCP_ADMINT_REVOKE_THR:
		return nil // numbers, see thresholds
	}
	all := controls(r.control)
	if i == command.XCP_ADMINT_PERMS {
		all |= changeThresholds
	}
	if again := after &^ before & all; again != 0 {
		return command.Refuse(command.XCP_RSC_REACTIVATE_RO_ATTRS, "%v: bits %#x", i, again)
	}
	for _, g := range r.control {
		if changed&g.bits != 0 && before&g.control == 0 {
			return command.Refuse(r.frozen, "%v: bits %#x", i, changed&g.bits)
		}
	}
	return nil
}

// limit is what the rules for the two thresholds differ in.
type limit struct {
	index                           command.AttributeIndex
	control                         uint32
	tooMany, toZero, toOne, leaving command.Reason
}

var limits = []limit{
	{command.XCP_ADMINT_SIGN_THR, command.XCP_ADMP_CHG_SIGN_THR, command.XCP_RSC_IMPR_TOOMANY_SIGNERS,
		command.XCP_RSC_LOWERING_SIGNERS_TO_ZERO, command.XCP_RSC_CHG_SIGNERS_TO_ONE_NO_1SIGN, command.XCP_RSC_IMPRINT_EXIT_INVD},
	{command.XCP_ADMINT_REVOKE_THR, command.XCP_ADMP_CHG_REVOKE_THR, command.XCP_RSC_IMPR_TOOMANY_REVOKERS,
		command.XCP_RSC_LOWERING_REVOKERS_TO_ZERO, command.XCP_RSC_CHG_REVOKERS_TO_ONE_NO_1SIGN, command.XCP_RSC_IMPR_REVOKE_ZERO},
}

// thresholds checks both thresholds as they would be after the command, with
// the permissions as they would be.
func (s *state) thresholds(before, after command.Attributes) error {
	stays := after[command.XCP_ADMINT_SIGN_THR] == 0 && after[command.XCP_ADMINT_REVOKE_THR] == 0
	if s.imprint() && stays {
		return nil
	}
	for _, l := range limits {
		value, perms := after[l.index], after[command.XCP_ADMINT_PERMS]
		switch {
		case value != before[l.index] && before[command.XCP_ADMINT_PERMS]&l.control == 0:
			return command.Refuse(command.XCP_RSC_CHG_PROTECTED_THRESHOLD, "%v", l.index)
		case value == 0 && s.imprint():
			return command.Refuse(l.leaving, "%v", l.index)
		case value == 0:
			return command.Refuse(l.toZero, "%v", l.index)
		case value > uint32(len(s.admins)):
			return command.Refuse(l.tooMany, "%d, with %d administrators", value, len(s.admins))
		case value == 1 && perms&command.XCP_ADMP_1SIGN == 0:
			return command.Refuse(l.toOne, "%v", l.index)
		}
	}
	return nil
}

// suits checks that every administrator there is remains permitted.
func (s *state) suits(after command.Attributes) error {
	if after[command.XCP_ADMINT_PERMS_EXT01]&command.XCP_ADMP_NQS_ADM_SIGNATURES == 0 ||
		after[command.XCP_ADMINT_PERMS_EXT01]&command.XCP_ADMP_NQS_OA_SIGNATURES == 0 {
		return command.Refuse(command.XCP_RSC_ADM_SIG_POLICY_VIOLATION, "")
	}
	for i := range s.admins {
		if err := permits(after, &s.admins[i]); err != nil {
			return err
		}
	}
	return nil
}

// permits tells whether attributes allow an administrator's key.
func permits(a command.Attributes, admin *administrator) error {
	if a[command.XCP_ADMINT_GEN_KTYPES]&admin.kind == 0 ||
		admin.family != 0 && a[command.XCP_ADMINT_ECC_KTYPES]&admin.family == 0 {
		return command.Refuse(command.XCP_RSC_ADM_KTYPE_POLICY_VIOLATION, "%v", admin.ski)
	}
	for _, m := range []struct{ bit, strength uint32 }{
		{command.XCP_ADMM_STR_112BIT, 112}, {command.XCP_ADMM_STR_128BIT, 128}, {command.XCP_ADMM_STR_160BIT, 160},
		{command.XCP_ADMM_STR_192BIT, 192}, {command.XCP_ADMM_STR_256BIT, 256},
	} {
		if a[command.XCP_ADMINT_MODE]&m.bit != 0 && admin.strength < m.strength {
			return command.Refuse(command.XCP_RSC_KEY_STRENGTH_POLICY_VIOLATION, "%v has %d bits of %d", admin.ski, admin.strength, m.strength)
		}
	}
	return nil
}

// compliance bits are on while none of their points are.
var compliance = []struct {
	bit    uint32
	points command.ControlPoints
}{
	{command.XCP_ADMS_FIPS2009, command.SetOf(command.XCP_CPB_ALG_NFIPS2009)},
	{command.XCP_ADMS_BSI2009, command.SetOf(command.XCP_CPB_ALG_NBSI2009)},
	{command.XCP_ADMS_FIPS2011, command.SetOf(command.XCP_CPB_ALG_NFIPS2011)},
	{command.XCP_ADMS_BSI2011, command.SetOf(command.XCP_CPB_ALG_NBSI2011)},
	{command.XCP_ADMS_BSICC2017, command.SetOf(command.XCP_CPB_ALG_NBSI2017)},
	{command.XCP_ADMS_FIPS2021, command.SetOf(command.XCP_CPB_ALG_NFIPS2021)},
	{command.XCP_ADMS_FIPS2024, command.SetOf(command.XCP_CPB_ALG_NFIPS2024)},
}

// reported are the attributes as queries show them: with the read-only parts.
func (s *state) reported() command.Attributes {
	a := s.clone().attributes
	if !s.imprint() {
		a[command.XCP_ADMINT_MODE] |= command.XCP_ADMM_AUTHENTICATED
	}
	for _, c := range compliance {
		if c.points.Minus(s.points) == c.points {
			a[command.XCP_ADMINT_STD] |= c.bit
		}
	}
	return a
}
