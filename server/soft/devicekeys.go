package soft

import (
	"crypto"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// Keys that a device makes.
func init() {
	for t, read := range map[ck.MechanismType]func(*request) (int, error){
		ck.CKM_AES_KEY_GEN:            readAES,
		ck.CKM_DES3_KEY_GEN:           readDES(ck.CKK_DES3, 24),
		ck.CKM_DES2_KEY_GEN:           readDES(ck.CKK_DES2, 16),
		ck.CKM_GENERIC_SECRET_KEY_GEN: readGeneric,
	} {
		deviceEngines[t] = func(u *Unit) *engine {
			if !u.can(t, ck.CKF_GENERATE) {
				return nil
			}
			return &engine{generate: u.generateRemote(t, read)}
		}
	}
	for t, f := range map[ck.MechanismType]func(*Unit) *engine{
		ck.CKM_RSA_PKCS_KEY_PAIR_GEN: func(u *Unit) *engine { return &engine{pair: u.remoteRSA} },
		ck.CKM_EC_KEY_PAIR_GEN: func(u *Unit) *engine {
			return &engine{pair: u.remoteCurve(ck.CKK_EC, ck.CKK_EC_EDWARDS)}
		},
		ck.CKM_EC_EDWARDS_KEY_PAIR_GEN: func(u *Unit) *engine { return &engine{pair: u.remoteCurve(ck.CKK_EC_EDWARDS)} },
	} {
		deviceEngines[t] = func(u *Unit) *engine {
			if !u.can(t, ck.CKF_GENERATE_KEY_PAIR) {
				return nil
			}
			return f(u)
		}
	}
	onDevice(engine{derive: deriveRemoteECDH}, []use{{ck.CKM_ECDH1_DERIVE, ck.CKF_DERIVE}}, ck.CKM_ECDH1_DERIVE)
	onDevice(engine{derive: deriveRemoteECB}, []use{{ck.CKM_AES_ECB_ENCRYPT_DATA, ck.CKF_DERIVE}}, ck.CKM_AES_ECB_ENCRYPT_DATA)
}

func (u *Unit) generateRemote(t ck.MechanismType, read func(*request) (int, error)) func(mech.Mechanism, *request) (*key, error) {
	return func(_ mech.Mechanism, r *request) (*key, error) {
		n, err := read(r)
		if err != nil {
			return nil, err
		}
		k := fresh(ck.CKO_SECRET_KEY, r.typ, n)
		h, err := u.dev.Generate(t, k)
		if err != nil {
			return nil, err
		}
		return u.keep(h, r.typ, n, nil)
	}
}

// keepPair makes a pair of a private key that was just made.
func (u *Unit) keepPair(h Held, typ ck.KeyType, spki []byte) (*pair, error) {
	k, err := u.keep(h, typ, 0, spki)
	if err != nil {
		return nil, err
	}
	return &pair{remote: k.remote, spki: spki}, nil
}

func (u *Unit) remoteRSA(_ mech.Mechanism, pub, priv *request) (*pair, error) {
	bits, e, err := readRSA(pub, priv)
	if err != nil {
		return nil, err
	}
	h, t, err := u.dev.GeneratePair(ck.CKM_RSA_PKCS_KEY_PAIR_GEN, fresh(ck.CKO_PRIVATE_KEY, ck.CKK_RSA, 0),
		ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, bits), ck.Bytes(ck.CKA_PUBLIC_EXPONENT, e.Bytes()), ck.Bool(ck.CKA_VERIFY, true)},
		ck.CKA_MODULUS, ck.CKA_PUBLIC_EXPONENT)
	if err != nil {
		return nil, err
	}
	spki, err := rsaSPKIOf(t)
	if err != nil {
		h.Forget()
		return nil, err
	}
	return u.keepPair(h, ck.CKK_RSA, spki)
}

func rsaSPKIOf(t ck.Template) ([]byte, error) {
	n, e := new(big.Int).SetBytes(t.Bytes(ck.CKA_MODULUS)), new(big.Int).SetBytes(t.Bytes(ck.CKA_PUBLIC_EXPONENT))
	if n.Sign() == 0 || e.Sign() == 0 {
		return nil, fmt.Errorf("RSA key without numbers: %w", ck.CKR_DEVICE_ERROR)
	}
	return rsaSPKI(n, e), nil
}

