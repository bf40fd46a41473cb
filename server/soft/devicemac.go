package soft

import (
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// maxMessage bounds what is held in a state until a device gets it as a whole.
const maxMessage = maxHeld

// message is a running operation that keeps all it is given.
type message struct{ held []byte }

func (h *message) Write(p []byte) (int, error) {
	if len(h.held)+len(p) > maxMessage {
		return 0, fmt.Errorf("more than %d bytes in parts, for a mechanism that the HSM does in one: %w", maxMessage, ck.CKR_DATA_LEN_RANGE)
	}
	h.held = append(h.held, p...)
	return len(p), nil
}

func (h *message) Sum(b []byte) []byte            { return append(b, h.held...) }
func (h *message) MarshalBinary() ([]byte, error) { return h.held, nil }
func (h *message) UnmarshalBinary(b []byte) error {
	h.held = append([]byte(nil), b...)
	return nil
}

func heldMessage(*key, mech.Mechanism) (running, error) { return new(message), nil }

// onDeviceMAC has the device make MACs over whole messages.
func onDeviceMAC(t, of ck.MechanismType) {
	if s, ok := sameAs[t]; ok {
		of = s
	}
	row, err := mech.Lookup(of)
	if err != nil {
		panic("soft: " + err.Error())
	}
	onDevice(engine{
		hash: heldMessage,
		sign: func(k *key, _ mech.Mechanism, data []byte) ([]byte, error) {
			var mac []byte
			err := k.remote.withMAC(row, func(h Held, m mech.Mechanism) (err error) {
				mac, err = h.Sign(m, data)
				return err
			})
			return mac, err
		},
		verify: func(k *key, _ mech.Mechanism, data, mac []byte) error {
			if n := macLen(row); len(mac) != n {
				return fmt.Errorf("MAC of %d bytes instead of %d: %w", len(mac), n, ck.CKR_SIGNATURE_LEN_RANGE)
			}
			return k.remote.withMAC(row, func(h Held, m mech.Mechanism) error { return h.Verify(m, data, mac) })
		},
	}, []use{{of, signsAndVerifies}}, t)
}

func macLen(row *mech.Row) int {
	if row.Hash != 0 {
		return row.Hash.Size()
	}
	return row.Block
}

// withMAC gives the key as the device takes it for a mechanism. Some devices take
// no HMAC keys shorter than the hash, or long ones: where keys may pass the
// memory, those are brought to the length of a block, which makes the same MAC
// (RFC 2104 §2).
func (r *remote) withMAC(row *mech.Row, f func(Held, mech.Mechanism) error) error {
	m := mech.Mechanism{Type: row.Type}
	if row.Hash == 0 {
		return f(r.object(), m)
	}
	err := errFilled
	if !r.unit.dev.PadsKeys() || r.size%half == 0 || r.size <= row.Hash.New().BlockSize() {
		err = f(r.as(ck.CKK_GENERIC_SECRET), m)
	}
	if ck.RVOf(err) != ck.CKR_KEY_SIZE_RANGE || !r.unit.inMemory {
		return err
	}
	h, err := r.blockLong(row)
	if err != nil {
		return err
	}
	defer h.Forget()
	return f(h, m)
}

// errFilled: zeros at the end of a key that is longer than a block change its MACs.
var errFilled = fmt.Errorf("the HSM loses the length of the key: %w", ck.CKR_KEY_SIZE_RANGE)

func (r *remote) blockLong(row *mech.Row) (Held, error) {
	value, err := (&key{class: ck.CKO_SECRET_KEY, typ: r.kind.Type, remote: r}).secret(r.unit)
	if err != nil {
		return nil, err
	}
	defer value.Wipe()
	block := make(ck.Secret, row.Hash.New().BlockSize())
	defer block.Wipe()
	if len(value) > len(block) {
		h := row.Hash.New()
		h.Write(value)
		h.Sum(block[:0])
	} else {
		copy(block, value)
	}
	kind := Kind{Class: ck.CKO_SECRET_KEY, Type: ck.CKK_GENERIC_SECRET, Bits: unit.BitSign | unit.BitVerify}
	return r.unit.passIn(block, kind)
}

// cmacOf is the device's CMAC for a key; the vendor's mechanism takes AES and DES.
func cmacOf(k *key) mech.Mechanism {
	if k.typ == ck.CKK_AES {
		return mech.Mechanism{Type: ck.CKM_AES_CMAC}
	}
	return mech.Mechanism{Type: ck.CKM_DES3_CMAC}
}

func signCMAC(k *key, _ mech.Mechanism, data []byte) ([]byte, error) {
	return k.remote.object().Sign(cmacOf(k), data)
}

func verifyCMAC(k *key, _ mech.Mechanism, data, mac []byte) error {
	if n := zeroBlocks[k.typ].len; len(mac) != n {
		return fmt.Errorf("MAC of %d bytes instead of %d: %w", len(mac), n, ck.CKR_SIGNATURE_LEN_RANGE)
	}
	return k.remote.object().Verify(cmacOf(k), data, mac)
}
