package soft

import (
	"bytes"
	"context"
	"crypto/des"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// WrapKey exports a key, encrypted.
func (u *Unit) WrapKey(_ context.Context, m mech.Mechanism, blob, kek, mac unit.Blob) ([]byte, error) {
	if e := u.engine(m.Type); e != nil && e.wrap != nil {
		return e.wrap(u, m, blob, kek, mac)
	}
	w, err := u.wrapping(m, kek, unit.BitWrap, ck.CKF_WRAP)
	if err != nil {
		return nil, err
	}
	defer w.kek.release()
	k, err := u.openKey(blob)
	if err != nil {
		return nil, err
	}
	defer k.release()
	if err := w.exports(k); err != nil {
		return nil, err
	}
	if err := u.policy.Load().wraps(w.kek, k); err != nil {
		return nil, err
	}
	if err := w.fits(k.class); err != nil {
		return nil, err
	}
	if k.remote != nil {
		return u.exportRemote(w, k)
	}
	return w.export(k)
}

// export encrypts a key whose value is in memory.
func (w *wrapping) export(k *key) ([]byte, error) {
	clearText, err := k.exported()
	if err != nil {
		return nil, err
	}
	if k.class == ck.CKO_PRIVATE_KEY {
		defer clear(clearText)
	}
	out, err := w.crypt(w.kek, w.mech, mech.OpEncrypt, clearText)
	if ck.RVOf(err) == ck.CKR_DATA_LEN_RANGE {
		return nil, fmt.Errorf("%v: %w", err, ck.CKR_KEY_SIZE_RANGE)
	}
	return out, err
}

// wrapping is a checked key-encryption key.
type wrapping struct {
	kek   *key
	mech  mech.Mechanism
	row   *mech.Row
	crypt cryptFunc
}

func (u *Unit) wrapping(m mech.Mechanism, kek unit.Blob, right unit.Bits, use ck.Flags) (*wrapping, error) {
	e, row, err := u.engineOf(m, use)
	if err != nil {
		return nil, err
	}
	crypt := e.crypt
	if crypt == nil {
		crypt = e.kek
	}
	if crypt == nil {
		return nil, invalidMechanism(m, "neither wraps nor unwraps so")
	}
	k, err := u.openKEK(kek, right)
	if err != nil {
		return nil, err
	}
	err = fmt.Errorf("%v with a key of type %v: %w", m.Type, k.typ, ck.CKR_WRAPPING_KEY_TYPE_INCONSISTENT)
	if row.Allows(k.typ) {
		err = u.may(k, right, m, row)
	}
	if err != nil {
		k.release()
		return nil, err
	}
	return &wrapping{k, m, row, crypt}, nil
}

// openKEK also takes a plain SPKI to wrap with.
func (u *Unit) openKEK(b unit.Blob, right unit.Bits) (*key, error) {
	if spki, ok := b.RawSPKI(); ok && right == unit.BitWrap {
		return u.policy.Load().rawKEK(spki)
	}
	return u.openKey(b)
}

// exports tells whether a key may leave under this one.
func (w *wrapping) exports(k *key) error {
	if k.class == ck.CKO_PUBLIC_KEY {
		return fmt.Errorf("public keys need no wrapping: %w", ck.CKR_KEY_NOT_WRAPPABLE)
	}
	if !k.bits.Has(unit.BitExtractable) {
		return fmt.Errorf("EXTRACTABLE is false: %w", ck.CKR_KEY_UNEXTRACTABLE)
	}
	if k.bits.Has(unit.BitWrapWithTrusted) && !w.kek.bits.Has(unit.BitTrusted) {
		return fmt.Errorf("the wrapping key is not TRUSTED: %w", ck.CKR_KEY_NOT_WRAPPABLE)
	}
	if err := w.kek.mayTake(k); err != nil {
		return err
	}
	if err := w.strongFor(k); err != nil {
		return err
	}
	if (k.bits|w.kek.bits)&unit.BitAttrBound != 0 {
		return fmt.Errorf("attribute-bound keys take CKM_IBM_ATTRIBUTEBOUND_WRAP: %w", ck.CKR_KEY_NOT_WRAPPABLE)
	}
	return nil
}

// minKEK is the strength in bits that no wrapping key needs more of: what is
// weaker can be searched for, and with it all that it wrapped.
const minKEK = 112

// strongFor refuses a known attack: to wrap a key under one that is easier to find.
func (w *wrapping) strongFor(k *key) error {
	_, kek, err := facts(w.kek)
	if err != nil {
		return err
	}
	if _, strength, err := facts(k); err != nil || kek >= minKEK || kek >= strength {
		return err
	}
	return fmt.Errorf("a wrapping key of %d bits is too weak: %w", kek, ck.CKR_WRAPPING_KEY_SIZE_RANGE)
}

// fits: private keys need a mechanism that takes any length; RSA is too short
// for them (grep11-wire 11.5).
func (w *wrapping) fits(class ck.ObjectClass) error {
	if class == ck.CKO_PRIVATE_KEY && (w.row.Out == mech.OutModulus || w.row.Out == mech.OutSameAsIn) {
		return fmt.Errorf("%v does not wrap private keys: %w", w.mech.Type, ck.CKR_KEY_NOT_WRAPPABLE)
	}
	return nil
}

// exported is what is wrapped: a secret's bytes, a private key's PKCS#8.
func (k *key) exported() ([]byte, error) {
	if k.class == ck.CKO_SECRET_KEY {
		return k.value, nil
	}
	info, err := parseSPKI(k.spki)
	if err != nil {
		return nil, err
	}
	return info.family.pkcs8(k, info)
}

// UnwrapKey imports a key.
func (u *Unit) UnwrapKey(_ context.Context, m mech.Mechanism, wrapped []byte, kek, mac unit.Blob, t ck.Template) (unit.Key, error) {
	if e := u.engine(m.Type); e != nil && e.unwrap != nil {
		return e.unwrap(u, m, wrapped, kek, mac, t)
	}
	w, err := u.wrapping(m, kek, unit.BitUnwrap, ck.CKF_UNWRAP)
	if err != nil {
		return unit.Key{}, err
	}
	defer w.kek.release()
	if t, err = w.kek.fixes(ck.CKA_UNWRAP_TEMPLATE, t); err != nil {
		return unit.Key{}, err
	}
	r, err := readUnwrap(t)
	if err != nil {
		return unit.Key{}, err
	}
	if w.kek.bits.Has(unit.BitAttrBound) {
		return unit.Key{}, fmt.Errorf("attribute-bound keys take CKM_IBM_ATTRIBUTEBOUND_WRAP: %w", ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID)
	}
	if err := w.fits(r.class); err != nil {
		return unit.Key{}, fmt.Errorf("%v: %w", err, ck.CKR_WRAPPED_KEY_INVALID)
	}
	if err := w.mayShow(r); err != nil {
		return unit.Key{}, err
	}
	if u.dev != nil {
		return u.importRemote(w, r, wrapped)
	}
	plain, err := w.decrypt(wrapped, r)
	if err != nil {
		return unit.Key{}, err
	}
	defer clear(plain)
	return u.imported(r, plain)
}

// mayShow refuses a known attack: to wrap a sensitive key, and to unwrap it as
// one whose value may be read. What a key unwraps that can wrap, or may be given
// that right, may be such a key. What comes under one that never could is known
// to whoever encrypted it. (RSA keys wrap with their public half, which anybody
// may bring: against them the means are CKA_WRAP_WITH_TRUSTED and templates.)
func (w *wrapping) mayShow(r *request) error {
	shown, err := r.readSensitive(0)
	if err != nil || !shown.Has(unit.BitInsensitive) || w.kek.class != ck.CKO_SECRET_KEY {
		return err
	}
	if w.kek.bits&(unit.BitWrap|unit.BitModifiable) != 0 {
		return fmt.Errorf("CKA_SENSITIVE false under a key that can wrap: %w", ck.CKR_TEMPLATE_INCONSISTENT)
	}
	return nil
}

// readUnwrap settles class and type: without CLASS a key is secret if its type
// is a secret one, and private otherwise (grep11-wire 8.3).
func readUnwrap(t ck.Template) (*request, error) {
	typ, ok, err := t.Ulong(ck.CKA_KEY_TYPE)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%v is missing: %w", ck.CKA_KEY_TYPE, ck.CKR_TEMPLATE_INCOMPLETE)
	}
	class := ck.ObjectClass(ck.CKO_PRIVATE_KEY)
	if isSecretType(ck.KeyType(typ)) {
		class = ck.CKO_SECRET_KEY
	}
	return readRequest(t, class)
}

