package admin

import "grep11/server/admin/command"

func setPoints(x *transition) ([]byte, error) {
	return x.usePoints(func(_, wanted command.ControlPoints) command.ControlPoints { return wanted })
}

func addPoints(x *transition) ([]byte, error) {
	return x.usePoints(command.ControlPoints.Union)
}

func deletePoints(x *transition) ([]byte, error) {
	return x.usePoints(command.ControlPoints.Minus)
}

// usePoints changes the policy as far as its own first two points allow.
func (x *transition) usePoints(combine func(have, given command.ControlPoints) command.ControlPoints) ([]byte, error) {
	given, err := command.ParseControlPoints(x.payload)
	if err != nil {
		return nil, err
	}
	next := combine(x.points, given)
	if on := next.Minus(x.points); !on.Empty() && !x.points.Has(command.XCP_CPB_ADD_CPBS) {
		return nil, command.Refuse(command.XCP_RSC_CPS_PREVENT_ADD, "%v", on.Points())
	}
	if off := x.points.Minus(next); !off.Empty() && !x.points.Has(command.XCP_CPB_DELETE_CPBS) {
		return nil, command.Refuse(command.XCP_RSC_CPS_PREVENT_DEL, "%v", off.Points())
	}
	if err := next.Consistent(); err != nil {
		return nil, err
	}
	x.points = next
	return next[:], nil
}
