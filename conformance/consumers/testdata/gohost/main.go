// Command gohost uses the token as Go programs do: through crypto11 (step-ca,
// cosign, Fabric) and through miekg/pkcs11 (Vault), with many goroutines while
// memory is collected.
package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/ThalesIgnite/crypto11"
	"github.com/miekg/pkcs11"
)

const (
	goroutines = 8
	rounds     = 20
)

var (
	module = os.Getenv("PKCS11_MODULE")
	token  = os.Getenv("GREP11_TOKEN")
	pin    = os.Getenv("GREP11_PIN")
)

func main() {
	log.SetFlags(0)
	for _, use := range []func() error{withCrypto11, withMiekg} {
		if err := use(); err != nil {
			log.Fatal(err)
		}
	}
}

// parallel runs a function in many goroutines, beside one that makes garbage.
func parallel(what string, f func(i int) error) error {
	done := make(chan struct{})
	go func() {
		for waste := []byte{}; ; time.Sleep(time.Millisecond) {
			select {
			case <-done:
				return
			default:
				waste = bytes.Repeat(append(waste[:0:0], 1), 1<<20)
			}
		}
	}()
	defer close(done)
	var all sync.WaitGroup
	errs := make(chan error, goroutines)
	for i := range goroutines {
		all.Go(func() {
			for range rounds {
				if err := f(i); err != nil {
					errs <- fmt.Errorf("%s: %w", what, err)
					return
				}
			}
		})
	}
	all.Wait()
	if len(errs) > 0 {
		return <-errs
	}
	fmt.Printf("%s: %d signatures ok\n", what, goroutines*rounds)
	return nil
}

func withCrypto11() error {
	ctx, err := crypto11.Configure(&crypto11.Config{Path: module, TokenLabel: token, Pin: pin})
	if err != nil {
		return err
	}
	defer ctx.Close()
	if _, err := ctx.GenerateRSAKeyPairWithLabel([]byte{1}, []byte("go rsa"), 2048); err != nil {
		return err
	}
	if _, err := ctx.GenerateECDSAKeyPairWithLabel([]byte{2}, []byte("go ec"), elliptic.P256()); err != nil {
		return err
	}
	if err := gcm(ctx); err != nil {
		return err
	}
	r, err := ctx.FindKeyPair(nil, []byte("go rsa"))
	if err != nil {
		return err
	}
	e, err := ctx.FindKeyPair([]byte{2}, nil)
	if err != nil {
		return err
	}
	return parallel("crypto11", func(i int) error {
		digest := sha256.Sum256([]byte{byte(i)})
		if i%2 == 0 {
			opts := &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}
			sig, err := r.Sign(rand.Reader, digest[:], opts)
			if err != nil {
				return err
			}
			return rsa.VerifyPSS(r.Public().(*rsa.PublicKey), crypto.SHA256, digest[:], sig, opts)
		}
		sig, err := e.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err == nil && !ecdsa.VerifyASN1(e.Public().(*ecdsa.PublicKey), digest[:], sig) {
			err = fmt.Errorf("signature does not verify")
		}
		return err
	})
}

func gcm(ctx *crypto11.Context) error {
	key, err := ctx.GenerateSecretKeyWithLabel([]byte{3}, []byte("go aes"), 256, crypto11.CipherAES)
	if err != nil {
		return err
	}
	aead, err := key.NewGCM()
	if err != nil {
		return err
	}
	nonce := make([]byte, aead.NonceSize())
	plain, err := aead.Open(nil, nonce, aead.Seal(nil, nonce, []byte("gopher"), []byte("header")), []byte("header"))
	if err == nil && string(plain) != "gopher" {
		err = fmt.Errorf("decrypted %q", plain)
	}
	return err
}

func withMiekg() error {
	p := pkcs11.New(module)
	if err := p.Initialize(); err != nil {
		return err
	}
	defer p.Finalize()
	slots, err := p.GetSlotList(true)
	if err != nil {
		return err
	}
	var sessions [goroutines]pkcs11.SessionHandle
	for i := range sessions {
		if sessions[i], err = p.OpenSession(slots[0], pkcs11.CKF_SERIAL_SESSION); err != nil {
			return err
		}
	}
	if err := p.Login(sessions[0], pkcs11.CKU_USER, pin); err != nil {
		return err
	}
	return parallel("miekg", func(i int) error { return signWith(p, sessions[i]) })
}

func signWith(p *pkcs11.Ctx, session pkcs11.SessionHandle) error {
	find := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), pkcs11.NewAttribute(pkcs11.CKA_LABEL, "go ec")}
	if err := p.FindObjectsInit(session, find); err != nil {
		return err
	}
	keys, _, err := p.FindObjects(session, 2)
	if err != nil || len(keys) != 1 {
		return fmt.Errorf("%d keys: %v", len(keys), err)
	}
	if err := p.FindObjectsFinal(session); err != nil {
		return err
	}
	if err := p.SignInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDSA_SHA256, nil)}, keys[0]); err != nil {
		return err
	}
	_, err = p.Sign(session, []byte("gopher"))
	return err
}