func isSecretType(t ck.KeyType) bool { return secretLens[t] != nil || hasType(hmacTypes, t) }

// unwrapCodes: what decryption's errors are called when a key is unwrapped.
var unwrapCodes = map[ck.RV]ck.RV{
	ck.CKR_ENCRYPTED_DATA_INVALID:   ck.CKR_WRAPPED_KEY_INVALID,
	ck.CKR_ENCRYPTED_DATA_LEN_RANGE: ck.CKR_WRAPPED_KEY_LEN_RANGE,
	ck.CKR_DATA_INVALID:             ck.CKR_WRAPPED_KEY_INVALID,
}

func (w *wrapping) decrypt(wrapped []byte, r *request) ([]byte, error) {
	plain, err := w.open(wrapped, r)
	if code, ok := unwrapCodes[ck.RVOf(err)]; err != nil && ok {
		return nil, fmt.Errorf("%v: %w", err, code)
	}
	return plain, err
}

func (w *wrapping) open(wrapped []byte, r *request) ([]byte, error) {
	if w.mech.Type == ck.CKM_RSA_PKCS {
		if n, ok := r.knownLen(); ok {
			return unwrapPKCS1(w.kek, wrapped, n)
		}
	}
	return w.crypt(w.kek, w.mech, mech.OpDecrypt, wrapped)
}

