package admin

import (
	"crypto/rand"
	"crypto/subtle"

	"grep11/server/admin/command"
)

// generateKey loads a random value, for units that get theirs from no ceremony.
func generateKey(x *transition) ([]byte, error) {
	if !x.has(command.XCP_ADMP_WK_RANDOM) {
		return nil, command.Refuse(command.XCP_RSC_RANDOM_WK_PROHIBITED, "")
	}
	if x.registers.Next != nil {
		return nil, command.Refuse(command.XCP_RSC_WKS_PRESENT, "")
	}
	if len(x.payload) != 0 {
		return nil, command.Refuse(command.XCP_RSC_WK_MISMATCH, "payload of %d bytes, none expected", len(x.payload))
	}
	key := make([]byte, command.LenKey)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	x.registers.Next, x.registers.Committed, x.origins = key, false, nil
	return command.Pattern(key), nil
}

// commitKey approves the new value; committing it again is a no-op.
func commitKey(x *transition) ([]byte, error) {
	if x.registers.Next == nil {
		return nil, command.Refuse(command.XCP_RSC_NEXT_WK_MISSING, "")
	}
	if err := x.approved(); err != nil {
		return nil, err
	}
	x.registers.Committed = true
	return command.Pattern(x.registers.Next), nil
}

// finalizeKey activates the committed value. The old one is destroyed.
func finalizeKey(x *transition) ([]byte, error) {
	if !x.registers.Committed {
		return nil, command.Refuse(command.XCP_RSC_COMMITTED_WK_MISSING, "")
	}
	if err := x.approved(); err != nil {
		return nil, err
	}
	x.registers.Current.Wipe()
	x.registers = Registers{Current: x.registers.Next}
	return command.Pattern(x.registers.Current), nil
}

// approved checks that the payload is the pattern of the new value: what the
// signers saw is what happens.
func (x *transition) approved() error {
	want := command.Pattern(x.registers.Next)
	if subtle.ConstantTimeCompare(x.payload, want) != 1 {
		return command.Refuse(command.XCP_RSC_WK_MISMATCH, "for %x, the register has %x", x.payload, want)
	}
	return nil
}

func clearCurrent(x *transition) ([]byte, error) {
	if x.registers.Current == nil {
		return nil, command.Refuse(command.XCP_RSC_WK_MISSING, "")
	}
	x.registers.Current.Wipe()
	x.registers.Current = nil
	return nil, nil
}

func clearNext(x *transition) ([]byte, error) {
	if x.registers.Next == nil {
		return nil, command.Refuse(command.XCP_RSC_NEXT_WK_MISSING, "")
	}
	x.registers.Next.Wipe()
	x.registers.Next, x.registers.Committed, x.origins = nil, false, nil
	return nil, nil
}

// zeroize starts the domain's next life. The module, its device key and the
// audit chain stay.
func zeroize(x *transition) ([]byte, error) {
	x.blank()
	x.domain.Instance++
	return nil, nil
}
