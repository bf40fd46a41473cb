package chaos

import (
	"context"
	"path/filepath"
	"testing"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/server/admin/command"
	"grep11/server/admin/operator"
)

// owner has the units' signature key and the parts of their master key at hand:
// a command that opens the files would count as part of a fault.
type owner struct {
	config grep11client.Config
	keys   []*operator.Key
	parts  []ck.Secret
}

// newOwner makes the files, with little work for a password that no one wants to know.
func newOwner(w *world) *owner {
	w.Helper()
	operator.WorkFactor = 8
	f, err := grep11client.LoadConfig(filepath.Join(w.dir, "client.toml"))
	if err != nil {
		w.Fatal(err)
	}
	password := ck.Secret(ownerPassword)
	k, err := operator.MakeKey(filepath.Join(w.dir, "owner.key"), "owner", operator.KeyKinds[0], password)
	if err != nil {
		w.Fatal(err)
	}
	o := &owner{config: f.Slots[0], keys: []*operator.Key{k}}
	for _, name := range []string{"one", "two"} {
		path := filepath.Join(w.dir, name)
		if _, err := operator.MakePart(path, "", password); err != nil {
			w.Fatal(err)
		}
		p, err := operator.LoadPart(path, password)
		if err != nil {
			w.Fatal(err)
		}
		o.parts = append(o.parts, p)
	}
	return o
}

// group is one unit of one server.
func (o *owner) group(t *testing.T, server, unit string) *operator.Group {
	t.Helper()
	config := o.config
	config.Endpoints = []grep11client.Endpoint{{Address: parts[server] + ":" + port9876}}
	c, err := grep11client.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	u, _, err := operator.Connect(t.Context(), unit, func(ctx context.Context, block, signatures []byte) ([]byte, []byte, error) {
		return c.ExecuteAdmin(ctx, unit, block, signatures)
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &operator.Group{Units: []*operator.Unit{u}, Report: func(string, string) {}}
}

func (o *owner) clear(t *testing.T, g *operator.Group) {
	t.Helper()
	if err := g.ClearCurrent(t.Context(), o.keys); err != nil {
		t.Fatal(err)
	}
}

func (o *owner) load(t *testing.T, g *operator.Group) {
	t.Helper()
	_, err := g.Load(t.Context(), o.parts, command.XCP_IMPRKEY_EC_P521, o.keys)
	if err == nil {
		_, err = g.Commit(t.Context(), "", o.keys)
	}
	if err == nil {
		_, err = g.Finalize(t.Context(), nil, o.keys)
	}
	if err != nil {
		t.Fatal(err)
	}
}
