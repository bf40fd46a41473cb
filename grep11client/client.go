// Package grep11client speaks GREP11 to a service: endpoints, leased streams,
// retries and logins. Its calls take and give the project's plain types;
// protobuf stops here.
package grep11client

import (
	"context"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// Config is one service: a [[slot]] of the client configuration with its pool
// and timeouts.
type Config struct{}

// Client is a service, reached through any of its endpoints. All methods may
// be called by many goroutines.
type Client struct{}

// New makes a client. It sends nothing: the first call connects.
func New(c Config) (*Client, error) { return &Client{}, nil }

// Close ends all calls and connections. It does not wait for the network.
func (c *Client) Close() error { return nil }

// TokenInfo is a token as the service lists it. Number is the order of
// creation, from 0. Flags holds the CKF_ bits of PIN counters and
// CKF_USER_PIN_INITIALIZED.
type TokenInfo struct {
	ID     []byte
	Number uint64
	Label  string
	Serial string
	Flags  ck.Flags
}

// Service is what a service says of itself.
type Service struct {
	Version                  string
	Mechanisms               []MechanismDetail
	Units                    []UnitStatus
	PINMinBytes, PINMaxBytes uint64
}

type MechanismDetail struct {
	Type ck.MechanismType
	Info ck.MechanismInfo
}

type UnitStatus struct {
	Name, Zone, Kind string
	Healthy          bool
	Detail           string
	WrappingKey      []byte
}

// Tokens lists the service's tokens in order of creation, and the number the
// next one will have.
func (c *Client) Tokens(ctx context.Context) (tokens []TokenInfo, next uint64, err error) {
	return nil, 0, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// Service asks what the service is and can do.
func (c *Client) Service(ctx context.Context) (Service, error) {
	return Service{}, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// InitToken makes a token (id nil) or empties one. C_InitToken.
func (c *Client) InitToken(ctx context.Context, id []byte, label string, soPIN ck.Secret) (TokenInfo, error) {
	return TokenInfo{}, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// DeleteToken removes a token with all its objects.
func (c *Client) DeleteToken(ctx context.Context, id []byte) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// Token gives the handle through which one token is used. Each carries its own
// login.
func (c *Client) Token(id []byte) *Token { return &Token{} }

// Token is a token of a service together with this process's login to it.
type Token struct{}

// Key names a key: by the id of the stored object, or by its blob.
type Key struct{ ID, Blob []byte }

// Object is a stored object, or a key that is not stored (Handle 0, no ID).
// Attributes are all the service knows, except sensitive ones.
type Object struct {
	Key
	Handle     ck.ObjectHandle
	Version    uint64
	Attributes ck.Template
}

// State is a sealed multi-part operation.
type State []byte

// Login opens a login, and keeps it alive until Logout. C_Login.
func (t *Token) Login(ctx context.Context, user ck.UserType, pin ck.Secret) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// Logout makes the login void. It succeeds at once, whatever the network does.
func (t *Token) Logout(ctx context.Context) error { return ck.CKR_FUNCTION_NOT_SUPPORTED }

// CheckPIN is Login for a caller that is logged in already (context login).
func (t *Token) CheckPIN(ctx context.Context, user ck.UserType, pin ck.Secret) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// InitPIN sets the user PIN; the login must be the SO's.
func (t *Token) InitPIN(ctx context.Context, pin ck.Secret) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// SetPIN changes a PIN and keeps the own login valid.
func (t *Token) SetPIN(ctx context.Context, user ck.UserType, old, new ck.Secret) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (t *Token) Random(ctx context.Context, n int) ([]byte, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// Single runs a whole operation in one round trip. sig is for verification
// only. Prehashed: data is the mechanism's digest of the message; see CanPrehash.
func (t *Token) Single(ctx context.Context, op mech.Op, m mech.Mechanism, key Key, data, sig []byte, prehashed bool) ([]byte, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// CanPrehash tells whether the service takes digests under combined
// mechanisms. Before the first call it may have to ask.
func (t *Token) CanPrehash(ctx context.Context) bool { return false }

// Init, Update and Finish run an operation in parts. Finish takes the
// signature to verify, nil otherwise.
func (t *Token) Init(ctx context.Context, op mech.Op, m mech.Mechanism, key Key) (State, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (t *Token) Update(ctx context.Context, op mech.Op, s State, data []byte) (out []byte, next State, err error) {
	return nil, nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (t *Token) DigestKey(ctx context.Context, s State, key Key) (State, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (t *Token) Finish(ctx context.Context, op mech.Op, s State, sig []byte) ([]byte, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// GenerateKey makes a key; CKA_TOKEN in the template says whether it is stored,
// in the same step.
func (t *Token) GenerateKey(ctx context.Context, m mech.Mechanism, tmpl ck.Template) (Object, error) {
	return Object{}, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (t *Token) GenerateKeyPair(ctx context.Context, m mech.Mechanism, pub, priv ck.Template) (pubKey, privKey Object, err error) {
	return Object{}, Object{}, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (t *Token) WrapKey(ctx context.Context, m mech.Mechanism, key, kek, mac Key) ([]byte, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (t *Token) UnwrapKey(ctx context.Context, m mech.Mechanism, wrapped []byte, kek, mac Key, tmpl ck.Template) (Object, error) {
	return Object{}, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// DeriveKey also gives the checksum, which some mechanisms put results in.
func (t *Token) DeriveKey(ctx context.Context, m mech.Mechanism, base Key, data []byte, tmpl ck.Template) (Object, []byte, error) {
	return Object{}, nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// ImportKey makes a key from its value (C_CreateObject): a public key through
// CKM_IBM_TRANSPORTKEY, others encrypted under a passing key of the service and
// unwrapped. The template holds the standard's components of the key type.
func (t *Token) ImportKey(ctx context.Context, tmpl ck.Template) (Object, error) {
	return Object{}, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// CreateObject stores a certificate or a data object.
func (t *Token) CreateObject(ctx context.Context, tmpl ck.Template) (Object, error) {
	return Object{}, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// FindObjects gives a page of at most max stored objects whose handles come
// after one, in the order of handles, and whether more match.
func (t *Token) FindObjects(ctx context.Context, tmpl ck.Template, after ck.ObjectHandle, max int) (found []Object, more bool, err error) {
	return nil, false, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// GetObject reads one stored object by its handle, with its blob.
func (t *Token) GetObject(ctx context.Context, h ck.ObjectHandle) (Object, error) {
	return Object{}, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// SetAttributes changes attributes of a stored object, or of a key that is not
// stored; the object that comes back replaces o.
func (t *Token) SetAttributes(ctx context.Context, o Object, changes ck.Template) (Object, error) {
	return Object{}, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// CopyObject copies an object; CKA_TOKEN in changes says whether the copy is stored.
func (t *Token) CopyObject(ctx context.Context, o Object, changes ck.Template) (Object, error) {
	return Object{}, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// DestroyObject removes a stored object.
func (t *Token) DestroyObject(ctx context.Context, o Object) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// KeyValue reads a value that may be read: CKA_VALUE and private components of
// keys that are neither sensitive nor unextractable. Others: CKR_ATTRIBUTE_SENSITIVE.
func (t *Token) KeyValue(ctx context.Context, k Key, types []ck.AttributeType) (ck.Template, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}
