package local

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"runtime/debug"
	"slices"

	"golang.org/x/crypto/argon2"
	"google.golang.org/protobuf/proto"

	"grep11/grep11client/extpb"
	"grep11/pkcs11/ck"
)

// Limits of PINs, as the service's own tokens have them.
const (
	MinPIN  = 4
	MaxPIN  = 255
	maxFail = 10 // wrong PINs in a row lock it
)

// login is what a credential stands for, in this process.
type login struct {
	token string
	user  ck.UserType
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func hashPIN(salt []byte, pin ck.Secret) []byte {
	// The 19 MB it takes are more than all else that an application's copy of the
	// library has: they go back at once, and not when as much again is garbage.
	defer debug.FreeOSMemory()
	return argon2.IDKey(pin, salt, 2, 19<<10, 1, 32)
}

func newPIN(pin ck.Secret) (*extpb.StorePin, error) {
	if len(pin) < MinPIN || len(pin) > MaxPIN {
		return nil, fmt.Errorf("PIN of %d bytes: %w", len(pin), ck.CKR_PIN_LEN_RANGE)
	}
	salt := random(16)
	return &extpb.StorePin{Salt: salt, Hash: hashPIN(salt, pin)}, nil
}

func (s *Store) listTokens() (*extpb.ListTokensResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.look(); err != nil {
		return nil, err
	}
	out := &extpb.ListTokensResponse{NextNumber: s.number}
	for _, t := range s.tokens {
		out.Tokens = append(out.Tokens, shown(t))
	}
	slices.SortFunc(out.Tokens, func(a, b *extpb.TokenInfo) int { return int(a.Number) - int(b.Number) })
	return out, nil
}

// shown adds to a token's facts what its PINs say.
func shown(t *extpb.StoreToken) *extpb.TokenInfo {
	info := proto.CloneOf(t.Info)
	info.UserPinInitialized = t.UserPin != nil
	for _, p := range []struct {
		pin              *extpb.StorePin
		low, try, locked ck.Flags
	}{
		{t.SoPin, ck.CKF_SO_PIN_COUNT_LOW, ck.CKF_SO_PIN_FINAL_TRY, ck.CKF_SO_PIN_LOCKED},
		{t.UserPin, ck.CKF_USER_PIN_COUNT_LOW, ck.CKF_USER_PIN_FINAL_TRY, ck.CKF_USER_PIN_LOCKED},
	} {
		switch n := p.pin.GetFailures(); {
		case n >= maxFail:
			info.Flags |= uint64(p.locked)
		case n == maxFail-1:
			info.Flags |= uint64(p.low | p.try)
		case n > 0:
			info.Flags |= uint64(p.low)
		}
	}
	return info
}

// token finds a token. Caller holds s.mu and has looked.
func (s *Store) token(id []byte) (*extpb.StoreToken, error) {
	t := s.tokens[string(id)]
	if t == nil {
		return nil, fmt.Errorf("no such token: %w", ck.CKR_TOKEN_NOT_PRESENT)
	}
	return t, nil
}

func pinOf(t *extpb.StoreToken, user ck.UserType) (**extpb.StorePin, error) {
	switch user {
	case ck.CKU_SO:
		return &t.SoPin, nil
	case ck.CKU_USER:
		return &t.UserPin, nil
	}
	return nil, fmt.Errorf("%v: %w", user, ck.CKR_USER_TYPE_INVALID)
}

// checkPIN counts the attempt in the file before it looks at the PIN, so that
// nobody who kills the process in time gets more of them.
func (s *Store) checkPIN(id []byte, user ck.UserType, pin ck.Secret) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var salt, hash []byte
	if err := s.changePIN(id, user, func(p *extpb.StorePin) error {
		if p.Failures >= maxFail {
			return fmt.Errorf("after %d wrong ones: %w", p.Failures, ck.CKR_PIN_LOCKED)
		}
		p.Failures++
		salt, hash = p.Salt, p.Hash
		return nil
	}); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(hashPIN(salt, pin), hash) != 1 {
		return ck.CKR_PIN_INCORRECT
	}
	return s.changePIN(id, user, func(p *extpb.StorePin) error { p.Failures = 0; return nil })
}

// changePIN stores a token with one PIN changed. Caller holds s.mu.
func (s *Store) changePIN(id []byte, user ck.UserType, change func(*extpb.StorePin) error) error {
	return s.change(func() (*extpb.StoreRecord, error) {
		t, err := s.token(id)
		if err != nil {
			return nil, err
		}
		t = proto.CloneOf(t)
		p, err := pinOf(t, user)
		if err != nil {
			return nil, err
		}
		if *p == nil {
			return nil, ck.CKR_USER_PIN_NOT_INITIALIZED
		}
		return &extpb.StoreRecord{Tokens: []*extpb.StoreToken{t}}, change(*p)
	})
}

