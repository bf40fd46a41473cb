package keystore

import "grep11/pkcs11/ck"

// nextHandle gives a handle that no object ever had: the one wanted, if it is
// still to come, or the next.
func (t *tx) nextHandle(wanted ck.ObjectHandle) (ck.ObjectHandle, error) {
	if t.next == 0 {
		if err := t.row(`SELECT next_handle FROM service`, nil, (*uint64)(&t.next)); err != nil {
			return 0, err
		}
	}
	h := max(t.next, wanted)
	t.next = h + 1
	return h, nil
}

// keepNext writes down, once for a batch, what nextHandle gave away.
func (t *tx) keepNext() error {
	if t.next == 0 {
		return nil
	}
	_, err := t.exec(`UPDATE service SET next_handle = $1`, uint64(t.next))
	return err
}