// remoteGen are the device's mechanisms by the kind of curve.
var remoteGen = map[ck.KeyType]ck.MechanismType{ck.CKK_EC: ck.CKM_EC_KEY_PAIR_GEN, ck.CKK_EC_EDWARDS: ck.CKM_EC_EDWARDS_KEY_PAIR_GEN}

func (u *Unit) remoteCurve(types ...ck.KeyType) func(mech.Mechanism, *request, *request) (*pair, error) {
	return func(_ mech.Mechanism, pub, priv *request) (*pair, error) {
		c, err := readCurve(types, pub, priv)
		if err != nil {
			return nil, err
		}
		gen := remoteGen[c.kind.typ]
		if c.kind == &blsFamily || !u.can(gen, ck.CKF_GENERATE_KEY_PAIR) {
			return nil, fmt.Errorf("%s on this HSM: %w", c.name, ck.CKR_CURVE_NOT_SUPPORTED)
		}
		h, t, err := u.dev.GeneratePair(gen, fresh(ck.CKO_PRIVATE_KEY, c.kind.typ, 0),
			ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, c.oid), ck.Bool(ck.CKA_VERIFY, true)}, ck.CKA_EC_POINT)
		if err != nil {
			if !unit.Faulty(err) {
				err = fmt.Errorf("%s: %v: %w", c.name, err, ck.CKR_CURVE_NOT_SUPPORTED)
			}
			return nil, err
		}
		point := bareOctets(t.Bytes(ck.CKA_EC_POINT))
		return u.keepPair(h, c.kind.typ, makeSPKI(oidEC, c.oid, point))
	}
}

// bareOctets takes the content of a DER OCTET STRING, which most devices wrap points in.
func bareOctets(b []byte) []byte {
	s, inner := cryptobyte.String(b), cryptobyte.String(nil)
	if s.ReadASN1(&inner, asn1.OCTET_STRING) && s.Empty() {
		return inner
	}
	return b
}

// deriveRemoteECDH derives inside the device. With a key derivation function
// that it lacks, the shared value passes the memory.
func deriveRemoteECDH(u *Unit, base *key, m mech.Mechanism, _ []byte, t ck.Template) (derived, error) {
	p, err := mech.As[*mech.ECDH1](m)
	if err != nil {
		return derived{}, err
	}
	c, point, err := remotePeer(base, p.Public)
	if err != nil {
		return derived{}, err
	}
	r, err := readRequest(t, ck.CKO_SECRET_KEY)
	if err != nil {
		return derived{}, err
	}
	z := func(k Kind) (Held, error) {
		return base.remote.object().Derive(mech.Mechanism{Type: m.Type, Param: &mech.ECDH1{KDF: ck.CKD_NULL, Public: point}}, k)
	}
	switch h, known := kdfHash[p.KDF]; {
	case p.KDF == ck.CKD_NULL:
		return u.deriveWhole(r, c.field, z)
	case !known:
		return derived{}, fmt.Errorf("key derivation function 0x%x: %w", p.KDF, ck.CKR_MECHANISM_PARAM_INVALID)
	default:
		return u.deriveKDF(r, m, p, h, c.field, z)
	}
}

