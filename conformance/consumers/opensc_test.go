package consumers

import (
	"os"
	"strings"
	"testing"
)

func TestPkcs11ToolOwnTests(t *testing.T) {
	consumer(t, "pkcs11-tool", "opensc")
	s := start(t)
	s.keyPair(t, "rsa:2048", "an RSA key", "01")
	s.keyPair(t, "EC:prime256v1", "an EC key", "02")
	wants(t, s.tool(t, "--test"), "No errors")
}

// pkcs11-tool opens a read-write session for --test-ec only if another action
// needs one, so a key pair is made beside it.
func TestPkcs11ToolTestEC(t *testing.T) {
	consumer(t, "pkcs11-tool", "opensc")
	s := start(t)
	out := s.tool(t, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "first", "--id", "07", "--test-ec")
	wants(t, out, "Doing a signature")
	if strings.Contains(out, "ERR") || strings.Contains(out, "error") {
		t.Error(out)
	}
}

func TestPkcs11ToolForkAndThreads(t *testing.T) {
	consumer(t, "pkcs11-tool", "opensc")
	s := start(t)
	t.Run("a child initialises the library its parent has initialised", func(t *testing.T) {
		wants(t, s.run(t, "pkcs11-tool", "--module", s.module, "--test-fork"), "C_Initialize in forked child")
	})
	// Letters in pairs: IL initialises with locking, GI asks for the library's
	// information, SL lists slots, T0 shows the first slot's token. The main
	// thread makes a key meanwhile: when it ends first, it waits 30 seconds.
	t.Run("threads initialise and list at the same time", func(t *testing.T) {
		args := []string{"-L", "-M", "--keypairgen", "--key-type", "rsa:3072", "--label", "busy", "--id", "08"}
		for range 4 {
			args = append(args, "--test-threads", "ILGISLT0")
		}
		out := s.tool(t, args...)
		// Later versions of pkcs11-tool say it thread by thread.
		if !strings.Contains(out, "all threads have ended with CKR_OK") && strings.Count(out, "returning rv:CKR_OK") != 4 {
			t.Errorf("not all threads have ended well:\n%s", out)
		}
	})
}

func TestPkcs11ToolLifeOfAToken(t *testing.T) {
	consumer(t, "pkcs11-tool", "opensc")
	s := start(t)
	wants(t, s.run(t, "pkcs11-tool", "--module", s.module, "-L"), s.token, "login required", "token initialized", "PIN initialized")
	wants(t, s.run(t, "pkcs11-tool", "--module", s.module, "-M"), "RSA-PKCS-KEY-PAIR-GEN", "ECDSA", "AES-GCM", "SHA256-HMAC")

	t.Run("keys are made, listed and deleted", func(t *testing.T) {
		s.keyPair(t, "rsa:2048", "doomed", "0a")
		wants(t, s.tool(t, "-O"), "doomed", "RSA 2048 bits", "never extractable")
		s.tool(t, "--delete-object", "--type", "privkey", "--id", "0a")
		s.tool(t, "--delete-object", "--type", "pubkey", "--id", "0a")
		if out := s.tool(t, "-O"); strings.Contains(out, "doomed") {
			t.Errorf("still there:\n%s", out)
		}
	})
	t.Run("keys of every kind that pkcs11-tool names", func(t *testing.T) {
		for _, kind := range []string{"rsa:2048", "EC:secp384r1", "EC:secp521r1", "EC:ed25519", "EC:edwards25519", "EC:curve25519", "EC:X25519", "EC:Ed448"} {
			out, err := s.try(t, call{args: []string{"pkcs11-tool", "--module", s.module, "--login", "--pin", s.pin, "--keypairgen", "--key-type", kind, "--label", kind}})
			unknown := strings.Contains(out, "Unknown EC key params") // to this version of pkcs11-tool
			lacking := os.Getenv("GREP11_SERVICE") != "" && strings.Contains(out, "not supported")
			if err != nil && !unknown && !lacking {
				t.Errorf("%s: %s", kind, out)
			}
		}
	})
	t.Run("data is stored and read back", func(t *testing.T) {
		file := s.write(t, "note", "kept on the token\n")
		s.tool(t, "--write-object", file, "--type", "data", "--label", "note")
		wants(t, s.tool(t, "--read-object", "--type", "data", "--label", "note"), "kept on the token")
	})
	t.Run("a wrong PIN is refused", func(t *testing.T) {
		out, err := s.try(t, call{args: []string{"pkcs11-tool", "--module", s.module, "--login", "--pin", "00000000", "-O"}})
		if err == nil {
			t.Error("accepted")
		}
		wants(t, out, "CKR_PIN_INCORRECT")
	})
}
