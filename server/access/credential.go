package access

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"time"

	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/server/keystore"
)

// A credential is sealed with AES-256-GCM under the service's key, a random
// nonce in front: version (1 byte, also the additional data), login id (16),
// expiry (8, seconds since 1970). All else about the login is in the store.
const (
	credentialVersion = 1
	credentialLen     = 1 + 16 + 8
	maxCredential     = 128
)

// Lifetime is how long a credential is good before it must be renewed, and
// renewable how long after its last renewal a login can still be. Whether a login
// has ended is in the store, and asked there each time: a credential's age only
// sees to its renewal. It is longer than the clocks of a service's servers, or a
// clock before and after a jump, are likely to be apart, since a credential that one server has
// just renewed must not be too old for the next.
const (
	Lifetime  = 12 * time.Hour
	renewable = 30 * 24 * time.Hour
)

type credential struct {
	login   keystore.ID
	expires time.Time
}

func newSeal(key ck.Secret) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("access: " + err.Error())
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("access: " + err.Error())
	}
	return seal
}

// issue makes a credential of a login.
func (c *Control) issue(login keystore.ID) []byte {
	return c.issueUntil(login, time.Now().Add(Lifetime))
}

func (c *Control) issueUntil(login keystore.ID, expires time.Time) []byte {
	plain := append([]byte{credentialVersion}, login[:]...)
	plain = binary.BigEndian.AppendUint64(plain, uint64(expires.Unix()))
	return c.seal.Seal(nil, nil, plain, []byte{credentialVersion})
}

// open reads a credential of any age. What is not ours is CKR_USER_NOT_LOGGED_IN.
func (c *Control) open(sealed []byte) (cred credential, err error) {
	if len(sealed) > maxCredential {
		return cred, fmt.Errorf("credential of %d bytes: %w", len(sealed), ck.CKR_USER_NOT_LOGGED_IN)
	}
	plain, err := c.seal.Open(nil, nil, sealed, []byte{credentialVersion})
	if err != nil || len(plain) != credentialLen || plain[0] != credentialVersion {
		return cred, fmt.Errorf("credential is not of this service: %w", ck.CKR_USER_NOT_LOGGED_IN)
	}
	cred.login = keystore.ID(plain[1:17])
	cred.expires = time.Unix(int64(binary.BigEndian.Uint64(plain[17:])), 0)
	return cred, nil
}

// fresh tells the holder of an old credential to renew it and come again.
func (cred credential) fresh() error {
	if time.Now().Before(cred.expires) {
		return nil
	}
	return wire.Transient(fmt.Errorf("credential is to be renewed: %w", ck.CKR_USER_NOT_LOGGED_IN))
}
