package operator

import (
	"context"
	"encoding/binary"
	"fmt"

	"grep11/server/admin"
	"grep11/server/admin/command"
)

// Audit reads the unit's audit log from a record on and verifies its chain up
// to the newest record, which the unit states on its own.
func (u *Unit) Audit(ctx context.Context, from uint64, each func(*admin.Record)) error {
	b, err := u.Query(ctx, command.XCP_ADMQ_AUDIT_STATE, nil)
	if err != nil {
		return err
	}
	newest, err := admin.ParseRecord(b)
	if err != nil {
		return fmt.Errorf("unit %s: %w", u.Name, err)
	}
	var after []byte
	for from <= newest.Sequence {
		b, err := u.Query(ctx, command.XCP_ADMQ_AUDIT_STATE, binary.BigEndian.AppendUint64(nil, from))
		if err != nil {
			return err
		}
		records, err := admin.VerifyChain(b, after)
		if err != nil || len(records) == 0 {
			return fmt.Errorf("unit %s: %d records from %d on: %w", u.Name, len(records), from, err)
		}
		for _, r := range records {
			each(r)
		}
		last := records[len(records)-1]
		after, from = last.After, last.Sequence+1
	}
	return nil
}