// knownLen is how long a secret key must be, where type or template say so.
func (r *request) knownLen() (int, bool) {
	if lens := secretLens[r.typ]; len(lens) == 1 {
		return int(lens[0]), true
	}
	n, ok, err := r.Ulong(ck.CKA_VALUE_LEN)
	if err != nil || !ok || checkSecretLen(r.typ, n) != nil {
		return 0, false
	}
	return int(n), true
}

// imported makes a key of an unwrapped value.
func (u *Unit) imported(r *request, plain []byte) (unit.Key, error) {
	if r.class == ck.CKO_PRIVATE_KEY {
		return u.importedPrivate(r, plain)
	}
	k := &key{typ: r.typ, gen: notGenerated, value: append(ck.Secret(nil), plain...)}
	if err := r.cut(k); err != nil {
		return unit.Key{}, err
	}
	if err := k.take(r, 0); err != nil {
		return unit.Key{}, err
	}
	return u.answer(k, k.checkSum())
}

// cut brings an unwrapped secret to the length that VALUE_LEN gives (PKCS#11
// unwraps with unpadded modes so), and checks it.
func (r *request) cut(k *key) error {
	n, ok, err := r.Ulong(ck.CKA_VALUE_LEN)
	if err != nil {
		return err
	}
	if ok && n > 0 && (secretLens[k.typ] == nil || k.typ == ck.CKK_AES) {
		if n > uint64(len(k.value)) || checkSecretLen(k.typ, n) != nil {
			return fmt.Errorf("VALUE_LEN %d of an unwrapped %v key of %d bytes: %w", n, k.typ, len(k.value), ck.CKR_WRAPPED_KEY_LEN_RANGE)
		}
		k.value = k.value[:n]
	}
	if err := checkSecretLen(k.typ, uint64(len(k.value))); err != nil {
		return fmt.Errorf("%v: %w", err, ck.CKR_WRAPPED_KEY_INVALID)
	}
	if k.typ != ck.CKK_DES2 && k.typ != ck.CKK_DES3 {
		return nil
	}
	oddParity(k.value)
	return apart(k.value)
}

// apart refuses a known attack: to put a DES key together of parts of a wrapped
// one, so that two of its keys undo each other and the third can be searched for.
func apart(value ck.Secret) error {
	const size = des.BlockSize
	same := 0
	for at := size; at < len(value); at += size {
		same |= subtle.ConstantTimeCompare(value[at-size:at], value[at:at+size])
	}
	if same != 0 {
		return fmt.Errorf("two neighbours of the DES keys are the same: %w", ck.CKR_WRAPPED_KEY_INVALID)
	}
	return nil
}

