package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
)

// copier copies from a module to a token of the service.
type copier struct {
	from      *source
	to        *grep11client.Token
	dryRun    bool
	keys      *transport // nil: not needed yet
	there     []grep11client.Object
	namesakes map[string]int // how many of the module's objects have a name
	rows      []copyRow
	left      int
}

// copyRow is what became of an object.
type copyRow struct {
	keyRow
	Result string `json:"result"`
}

const (
	isCopied = "copied"
	isThere  = "is there already"
	wouldBe  = "would be copied"
)

// into copies to a token, as its user.
func (c *copier) into(ctx context.Context, cl *grep11client.Client, token string, pin ck.Secret) error {
	info, err := findToken(ctx, cl, token)
	if err != nil {
		return err
	}
	c.to = cl.Token(info.ID)
	if err := c.to.Login(ctx, ck.CKU_USER, pin); err != nil {
		return err
	}
	defer func() { _ = c.to.Logout(ctx) }()
	return c.run(ctx)
}

func (c *copier) run(ctx context.Context) (err error) {
	if c.there, err = allObjects(ctx, c.to); err != nil {
		return err
	}
	objects, err := c.from.objects()
	if err != nil {
		return err
	}
	defer func() { c.keys.close() }()
	c.namesakes = map[string]int{}
	for _, o := range objects {
		c.namesakes[nameOf(c.from.read(o, names...))]++
	}
	for _, o := range objects {
		what := c.from.read(o, append(names, ck.CKA_CERTIFICATE_TYPE)...)
		row := copyRow{keyRow: showKey(grep11client.Object{Attributes: what}), Result: isCopied}
		row.Handle = uint64(o)
		switch known, err := c.copy(ctx, o, what); {
		case errors.Is(err, errNotOurs):
			continue
		case err != nil:
			row.Result = err.Error()
			c.left++
		case known:
			row.Result = isThere
		case c.dryRun:
			row.Result = wouldBe
		}
		c.rows = append(c.rows, row)
	}
	return nil
}

var (
	errNotOurs = errors.New("an object of a class that is not copied")
	errStays   = errors.New("stays: the module does not let it go (CKA_EXTRACTABLE is false)")
)

// copied are the attributes that go along, by class: those of all keys, and those
// that say what the object is.
var copied = map[ck.ObjectClass][]ck.AttributeType{
	ck.CKO_PRIVATE_KEY: {ck.CKA_ID, ck.CKA_SUBJECT, ck.CKA_PRIVATE, ck.CKA_SENSITIVE, ck.CKA_EXTRACTABLE, ck.CKA_SIGN, ck.CKA_SIGN_RECOVER, ck.CKA_DECRYPT,
		ck.CKA_UNWRAP, ck.CKA_DERIVE, ck.CKA_WRAP_WITH_TRUSTED, ck.CKA_ALWAYS_AUTHENTICATE, ck.CKA_START_DATE, ck.CKA_END_DATE},
	ck.CKO_SECRET_KEY: {ck.CKA_ID, ck.CKA_PRIVATE, ck.CKA_SENSITIVE, ck.CKA_EXTRACTABLE, ck.CKA_VALUE_LEN, ck.CKA_ENCRYPT, ck.CKA_DECRYPT, ck.CKA_SIGN, ck.CKA_VERIFY,
		ck.CKA_WRAP, ck.CKA_UNWRAP, ck.CKA_DERIVE, ck.CKA_WRAP_WITH_TRUSTED, ck.CKA_START_DATE, ck.CKA_END_DATE},
	ck.CKO_PUBLIC_KEY: {ck.CKA_ID, ck.CKA_SUBJECT, ck.CKA_PRIVATE, ck.CKA_ENCRYPT, ck.CKA_VERIFY, ck.CKA_VERIFY_RECOVER, ck.CKA_WRAP, ck.CKA_DERIVE,
		ck.CKA_START_DATE, ck.CKA_END_DATE, ck.CKA_MODULUS, ck.CKA_PUBLIC_EXPONENT, ck.CKA_EC_PARAMS, ck.CKA_EC_POINT, ck.CKA_PRIME, ck.CKA_SUBPRIME, ck.CKA_BASE, ck.CKA_VALUE},
	ck.CKO_CERTIFICATE: {ck.CKA_ID, ck.CKA_PRIVATE, ck.CKA_CERTIFICATE_TYPE, ck.CKA_CERTIFICATE_CATEGORY, ck.CKA_SUBJECT, ck.CKA_ISSUER, ck.CKA_SERIAL_NUMBER, ck.CKA_VALUE,
		ck.CKA_START_DATE, ck.CKA_END_DATE},
	ck.CKO_DATA: {ck.CKA_PRIVATE, ck.CKA_APPLICATION, ck.CKA_OBJECT_ID, ck.CKA_VALUE},
}

