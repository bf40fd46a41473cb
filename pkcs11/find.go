package pkcs11

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"grep11/pkcs11/ck"
)

// search is an active search: what was found and not yet given out, and where
// the service goes on.
type search struct {
	found []ck.ObjectHandle
	query ck.Template     // for the service
	match ck.Template     // for what comes back
	after ck.ObjectHandle // the last stored object seen
	more  bool            // the service has more
	login int
}

const lenPage = 1000

// FindObjectsInit is C_FindObjectsInit. The first page is asked for here, so
// that what is wrong shows here.
//
// PKCS#11 v3.2 §5.7.
func (m *Module) FindObjectsInit(ctx context.Context, h ck.SessionHandle, t ck.Template) error {
	return m.in(h, func(s *session) error {
		if s.search != nil {
			return fmt.Errorf("search: %w", ck.CKR_OPERATION_ACTIVE)
		}
		f := &search{match: normalAll(t)}
		_, f.login = s.slot.who()
		if wantsToken, err := t.Bool(ck.CKA_TOKEN, true); err != nil || wantsToken {
			f.query, f.more = queryOf(f.match), known(t)
		}
		f.found = s.findSession(f)
		if f.more {
			f.found = append(f.found, findProfiles(f.match)...)
			if err := s.findSynthetic(ctx, f); err != nil {
				return err
			}
			if err := s.page(ctx, f); err != nil {
				return err
			}
		}
		s.search = f
		return nil
	})
}

// known tells whether objects can have all attributes of a search. One that no
// object has matches nothing.
func known(t ck.Template) bool {
	return !slices.ContainsFunc(t, func(a ck.Attribute) bool { return len(rulesOf[a.Type]) == 0 })
}

// findSession lists the session objects that match, oldest first.
func (s *session) findSession(f *search) []ck.ObjectHandle {
	user, _ := s.slot.who()
	objects := s.slot.objects.session.all(func(o *object) bool {
		return (user == loggedUser || !o.is(ck.CKA_PRIVATE)) && o.matches(f.match)
	})
	slices.SortFunc(objects, func(a, b *object) int { return cmp.Compare(a.Handle, b.Handle) })
	handles := make([]ck.ObjectHandle, len(objects))
	for i, o := range objects {
		handles[i] = o.Handle
	}
	return handles
}

// page adds the service's next page.
func (s *session) page(ctx context.Context, f *search) error {
	objects, more, err := s.slot.token().FindObjects(ctx, f.query, f.after, lenPage)
	if errors.Is(err, ck.CKR_ATTRIBUTE_TYPE_INVALID) {
		objects, more, err = nil, false, nil
	}
	if err != nil {
		return err
	}
	f.more = more && len(objects) > 0
	for _, found := range objects {
		f.after = found.Handle
		if o := s.slot.objects.know(found); o.matches(f.match) {
			f.found = append(f.found, o.Handle)
		}
	}
	return nil
}

// queryOf is the part of a search that the service can do. Attributes that the
// service need not hold (computed here, or asked for by their default) are for
// matches to judge.
func queryOf(t ck.Template) ck.Template {
	return slices.DeleteFunc(slices.Clone(t), func(a ck.Attribute) bool {
		if a.Type == ck.CKA_TOKEN || computers[a.Type] != nil {
			return true
		}
		return slices.ContainsFunc(rulesOf[a.Type], func(r *rule) bool {
			return r.Default != nil && string(r.Default) == string(a.Value)
		})
	})
}

// FindObjects is C_FindObjects: it serves from what was found, and asks for
// the next page when that is given out.
func (m *Module) FindObjects(ctx context.Context, h ck.SessionHandle, max int) (found []ck.ObjectHandle, err error) {
	err = m.in(h, func(s *session) error {
		f := s.search
		if f == nil {
			return fmt.Errorf("search: %w", ck.CKR_OPERATION_NOT_INITIALIZED)
		}
		if _, login := s.slot.who(); login != f.login {
			f.found, f.more = nil, false // what a login showed is not for others
		}
		for len(f.found) < max && f.more {
			if err := s.page(ctx, f); err != nil {
				s.search = nil
				return err
			}
		}
		n := min(max, len(f.found))
		found, f.found = f.found[:n:n], f.found[n:]
		return nil
	})
	return found, err
}

// FindObjectsFinal is C_FindObjectsFinal.
func (m *Module) FindObjectsFinal(ctx context.Context, h ck.SessionHandle) error {
	return m.in(h, func(s *session) error {
		if s.search == nil {
			return fmt.Errorf("search: %w", ck.CKR_OPERATION_NOT_INITIALIZED)
		}
		s.search = nil
		return nil
	})
}
