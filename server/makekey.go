package server

import (
	"context"
	"crypto/sha1"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"

	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/server/unit"
)

// template is one of the request's templates, for the key at its place in the
// answer.
type template struct {
	attributes map[uint64]*grep11pb.AttributeValue
	class      ck.ObjectClass // where it does not say
}

// making is one way to make keys: its templates, and the call that runs it.
type making struct {
	templates []template
	run       func(ctx context.Context) ([]unit.Key, error)
}

func only(k unit.Key, err error) ([]unit.Key, error) { return []unit.Key{k}, err }

// making reads the oneof. The halves of keys.go resolve stored keys and choose
// the unit.
func (c *call) making(r *extpb.MakeKeyRequest) (making, error) {
	switch how := r.How.(type) {
	case *extpb.MakeKeyRequest_GenerateKey:
		q := how.GenerateKey
		return making{[]template{{q.GetTemplate(), ck.CKO_SECRET_KEY}},
			func(ctx context.Context) ([]unit.Key, error) { return only(c.generate(ctx, q)) }}, nil
	case *extpb.MakeKeyRequest_UnwrapKey:
		q := how.UnwrapKey
		return making{[]template{{q.GetTemplate(), ck.CKO_SECRET_KEY}},
			func(ctx context.Context) ([]unit.Key, error) { return only(c.unwrap(ctx, q)) }}, nil
	case *extpb.MakeKeyRequest_DeriveKey:
		q := how.DeriveKey
		return making{[]template{{q.GetTemplate(), ck.CKO_SECRET_KEY}},
			func(ctx context.Context) ([]unit.Key, error) { return only(c.derive(ctx, q)) }}, nil
	case *extpb.MakeKeyRequest_GenerateKeyPair:
		q := how.GenerateKeyPair
		return making{[]template{{q.GetPubKeyTemplate(), ck.CKO_PUBLIC_KEY}, {q.GetPrivKeyTemplate(), ck.CKO_PRIVATE_KEY}},
			func(ctx context.Context) ([]unit.Key, error) {
				p, err := c.generatePair(ctx, q)
				return []unit.Key{p.pub, p.priv}, err
			}}, nil
	}
	return making{}, fmt.Errorf("no way to make a key: %w", ck.CKR_ARGUMENTS_BAD)
}

// MakeKey makes a key or a pair, and stores what CKA_TOKEN says to, as one.
func (c *call) MakeKey(ctx context.Context, r *extpb.MakeKeyRequest) (*extpb.MakeKeyResponse, error) {
	caller, err := c.caller(ctx)
	if err != nil {
		return nil, err
	}
	j, err := newJob(caller, "MakeKey", r.RequestId, r.Token)
	if err != nil {
		return nil, err
	}
	x := c.srv.ext
	if result, done, err := x.store.Result(ctx, j.request); err != nil {
		return nil, err
	} else if done {
		return x.recall(ctx, j.token, result)
	}
	m, err := c.making(r)
	if err != nil {
		return nil, err
	}
	wanted, err := m.check(j)
	if err != nil {
		return nil, err
	}
	keys, err := m.run(ctx)
	if err != nil {
		return nil, err
	}
	made, err := j.dress(keys, wanted)
	if err != nil {
		return nil, err
	}
	return x.keep(ctx, j, keys[0].CheckSum, made...)
}

// check reads the templates and refuses, before a key is made, what could not
// be stored after.
func (m making) check(j job) ([]ck.Template, error) {
	wanted := make([]ck.Template, len(m.templates))
	for i, t := range m.templates {
		var err error
		if wanted[i], err = wire.DecodeTemplate(t.attributes); err != nil {
			return nil, err
		}
		full := wanted[i]
		if !full.Has(ck.CKA_CLASS) {
			full = full.Set(ck.Ulong(ck.CKA_CLASS, uint64(t.class)))
		}
		if full, err = j.settle(full); err != nil {
			return nil, err
		}
		class, _ := classOf(full) // settle read it
		if err := checkNew(class, full); err != nil {
			return nil, err
		}
	}
	return wanted, nil
}

// dress joins what was asked for with what the unit made, which counts.
func (j job) dress(keys []unit.Key, wanted []ck.Template) ([]newObject, error) {
	made := make([]newObject, len(keys))
	for i, k := range keys {
		t, err := wanted[i].Settle(k.Attributes)
		if err != nil {
			return nil, err
		}
		made[i] = newObject{t, k.Blob}
		if class, _ := classOf(t); !classes[class].key { // domain parameters are their numbers
			made[i].blob = nil
		}
	}
	if len(made) == 2 {
		shareID(&made[0], &made[1])
	}
	for i := range made {
		var err error
		if made[i].attributes, err = j.settle(made[i].attributes); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// shareID gives the halves of a pair one CKA_ID: consumers join them by it.
// Without any it is the public key's identifier of RFC 5280 §4.2.1.2, method 1.
func shareID(pub, priv *newObject) {
	id := pub.attributes.Bytes(ck.CKA_ID)
	if len(id) == 0 {
		id = priv.attributes.Bytes(ck.CKA_ID)
	}
	if len(id) == 0 {
		id = keyIdentifier(pub.blob)
	}
	for _, o := range []*newObject{pub, priv} {
		if len(o.attributes.Bytes(ck.CKA_ID)) == 0 {
			o.attributes = o.attributes.Set(ck.Bytes(ck.CKA_ID, id))
		}
	}
}

// keyIdentifier is empty for a blob that does not begin with a SubjectPublicKeyInfo.
func keyIdentifier(blob unit.Blob) []byte {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(blob, &spki); err != nil {
		return []byte{}
	}
	sum := sha1.Sum(spki.Key.Bytes)
	return sum[:]
}