// copy copies one object, unless it is there.
func (c *copier) copy(ctx context.Context, o pkcs11.ObjectHandle, what ck.Template) (known bool, err error) {
	n, _, err := what.Ulong(ck.CKA_CLASS)
	if err != nil {
		return false, err
	}
	class := ck.ObjectClass(n)
	types, ours := copied[class]
	if !ours {
		return false, errNotOurs
	}
	t := slices.DeleteFunc(c.from.read(o, append(types, ck.CKA_CLASS, ck.CKA_KEY_TYPE, ck.CKA_LABEL)...),
		func(a ck.Attribute) bool { return len(a.Value) == 0 })
	if c.known(t, c.from.read(o, contents...)) {
		return true, nil
	}
	secret := class == ck.CKO_PRIVATE_KEY || class == ck.CKO_SECRET_KEY
	if leaves, err := t.Bool(ck.CKA_EXTRACTABLE, false); secret && (err != nil || !leaves) {
		return false, errors.Join(errStays, err)
	}
	if c.dryRun {
		return false, nil
	}
	t = t.Set(ck.Bool(ck.CKA_TOKEN, true))
	switch {
	case secret:
		return false, c.carry(ctx, o, t)
	case class == ck.CKO_PUBLIC_KEY:
		_, err = c.to.ImportKey(ctx, t)
	default:
		_, err = c.to.CreateObject(ctx, t)
	}
	return false, err
}

// carry copies a key that is wrapped for the way, and compares what both sides say of it.
func (c *copier) carry(ctx context.Context, o pkcs11.ObjectHandle, t ck.Template) (err error) {
	if c.keys == nil {
		if c.keys, err = newTransport(ctx, c.from, c.to); err != nil {
			return err
		}
	}
	made, err := c.keys.carry(ctx, o, t)
	if err != nil {
		return err
	}
	for _, was := range c.from.read(o, ck.CKA_MODULUS, ck.CKA_CHECK_VALUE, ck.CKA_VALUE_LEN) {
		if is, ok := made.Attributes.Get(was.Type); ok && len(was.Value) > 0 && !bytes.Equal(is.Value, was.Value) {
			return errors.Join(fmt.Errorf("the copy has another %v: it is removed", was.Type), c.to.DestroyObject(ctx, made))
		}
	}
	return nil
}

// names and contents are what an object is known again by. Not all modules show
// contents of all keys.
var (
	names    = []ck.AttributeType{ck.CKA_CLASS, ck.CKA_KEY_TYPE, ck.CKA_LABEL, ck.CKA_ID}
	contents = []ck.AttributeType{ck.CKA_VALUE, ck.CKA_MODULUS, ck.CKA_EC_POINT, ck.CKA_CHECK_VALUE}
)

func nameOf(t ck.Template) string {
	var values [][]byte
	for _, at := range names {
		values = append(values, t.Bytes(at))
	}
	return fmt.Sprintf("%x", values)
}

// known tells whether an object of this name and content is there. Where the content
// cannot be compared, all of the name must be there: a key twice is better than none.
func (c *copier) known(t, content ck.Template) bool {
	alike := 0
	for _, o := range c.there {
		if nameOf(o.Attributes) != nameOf(t) {
			continue
		}
		same, compared := sameContent(o.Attributes, content)
		if same && compared {
			return true
		}
		if same {
			alike++
		}
	}
	return alike > 0 && alike >= c.namesakes[nameOf(t)]
}

// sameContent compares what both sides show of an object.
func sameContent(a, b ck.Template) (same, compared bool) {
	for _, at := range contents {
		x, y := a.Bytes(at), b.Bytes(at)
		if len(x) == 0 || len(y) == 0 {
			continue
		}
		compared = true
		if !bytes.Equal(x, y) && !(at == ck.CKA_EC_POINT && (isWithin(x, y) || isWithin(y, x))) {
			return false, true
		}
	}
	return true, compared
}

// isWithin tells whether a point is the other one, which is in an OCTET STRING.
func isWithin(point, der []byte) bool {
	s := cryptobyte.String(der)
	var inner cryptobyte.String
	return s.ReadASN1(&inner, asn1.OCTET_STRING) && s.Empty() && bytes.Equal(inner, point)
}