func (s *Store) initToken(r *extpb.InitTokenRequest) (*extpb.InitTokenResponse, error) {
	pin, err := newPIN(r.SoPin)
	if err != nil {
		return nil, err
	}
	if len(r.Token) > 0 {
		if err := s.checkPIN(r.Token, ck.CKU_SO, r.SoPin); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := &extpb.StoreToken{SoPin: pin}
	err = s.change(func() (*extpb.StoreRecord, error) {
		record := &extpb.StoreRecord{Tokens: []*extpb.StoreToken{fresh}}
		if len(r.Token) == 0 {
			fresh.Info = &extpb.TokenInfo{Id: random(16), Number: s.number, Serial: fmt.Sprintf("%X", random(8))}
			record.NextNumber = s.number + 1
		} else {
			old, err := s.token(r.Token)
			if err != nil {
				return nil, err
			}
			fresh.Info = proto.CloneOf(old.Info)
			record.DeletedTokens = [][]byte{r.Token}
		}
		fresh.Info.Label = r.Label
		return record, nil
	})
	if err != nil {
		return nil, err
	}
	s.logOutAll(r.Token)
	return &extpb.InitTokenResponse{Token: shown(fresh)}, nil
}

func (s *Store) logOutAll(token []byte) {
	for c, l := range s.logins {
		if l.token == string(token) {
			delete(s.logins, c)
		}
	}
}

func (s *Store) deleteToken(r *extpb.DeleteTokenRequest) (*extpb.DeleteTokenResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.change(func() (*extpb.StoreRecord, error) {
		if _, err := s.token(r.Token); err != nil {
			return nil, err
		}
		return &extpb.StoreRecord{DeletedTokens: [][]byte{r.Token}}, nil
	})
	return &extpb.DeleteTokenResponse{}, err
}

// who gives the login of a credential; the zero login for none. Caller holds s.mu.
func (s *Store) who(credential []byte) (login, error) {
	if len(credential) == 0 {
		return login{user: ck.UserType(ck.CK_UNAVAILABLE_INFORMATION)}, nil
	}
	l, ok := s.logins[string(credential)]
	if !ok {
		return l, ck.CKR_USER_NOT_LOGGED_IN
	}
	return l, nil
}

func (s *Store) initPIN(credential []byte, r *extpb.InitPinRequest) (*extpb.InitPinResponse, error) {
	pin, err := newPIN(r.Pin)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.who(credential)
	if err != nil || l.user != ck.CKU_SO {
		return nil, ck.CKR_USER_NOT_LOGGED_IN
	}
	err = s.change(func() (*extpb.StoreRecord, error) {
		t, err := s.token([]byte(l.token))
		if err != nil {
			return nil, err
		}
		t = proto.CloneOf(t)
		t.UserPin = pin
		return &extpb.StoreRecord{Tokens: []*extpb.StoreToken{t}}, nil
	})
	return &extpb.InitPinResponse{}, err
}

func (s *Store) setPIN(r *extpb.SetPinRequest) (*extpb.SetPinResponse, error) {
	pin, err := newPIN(r.NewPin)
	if err != nil {
		return nil, err
	}
	if err := s.checkPIN(r.Token, ck.UserType(r.User), r.OldPin); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.changePIN(r.Token, ck.UserType(r.User), func(p *extpb.StorePin) error {
		p.Salt, p.Hash, p.Failures = pin.Salt, pin.Hash, 0
		return nil
	})
	return &extpb.SetPinResponse{}, err
}

// openLogin checks a PIN. CKU_CONTEXT_SPECIFIC checks that of the caller's
// login, and opens none.
func (s *Store) openLogin(credential []byte, r *extpb.OpenLoginRequest) (*extpb.OpenLoginResponse, error) {
	user, again := ck.UserType(r.User), ck.UserType(r.User) == ck.CKU_CONTEXT_SPECIFIC
	if again {
		s.mu.Lock()
		l, err := s.who(credential)
		s.mu.Unlock()
		if err != nil || l.token != string(r.Token) {
			return nil, ck.CKR_USER_NOT_LOGGED_IN
		}
		user = l.user
	}
	if err := s.checkPIN(r.Token, user, r.Pin); err != nil || again {
		return &extpb.OpenLoginResponse{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := random(16)
	s.logins[string(fresh)] = login{string(r.Token), user}
	return &extpb.OpenLoginResponse{Credential: fresh}, nil
}

func (s *Store) closeLogin(r *extpb.CloseLoginRequest) (*extpb.CloseLoginResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.logins, string(r.Credential))
	return &extpb.CloseLoginResponse{}, nil
}
