package consumers

import (
	"testing"
)

// Thin wrappers show their users our return codes as they are.
func TestPyKCS11(t *testing.T) {
	consumer(t, "/usr/bin/python3", "python3-pykcs11")
	s := start(t)
	out := s.call(t, call{args: []string{"/usr/bin/python3", testdata(t, "pykcs11.py")},
		env: []string{"PKCS11_MODULE=" + s.module, "GREP11_TOKEN=" + s.token, "GREP11_PIN=" + s.pin}})
	wants(t, out, "python ok")
}

// A Go program loads the library: two Go runtimes in one process. The program
// is a module of its own, so that what it needs is not what grep11 needs.
func TestGoHosts(t *testing.T) {
	consumer(t, "go", "go")
	s := start(t)
	program := s.path("gohost")
	s.run(t, "go", "build", "-C", testdata(t, "gohost"), "-o", program, ".")
	out := s.call(t, call{args: []string{program},
		env: []string{"PKCS11_MODULE=" + s.module, "GREP11_TOKEN=" + s.token, "GREP11_PIN=" + s.pin, "GODEBUG=gctrace=0", "GOGC=20"}})
	wants(t, out, "crypto11: 160 signatures ok", "miekg: 160 signatures ok")
}