// checkSum of an unwrapped or derived secret: check value and length in bits
// (grep11-wire 10.4).
func (k *key) checkSum() []byte {
	return binary.BigEndian.AppendUint32(k.checkValue(), uint32(8*k.size()))
}

// maxFill is what HSMs fill up to a block.
const maxFill = 15

// unfilledKey takes the zeros off that some HSMs fill a private key with before they
// wrap it, by RFC 5649, too.
func unfilledKey(plain []byte) []byte {
	rest, der := cryptobyte.String(plain), cryptobyte.String(nil)
	if !rest.ReadASN1Element(&der, asn1.SEQUENCE) || len(rest) > maxFill || len(bytes.Trim(rest, "\x00")) > 0 {
		return plain
	}
	return der
}

func (u *Unit) importedPrivate(r *request, plain []byte) (unit.Key, error) {
	value, info, err := importPKCS8(unfilledKey(plain))
	if err != nil {
		return unit.Key{}, err
	}
	if err := r.wantPrivate(info); err != nil {
		return unit.Key{}, err
	}
	return u.answerPrivate(r, info, &key{typ: info.family.typ, gen: notGenerated, value: value, spki: info.spki})
}

// wantPrivate compares a template with the key that was unwrapped.
func (r *request) wantPrivate(info *publicInfo) error {
	if err := r.want(info.family.typ, ck.CKK_EC); err != nil || r.typ == ck.CKK_EC && info.curve == nil {
		return fmt.Errorf("template says %v, the key is %v: %w", r.typ, info.family.typ, ck.CKR_TEMPLATE_INCONSISTENT)
	}
	return nil
}

// answerPrivate gives an unwrapped private key.
func (u *Unit) answerPrivate(r *request, info *publicInfo, k *key) (unit.Key, error) {
	if err := k.take(r, 0); err != nil {
		return unit.Key{}, err
	}
	wk, err := u.sealing()
	if err != nil {
		return unit.Key{}, err
	}
	sum, err := wk.SealPublic(unit.Public{SPKI: k.spki, Gen: notGenerated})
	if err != nil {
		return unit.Key{}, err
	}
	return u.answer(k, binary.BigEndian.AppendUint32(sum, uint32(info.bits())))
}

// transport makes a public blob of a plain SPKI; there is no KEK.
func transport(u *Unit, m mech.Mechanism, spki []byte, _, _ unit.Blob, t ck.Template) (unit.Key, error) {
	if _, _, err := u.engineOf(m, ck.CKF_UNWRAP); err != nil {
		return unit.Key{}, err
	}
	r, err := readRequest(t, ck.CKO_PUBLIC_KEY)
	if err != nil {
		return unit.Key{}, err
	}
	info, err := importSPKI(spki)
	if err != nil {
		return unit.Key{}, fmt.Errorf("%v: %w", err, ck.CKR_WRAPPED_KEY_INVALID)
	}
	k := &key{typ: info.family.typ, gen: notGenerated, spki: append([]byte(nil), info.spki...)}
	if err := k.take(r, info.family.public); err != nil {
		return unit.Key{}, err
	}
	return u.answer(k, binary.BigEndian.AppendUint32(append([]byte(nil), info.spki...), uint32(info.bits())))
}

// bits is the size of a public key as checksums give it.
func (info *publicInfo) bits() int {
	if info.curve != nil {
		return info.curve.bits
	}
	if t := info.family.attributes(info); t.Has(ck.CKA_MODULUS_BITS) {
		n, _, _ := t.Ulong(ck.CKA_MODULUS_BITS)
		return int(n)
	}
	return 8 * len(info.key)
}

// rawPublic is a plain SPKI to verify with.
func rawPublic(spki []byte) (*key, error) {
	info, err := importSPKI(spki)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, ck.CKR_IBM_BLOB_ERROR)
	}
	return &key{class: ck.CKO_PUBLIC_KEY, typ: info.family.typ, bits: unit.BitVerify, gen: notGenerated, spki: info.spki}, nil
}

func init() { provide(engine{unwrap: transport}, ck.CKM_IBM_TRANSPORTKEY) }
