package consumers

import (
	"path/filepath"
	"testing"
)

// java compiles a program of testdata/java and gives the command that runs it
// with the token.
func (s *service) java(t *testing.T, program string, args ...string) []string {
	t.Helper()
	sources, err := filepath.Abs("testdata/java")
	if err != nil {
		t.Fatal(err)
	}
	classes := s.path("classes")
	s.run(t, "javac", "-Xlint:all", "-Werror", "-d", classes, "-sourcepath", sources, filepath.Join(sources, program+".java"))
	return append([]string{"java", "-cp", classes, "-Xmx256m", program, s.snippet(t, "java.cfg"), s.pin}, args...)
}

// keytool runs Java's keytool on the token.
func (s *service) keytool(t *testing.T, args ...string) string {
	t.Helper()
	return s.run(t, append(append([]string{"keytool"}, args...), "-storetype", "PKCS11", "-keystore", "NONE", "-storepass", s.pin,
		"-addprovider", "SunPKCS11", "-providerarg", s.snippet(t, "java.cfg"))...)
}

// javaKeys makes two keys with certificates the way Java users do.
func (s *service) javaKeys(t *testing.T) {
	t.Helper()
	consumer(t, "javac", "openjdk-17-jdk-headless")
	for alias, kind := range map[string][]string{
		"java-rsa": {"-keyalg", "RSA", "-keysize", "2048"},
		"java-ec":  {"-keyalg", "EC", "-groupname", "secp256r1"},
	} {
		s.keytool(t, append([]string{"-genkeypair", "-alias", alias, "-dname", "CN=localhost", "-ext", "san=dns:localhost,ip:127.0.0.1"}, kind...)...)
	}
}

func TestJavaThreads(t *testing.T) {
	consumer(t, "javac", "openjdk-17-jdk-headless")
	s := start(t)
	wants(t, s.run(t, s.java(t, "Threads")...), "threads: 320 rounds ok")
}

func TestJavaKeyStore(t *testing.T) {
	s := start(t)
	s.javaKeys(t)
	wants(t, s.keytool(t, "-list"), "java-rsa, PrivateKeyEntry", "java-ec, PrivateKeyEntry")
	s.run(t, "keytool", "-genkeypair", "-alias", "made", "-keyalg", "RSA", "-keysize", "2048", "-dname", "CN=made elsewhere",
		"-storetype", "PKCS12", "-keystore", s.path("made.p12"), "-storepass", "password")
	out := s.run(t, s.java(t, "Store", s.path("made.p12"))...)
	wants(t, out, "alias imported key=true", "alias java-ec key=true", "alias java-rsa key=true", "store ok")
}

func TestJavaTLS(t *testing.T) {
	s := start(t)
	s.javaKeys(t)
	out := s.run(t, s.java(t, "Tls")...)
	wants(t, out, "tls TLSv1.3 null ok", "ECDHE_RSA_WITH_AES_128_GCM_SHA256 ok", "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 ok")
}