// remotePeer checks the other side's point, which a device may not.
func remotePeer(base *key, public []byte) (*curve, []byte, error) {
	info, err := parseSPKI(base.spki)
	if err != nil {
		return nil, nil, err
	}
	if info.family != &ecFamily || base.remote == nil {
		return nil, nil, errNotPrivate
	}
	point := info.curve.full(unwrapPoint(public, 1+2*info.curve.field))
	if _, err := info.curve.public(point); err != nil {
		return nil, nil, fmt.Errorf("%v: %w", err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	return info.curve, point, nil
}

// deriveWhole makes a key of the last bytes of a value of `have` bytes.
func (u *Unit) deriveWhole(r *request, have int, derive func(Kind) (Held, error)) (derived, error) {
	n, err := r.secretLen(have)
	if err != nil {
		return derived{}, err
	}
	if n > have {
		return derived{}, fmt.Errorf("a key of %d bytes from a secret of %d: %w", n, have, ck.CKR_KEY_SIZE_RANGE)
	}
	h, err := derive(fresh(ck.CKO_SECRET_KEY, r.typ, n))
	if err != nil {
		return derived{}, err
	}
	k, err := u.keep(h, r.typ, n, nil)
	return derived{key: k, request: r, defaults: secretDefaults}, err
}

func (u *Unit) deriveKDF(r *request, m mech.Mechanism, p *mech.ECDH1, hash crypto.Hash, have int, derive func(Kind) (Held, error)) (derived, error) {
	if err := u.passing(m, nil); err != nil {
		return derived{}, err
	}
	n, err := r.secretLen(hash.Size())
	if err != nil {
		return derived{}, err
	}
	h, err := derive(fresh(ck.CKO_SECRET_KEY, ck.CKK_GENERIC_SECRET, have))
	if err != nil {
		return derived{}, err
	}
	defer h.Forget()
	z, err := u.reveal(h, have)
	if err != nil {
		return derived{}, err
	}
	defer z.Wipe()
	return finishSecret(r, x963(hash, z, p.Shared, n))
}

// deriveRemoteECB makes a key of data that the base encrypts.
func deriveRemoteECB(u *Unit, base *key, m mech.Mechanism, _ []byte, t ck.Template) (derived, error) {
	data, err := mech.As[mech.Raw](m)
	if err != nil {
		return derived{}, err
	}
	r, err := readRequest(t, ck.CKO_SECRET_KEY)
	if err != nil {
		return derived{}, err
	}
	if len(data) == 0 || len(data)%16 != 0 {
		return derived{}, fmt.Errorf("%d bytes to encrypt: %w", len(data), ck.CKR_MECHANISM_PARAM_INVALID)
	}
	return u.deriveWhole(r, len(data), func(k Kind) (Held, error) { return base.remote.object().Derive(m, k) })
}

// exportRemote wraps a key of the device: inside it, or where that does not do it
// and the operator allows, through the memory.
func (u *Unit) exportRemote(w *wrapping, k *key) ([]byte, error) {
	var err error
	if u.can(w.mech.Type, ck.CKF_WRAP) && !u.loses(w.mech, k) {
		var out []byte
		if out, err = u.exportInside(w, k); !isDeclined(err) {
			return out, err
		}
	}
	if err := u.passing(w.mech, err); err != nil {
		return nil, err
	}
	value, err := k.secret(u)
	if err != nil {
		return nil, err
	}
	defer value.Wipe()
	return w.export(&key{class: k.class, typ: k.typ, value: value, spki: k.spki})
}

// loses tells whether the device would wrap a key with zeros at its end.
func (u *Unit) loses(m mech.Mechanism, k *key) bool {
	return m.Type == ck.CKM_AES_KEY_WRAP_KWP && u.dev.PadsKeys() && (k.class == ck.CKO_PRIVATE_KEY && u.inMemory || k.size()%half != 0)
}

func (u *Unit) exportInside(w *wrapping, k *key) ([]byte, error) {
	if w.kek.remote != nil {
		return w.kek.remote.object().Export(w.mech, k.remote.object())
	}
	info, err := parseSPKI(w.kek.spki)
	if err != nil {
		return nil, err
	}
	kek, err := u.dev.Take(Kind{Class: ck.CKO_PUBLIC_KEY, Type: w.kek.typ, Bits: unit.BitWrap}, info.family.attributes(info).Without(ck.CKA_MODULUS_BITS))
	if err != nil {
		return nil, err
	}
	defer kek.Forget()
	return kek.Export(w.mech, k.remote.object())
}

// importRemote unwraps a key, inside the device or through the memory.
func (u *Unit) importRemote(w *wrapping, r *request, wrapped []byte) (unit.Key, error) {
	var err error
	if u.can(w.mech.Type, ck.CKF_UNWRAP) {
		var k unit.Key
		if k, err = u.importInside(w, r, wrapped); !isDeclined(err) {
			return k, err
		}
	}
	if err := u.passing(w.mech, err); err != nil {
		return unit.Key{}, err
	}
	plain, err := w.decrypt(wrapped, r)
	if err != nil {
		return unit.Key{}, err
	}
	defer clear(plain)
	return u.imported(r, plain)
}

var errKeepsSPKI = fmt.Errorf("the HSM does not tell the public half of an unwrapped key: %w", ck.CKR_FUNCTION_NOT_SUPPORTED)

func (u *Unit) importInside(w *wrapping, r *request, wrapped []byte) (unit.Key, error) {
	if len(wrapped) == 0 {
		return unit.Key{}, fmt.Errorf("nothing to unwrap: %w", ck.CKR_WRAPPED_KEY_LEN_RANGE)
	}
	h, err := w.kek.remote.object().Import(w.mech, wrapped, fresh(r.class, r.typ, 0))
	if err != nil {
		return unit.Key{}, importError(err)
	}
	if r.class == ck.CKO_PRIVATE_KEY {
		return u.importedInside(r, h)
	}
	n, err := importedLen(w.mech, r.typ, h, wrapped)
	if err == nil {
		err = r.keepsLen(n)
	}
	if err != nil {
		h.Forget()
		return unit.Key{}, err
	}
	k, err := u.keep(h, r.typ, int(n), nil)
	if err != nil {
		return unit.Key{}, err
	}
	k.gen = notGenerated
	if err := k.take(r, 0); err != nil {
		return unit.Key{}, err
	}
	return u.answer(k, k.checkSum())
}

// importedLen asks the device for the length of an unwrapped secret. Where it
// does not say, the wrapped form does for types whose lengths are multiples of 8.
func importedLen(m mech.Mechanism, typ ck.KeyType, h Held, wrapped []byte) (uint64, error) {
	t, err := h.Read(ck.CKA_VALUE_LEN)
	if unit.Faulty(err) {
		return 0, err
	}
	if n, ok, err := t.Ulong(ck.CKA_VALUE_LEN); err == nil && ok && n > 0 {
		return n, nil
	}
	if secretLens[typ] != nil && (m.Type == ck.CKM_AES_KEY_WRAP || m.Type == ck.CKM_AES_KEY_WRAP_KWP) {
		return uint64(len(wrapped) - half), nil
	}
	return 0, fmt.Errorf("the HSM does not tell the length of an unwrapped key: %w", ck.CKR_FUNCTION_NOT_SUPPORTED)
}

// importError gives what the device says of a wrapped key that does not open one
// code, so that it is no oracle.
func importError(err error) error {
	if unit.Faulty(err) || isDeclined(err) {
		return err
	}
	return fmt.Errorf("%v: %w", err, ck.CKR_WRAPPED_KEY_INVALID)
}

// keepsLen: a device does not cut keys.
func (r *request) keepsLen(n uint64) error {
	if want, ok, err := r.Ulong(ck.CKA_VALUE_LEN); err != nil || ok && want != n && (secretLens[r.typ] == nil || r.typ == ck.CKK_AES) {
		return errors.Join(err, fmt.Errorf("VALUE_LEN %d of an unwrapped key of %d bytes: %w", want, n, ck.CKR_TEMPLATE_INCONSISTENT))
	}
	if err := checkSecretLen(r.typ, n); err != nil {
		return fmt.Errorf("%v: %w", err, ck.CKR_WRAPPED_KEY_INVALID)
	}
	return nil
}

// importedInside finds the public half of a private key.
func (u *Unit) importedInside(r *request, h Held) (unit.Key, error) {
	info, err := u.publicOf(h, r.typ)
	if err == nil {
		err = r.wantPrivate(info)
	}
	if err != nil {
		h.Forget()
		return unit.Key{}, err
	}
	k, err := u.keep(h, info.family.typ, 0, info.spki)
	if err != nil {
		return unit.Key{}, err
	}
	k.gen = notGenerated
	return u.answerPrivate(r, info, k)
}

func (u *Unit) publicOf(h Held, typ ck.KeyType) (*publicInfo, error) {
	if typ == ck.CKK_RSA {
		t, err := h.Read(ck.CKA_MODULUS, ck.CKA_PUBLIC_EXPONENT)
		if err != nil {
			return nil, err
		}
		spki, err := rsaSPKIOf(t)
		if err != nil {
			return nil, err
		}
		return importSPKI(spki)
	}
	if t, err := h.Read(ck.CKA_PUBLIC_KEY_INFO); err == nil && len(t.Bytes(ck.CKA_PUBLIC_KEY_INFO)) > 0 {
		return importSPKI(t.Bytes(ck.CKA_PUBLIC_KEY_INFO))
	}
	if !u.inMemory {
		return nil, errKeepsSPKI
	}
	plain, err := u.reveal(h, 0)
	if err != nil {
		return nil, err
	}
	defer plain.Wipe()
	value, info, err := importPKCS8(plain)
	value.Wipe()
	return info, err
}
