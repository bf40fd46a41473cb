package admin

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"

	"grep11/pkcs11/ck"
	"grep11/server/admin/command"
)

// queryAdministrators lists SKIs; with an SKI as payload it gives the certificate.
func queryAdministrators(_ context.Context, d *Domain, payload []byte) ([]byte, error) {
	if len(payload) == 0 {
		return d.s.skis(), nil
	}
	i, err := d.s.named(payload)
	if err != nil {
		return nil, err
	}
	return d.s.admins[i].cert, nil
}

func queryDevice(_ context.Context, d *Domain, _ []byte) ([]byte, error) {
	return d.s.deviceCert, nil
}

func queryImporter(_ context.Context, d *Domain, _ []byte) ([]byte, error) {
	if d.s.importer == nil {
		return nil, command.Refuse(command.XCP_RSC_NO_IMPORTER, "")
	}
	return x509.MarshalPKIXPublicKey(command.ImporterPublic(d.s.importer))
}

func queryPoints(_ context.Context, d *Domain, _ []byte) ([]byte, error) {
	return d.s.points[:], nil
}

func queryCurrent(_ context.Context, d *Domain, _ []byte) ([]byte, error) {
	return patternOf(d.s.registers.Current, command.XCP_RSC_WK_MISSING)
}

func queryNext(_ context.Context, d *Domain, _ []byte) ([]byte, error) {
	return patternOf(d.s.registers.Next, command.XCP_RSC_NEXT_WK_MISSING)
}

func patternOf(key ck.Secret, missing command.Reason) ([]byte, error) {
	if key == nil {
		return nil, command.Refuse(missing, "")
	}
	return command.Pattern(key), nil
}

func queryAttributes(_ context.Context, d *Domain, _ []byte) ([]byte, error) {
	return d.s.reported().Marshal(), nil
}

// queryOrigins gives the patterns of the parts of the newest key, 32 bytes each.
func queryOrigins(_ context.Context, d *Domain, _ []byte) ([]byte, error) {
	var out []byte
	for _, o := range d.s.origins {
		out = append(out, o...)
	}
	return out, nil
}

// queryState gives the domain's status flags, CK_IBM_DOM_*, in 4 bytes.
func queryState(_ context.Context, d *Domain, _ []byte) ([]byte, error) {
	return binary.BigEndian.AppendUint32(nil, d.s.flags()), nil
}

func (s *state) flags() (bits uint32) {
	for _, f := range []struct {
		on  bool
		bit uint32
	}{
		{len(s.admins) > 0, ck.CK_IBM_DOM_ADMIND},
		{s.registers.Current != nil, ck.CK_IBM_DOM_CURR_WK},
		{s.registers.Next != nil, ck.CK_IBM_DOM_NEXT_WK},
		{s.registers.Committed, ck.CK_IBM_DOM_COMMITTED_NWK},
		{!s.imprint(), ck.CK_IBM_DOM_IMPRINTED},
		{true, ck.CK_IBM_DOM_IMPRINTS},
	} {
		if f.on {
			bits |= f.bit
		}
	}
	return bits
}

// maxAudit bounds the records of one answer, in bytes.
const maxAudit = 32 << 10

// queryAudit gives the newest record, or those from the number in an 8-byte
// payload on, as many as fit.
func queryAudit(_ context.Context, d *Domain, payload []byte) ([]byte, error) {
	switch {
	case len(payload) == 0:
		return d.s.audit.last, nil
	case len(payload) != 8:
		return nil, command.Refuse(command.XCP_RSC_AUDIT_QUERY_PAYLOAD_SIZE, "%d bytes", len(payload))
	}
	from := binary.BigEndian.Uint64(payload)
	records, err := d.log.read(from, maxAudit)
	if errors.Is(err, errNoRecord) {
		return nil, command.Refuse(command.XCP_RSC_AUDIT_QUERY_INVALID_INDEX, "record %d of %d", from, d.s.audit.seq)
	}
	return records, err
}

// reencrypt seals a blob under the committed new key. It changes nothing in
// the unit, so it needs neither counter nor signatures.
func reencrypt(ctx context.Context, d *Domain, blob []byte) ([]byte, error) {
	if !d.s.registers.Committed {
		return nil, command.Refuse(command.XCP_RSC_COMMITTED_WK_MISSING, "")
	}
	again, err := d.host.Rewrap(ctx, blob)
	if err != nil {
		return nil, command.Refuse(command.XCP_RSC_BLOB_REENCRYPT_REJECT, "%v", err)
	}
	return again, nil
}

// Status is a domain's state as its service shows it, without signature.
type Status struct {
	Module          command.Module
	Domain          command.Domain
	Flags           uint32
	Administrators  int
	Current, Next   []byte // patterns; nil: empty
	NextIsCommitted bool
}

// Status of the domain now.
func (d *Domain) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	st := Status{Module: d.s.module, Domain: d.s.domain, Flags: d.s.flags(),
		Administrators: len(d.s.admins), NextIsCommitted: d.s.registers.Committed}
	st.Current, _ = queryCurrent(context.Background(), d, nil)
	st.Next, _ = queryNext(context.Background(), d, nil)
	return st
}
