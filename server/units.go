package server

import (
	"errors"
	"fmt"

	"grep11/server/balancer"
	"grep11/server/unit"
)

// unitKinds opens each kind of unit.
var unitKinds = map[string]func(UnitConfig) (unit.Unit, error){}

func openUnits(configs []UnitConfig) ([]balancer.Member, error) {
	var members []balancer.Member
	for _, c := range configs {
		u, err := unitKinds[c.Kind](c)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("unit %q: %w", c.Name, err), closeUnits(members))
		}
		members = append(members, balancer.Member{Unit: u, Zone: c.Zone, Kind: c.Kind, Concurrency: c.Concurrency})
	}
	return members, nil
}

func closeUnits(members []balancer.Member) error {
	var errs []error
	for _, m := range members {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}
