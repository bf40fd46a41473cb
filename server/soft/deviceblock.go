package soft

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"math/bits"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

func init() {
	for _, c := range []struct {
		ecb, cbc, pad ck.MechanismType
	}{
		{ck.CKM_AES_ECB, ck.CKM_AES_CBC, ck.CKM_AES_CBC_PAD},
		{ck.CKM_DES3_ECB, ck.CKM_DES3_CBC, ck.CKM_DES3_CBC_PAD},
	} {
		e := engine{crypt: caught(inOne(blockStreamOf)), stream: caughtStream(blockStreamOf)}
		onDevice(e, []use{{c.ecb, cryptsBoth}}, c.ecb)
		onDevice(e, []use{{c.cbc, cryptsBoth}}, c.cbc, c.pad)
	}
	aesECB := []use{{ck.CKM_AES_ECB, ck.CKF_ENCRYPT}}
	onDevice(engine{crypt: caught(inOne(ctrStreamOf)), stream: caughtStream(ctrStreamOf)}, aesECB, ck.CKM_AES_CTR)
	onDevice(engine{crypt: caught(cryptKW)}, aesECB, ck.CKM_AES_KEY_WRAP)
	onDevice(engine{crypt: caught(cryptKWP)}, aesECB, ck.CKM_AES_KEY_WRAP_KWP)
	onDevice(engine{crypt: remoteGCM, stream: holding(remoteGCM)}, []use{{ck.CKM_AES_GCM, cryptsBoth}}, ck.CKM_AES_GCM)
}

// remoteBlock is the block cipher of a key in a device. The modes over it ask
// the device for many blocks at a time. cipher.Block has no errors: it panics
// with a deviceFailure, which caught and caughtStream turn back.
type remoteBlock struct {
	key      Held
	ecb, cbc ck.MechanismType
	size     int
}

type deviceFailure struct{ error }

func newRemoteBlock(k *key) (cipher.Block, error) {
	if k.typ == ck.CKK_AES {
		return &remoteBlock{k.remote.object(), ck.CKM_AES_ECB, ck.CKM_AES_CBC, aes.BlockSize}, nil
	}
	return &remoteBlock{k.remote.object(), ck.CKM_DES3_ECB, ck.CKM_DES3_CBC, 8}, nil
}

func (b *remoteBlock) BlockSize() int          { return b.size }
func (b *remoteBlock) Encrypt(dst, src []byte) { b.blocks(mech.OpEncrypt, dst, src[:b.size]) }
func (b *remoteBlock) Decrypt(dst, src []byte) { b.blocks(mech.OpDecrypt, dst, src[:b.size]) }

// blocks does whole blocks, each by itself.
func (b *remoteBlock) blocks(op mech.Op, dst, src []byte) {
	b.run(mech.Mechanism{Type: b.ecb}, op, dst, src)
}

func (b *remoteBlock) run(m mech.Mechanism, op mech.Op, dst, src []byte) {
	out, err := b.key.Crypt(m, op, src)
	if err == nil && len(out) != len(src) {
		err = errLengths
	}
	if err != nil {
		panic(deviceFailure{err})
	}
	copy(dst, out)
	clear(out)
}

// remoteCBC is what crypto/cipher takes for CBC over this block.
type remoteCBC struct {
	*remoteBlock
	op mech.Op
	iv mech.IV
}

func (b *remoteBlock) NewCBCEncrypter(iv []byte) cipher.BlockMode {
	return &remoteCBC{b, mech.OpEncrypt, append(mech.IV(nil), iv...)}
}

func (b *remoteBlock) NewCBCDecrypter(iv []byte) cipher.BlockMode {
	return &remoteCBC{b, mech.OpDecrypt, append(mech.IV(nil), iv...)}
}

// CryptBlocks is called once.
func (c *remoteCBC) CryptBlocks(dst, src []byte) {
	if len(src) > 0 {
		c.run(mech.Mechanism{Type: c.cbc, Param: c.iv}, c.op, dst, src)
	}
}

// remoteCTR is the same for counter mode, which runs over encrypted counters.
type remoteCTR struct {
	*remoteBlock
	counter [aes.BlockSize]byte
	left    []byte // keystream not yet used
}

func (b *remoteBlock) NewCTR(iv []byte) cipher.Stream {
	return &remoteCTR{remoteBlock: b, counter: [aes.BlockSize]byte(iv)}
}

func (c *remoteCTR) XORKeyStream(dst, src []byte) {
	if n := len(src) - len(c.left); n > 0 {
		counters := make([]byte, 0, n+aes.BlockSize)
		for ; len(counters) < n; c.next() {
			counters = append(counters, c.counter[:]...)
		}
		c.blocks(mech.OpEncrypt, counters, counters)
		c.left = append(c.left, counters...)
	}
	subtle.XORBytes(dst, src, c.left)
	c.left = c.left[len(src):]
}

func (c *remoteCTR) next() {
	lo, carry := bits.Add64(binary.BigEndian.Uint64(c.counter[8:]), 1, 0)
	binary.BigEndian.PutUint64(c.counter[8:], lo)
	binary.BigEndian.PutUint64(c.counter[:], binary.BigEndian.Uint64(c.counter[:])+carry)
}

// catch turns a deviceFailure into its error.
func catch(err *error) {
	switch f := recover().(type) {
	case nil:
	case deviceFailure:
		*err = f.error
	default:
		panic(f)
	}
}

func caught(f cryptFunc) cryptFunc {
	return func(k *key, m mech.Mechanism, op mech.Op, data []byte) (out []byte, err error) {
		defer catch(&err)
		return f(k, m, op, data)
	}
}

// catching is a stream over a remoteBlock.
type catching struct{ stream }

func (c catching) update(data []byte) (out []byte, err error) {
	defer catch(&err)
	return c.stream.update(data)
}

func (c catching) final() (out []byte, err error) {
	defer catch(&err)
	return c.stream.final()
}

type streamFunc = func(*key, mech.Mechanism, mech.Op) (stream, error)

func caughtStream(f streamFunc) streamFunc {
	return func(k *key, m mech.Mechanism, op mech.Op) (stream, error) {
		s, err := f(k, m, op)
		return catching{s}, err
	}
}

// remoteGCM is the device's own: its hash key stays inside.
func remoteGCM(k *key, m mech.Mechanism, op mech.Op, data []byte) ([]byte, error) {
	p, err := mech.As[*mech.GCM](m)
	if err != nil {
		return nil, err
	}
	if op == mech.OpDecrypt && len(data) < int(p.TagBits/8) {
		return nil, errShortTag(len(data))
	}
	out, err := k.remote.object().Crypt(m, op, data)
	if op == mech.OpDecrypt && badTag[ck.RVOf(err)] && !unit.Faulty(err) {
		return nil, fmt.Errorf("%v: %w", err, errTag)
	}
	return out, err
}

// badTag are the codes that devices have for a wrong tag.
var badTag = map[ck.RV]bool{
	ck.CKR_GENERAL_ERROR: true, ck.CKR_FUNCTION_FAILED: true, ck.CKR_SIGNATURE_INVALID: true, ck.CKR_DATA_INVALID: true,
}
