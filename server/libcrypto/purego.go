//go:build !cgo || purego

package libcrypto

// Available tells whether this build has libcrypto.
const Available = false

// Key cannot be made in this build.
type Key struct{}

func Private([]byte) (*Key, error)             { return nil, ErrUnavailable }
func Public([]byte) (*Key, error)              { return nil, ErrUnavailable }
func GenerateRSA(int, []byte) (*Key, error)    { return nil, ErrUnavailable }
func GenerateEC(string) (*Key, error)          { return nil, ErrUnavailable }
func (*Key) PKCS8() ([]byte, error)            { return nil, ErrUnavailable }
func (*Key) SPKI() ([]byte, error)             { return nil, ErrUnavailable }
func (*Key) RSAPrivate([]byte) ([]byte, error) { return nil, ErrUnavailable }
func (*Key) RSAPublic([]byte) ([]byte, error)  { return nil, ErrUnavailable }
func (*Key) Sign([]byte) ([]byte, error)       { return nil, ErrUnavailable }
func (*Key) Verify(_, _ []byte) bool           { return false }
func (*Key) Derive(*Key) ([]byte, error)       { return nil, ErrUnavailable }

func Multiply(string, int, []byte, []byte, []byte) ([]byte, error) { return nil, ErrUnavailable }
func Order(string, int) ([]byte, error)                            { return nil, ErrUnavailable }
