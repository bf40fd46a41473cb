package soft

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() {
	provide(engine{derive: derive108(func(r *run108) error { return r.counter() })}, ck.CKM_SP800_108_COUNTER_KDF)
	provide(engine{derive: derive108(func(r *run108) error { return r.feedback() })}, ck.CKM_SP800_108_FEEDBACK_KDF)
	provide(engine{derive: derive108(func(r *run108) error { return r.pipeline() })}, ck.CKM_SP800_108_DOUBLE_PIPELINE_KDF)
}

// run108 is one run of a KDF of SP 800-108. PKCS#11 v3.2 §6.42.
type run108 struct {
	*mech.KDF108
	prf  func(data []byte) []byte
	size int // of the PRF's result
	want int // bytes
	out  ck.Secret
}

func bad108(format string, a ...any) error {
	return fmt.Errorf("SP 800-108: %s: %w", fmt.Sprintf(format, a...), ck.CKR_MECHANISM_PARAM_INVALID)
}

func derive108(mode func(*run108) error) deriveFunc {
	return func(_ *Unit, k *key, m mech.Mechanism, _ []byte, t ck.Template) (derived, error) {
		p, err := mech.As[*mech.KDF108](m)
		if err != nil {
			return derived{}, err
		}
		r, err := readRequest(t, ck.CKO_SECRET_KEY)
		if err != nil {
			return derived{}, err
		}
		run := &run108{KDF108: p}
		if err := run.choose(k); err != nil {
			return derived{}, err
		}
		if run.want, err = r.secretLen(run.size); err != nil {
			return derived{}, err
		}
		defer run.out.Wipe()
		if err := mode(run); err != nil {
			return derived{}, err
		}
		return finishSecret(r, run.out[:run.want])
	}
}

// choose makes the PRF of a mechanism: an HMAC, or a CMAC of the key's cipher.
func (r *run108) choose(k *key) error {
	row, err := mech.Lookup(r.PRF)
	if err != nil || row.Use&ck.CKF_SIGN == 0 || row.Param != mech.ParamNone || row.Out != mech.OutHash && row.Out != mech.OutBlock {
		return bad108("%v is no PRF", r.PRF)
	}
	if !row.Allows(k.typ) && k.typ != ck.CKK_CHACHA20 {
		return fmt.Errorf("%v with a key of type %v: %w", r.PRF, k.typ, ck.CKR_KEY_TYPE_INCONSISTENT)
	}
	e := engines[r.PRF]
	m := mech.Mechanism{Type: r.PRF}
	first, err := e.hash(k, m)
	if err != nil {
		return err
	}
	r.size = len(first.Sum(nil))
	r.prf = func(data []byte) []byte {
		h, err := e.hash(k, m)
		if err != nil {
			panic("soft: " + err.Error()) // it worked a moment ago
		}
		h.Write(data)
		return h.Sum(nil)
	}
	return nil
}

// parts puts the data together: iteration is what stands for the iteration
// variable, n the optional counter's value.
func (r *run108) parts(iteration func(mech.KDF108Data) ([]byte, error), n uint64) ([]byte, error) {
	var out []byte
	for _, d := range r.Data {
		var b []byte
		var err error
		switch d.Type {
		case ck.CK_SP800_108_ITERATION_VARIABLE:
			b, err = iteration(d)
		case ck.CK_SP800_108_OPTIONAL_COUNTER:
			if n > 0 {
				b, err = number108(n, d, 32)
			}
		case ck.CK_SP800_108_DKM_LENGTH:
			b, err = r.length(d)
		case ck.CK_SP800_108_BYTE_ARRAY:
			b = d.Bytes
		default:
			err = bad108("data of type %d", d.Type)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
	}
	return out, nil
}

// length is that of the key in bits, or of all whole results of the PRF.
func (r *run108) length(d mech.KDF108Data) ([]byte, error) {
	n := r.want
	switch d.Method {
	case ck.CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS:
	case ck.CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS:
		n = (n + r.size - 1) / r.size * r.size
	default:
		return nil, bad108("length by method %d", d.Method)
	}
	return number108(uint64(8*n), d, 64)
}

// number108 writes a number of d.Bits bits.
func number108(n uint64, d mech.KDF108Data, most uint64) ([]byte, error) {
	if d.Bits < 8 || d.Bits > most || d.Bits%8 != 0 || d.Bits < 64 && n>>d.Bits != 0 {
		return nil, bad108("%d in %d bits", n, d.Bits)
	}
	b := binary.BigEndian.AppendUint64(nil, n)[8-d.Bits/8:]
	if d.LittleEndian {
		for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
	}
	return b, nil
}

// check counts what may be there once.
func (r *run108) check(counterToo bool) error {
	count := map[uint64]int{}
	for _, d := range r.Data {
		count[d.Type]++
	}
	if count[ck.CK_SP800_108_ITERATION_VARIABLE] != 1 || count[ck.CK_SP800_108_DKM_LENGTH] > 1 ||
		count[ck.CK_SP800_108_OPTIONAL_COUNTER] > 1 || count[ck.CK_SP800_108_OPTIONAL_COUNTER] > 0 && !counterToo {
		return bad108("one iteration variable, one length and one counter at most")
	}
	return nil
}

// blocks runs until there is enough; each block is the PRF of what data gives.
func (r *run108) blocks(data func(i uint64) ([]byte, error)) error {
	for i := uint64(1); len(r.out) < r.want; i++ {
		b, err := data(i)
		if err != nil {
			return err
		}
		r.out = append(r.out, r.prf(b)...)
	}
	return nil
}

func (r *run108) counter() error {
	if len(r.IV) > 0 {
		return bad108("counter mode has no IV")
	}
	if err := r.check(false); err != nil {
		return err
	}
	return r.blocks(func(i uint64) ([]byte, error) {
		return r.parts(func(d mech.KDF108Data) ([]byte, error) { return number108(i, d, 32) }, 0)
	})
}

// chained gives the iteration variable of the modes that feed a value back.
func chained(value []byte) func(mech.KDF108Data) ([]byte, error) {
	return func(d mech.KDF108Data) ([]byte, error) {
		if d.Bits != 0 {
			return nil, bad108("the iteration variable is no number in this mode")
		}
		return value, nil
	}
}

func (r *run108) feedback() error {
	if err := r.check(true); err != nil {
		return err
	}
	last := r.IV
	return r.blocks(func(i uint64) ([]byte, error) {
		if len(r.out) > 0 {
			last = r.out[len(r.out)-r.size:]
		}
		return r.parts(chained(last), i)
	})
}

// pipeline: A(0) is the data without iteration variable and counter.
func (r *run108) pipeline() error {
	if len(r.IV) > 0 {
		return bad108("this mode has no IV")
	}
	if err := r.check(true); err != nil {
		return err
	}
	a, err := r.parts(chained(nil), 0)
	if err != nil {
		return err
	}
	return r.blocks(func(i uint64) ([]byte, error) {
		a = r.prf(a)
		return r.parts(chained(bytes.Clone(a)), i)
	})
}
