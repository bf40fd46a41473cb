package consumers

import (
	"os"
	"path/filepath"
	"strings"
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
	consumer(t, "javac", "default-jdk-headless")
	for alias, kind := range map[string][]string{
		"java-rsa": {"-keyalg", "RSA", "-keysize", "2048"},
		"java-ec":  {"-keyalg", "EC", "-groupname", "secp256r1"},
	} {
		s.keytool(t, append([]string{"-genkeypair", "-alias", alias, "-dname", "CN=localhost", "-ext", "san=dns:localhost,ip:127.0.0.1"}, kind...)...)
	}
}

func TestJavaThreads(t *testing.T) {
	consumer(t, "javac", "default-jdk-headless")
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

// Keys without certificates are seen once the configuration says so, and a
// certificate from a certification authority takes the made-up one's place.
func TestJavaKeysWithoutCertificates(t *testing.T) {
	consumer(t, "javac", "default-jdk-headless")
	s := start(t)
	s.keyPair(t, "rsa:2048", "bare-rsa", "d1")
	s.keyPair(t, "EC:prime256v1", "bare-ec", "d2")
	if out := s.keytool(t, "-list"); strings.Contains(out, "bare") {
		t.Errorf("seen without having been asked for:\n%s", out)
	}
	s.setting(t, "synthetic_certificates = true")
	wants(t, s.keytool(t, "-list"), "bare-rsa, PrivateKeyEntry", "bare-ec, PrivateKeyEntry")
	wants(t, s.run(t, s.java(t, "Sign")...), "signed with bare-ec, a key of CN=bare-ec", "signed with bare-rsa", "sign ok")

	s.keytool(t, "-certreq", "-alias", "bare-rsa", "-file", s.path("bare.csr"), "-dname", "CN=certified")
	s.run(t, "openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=an authority", "-days", "30")
	s.run(t, "openssl", "x509", "-req", "-in", "bare.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-out", "bare.pem")
	s.run(t, "sh", "-c", "cat bare.pem ca.pem > chain.pem")
	s.keytool(t, "-importcert", "-noprompt", "-alias", "bare-rsa", "-file", s.path("chain.pem"))
	wants(t, s.keytool(t, "-list", "-v", "-alias", "bare-rsa"), "Entry type: PrivateKeyEntry", "Owner: CN=certified", "Issuer: CN=an authority")
	wants(t, s.run(t, s.java(t, "Sign")...), "a key of CN=certified", "sign ok")
}

// setting puts a line at the top of the client configuration.
func (s *service) setting(t *testing.T, line string) {
	t.Helper()
	text, err := os.ReadFile(s.config)
	if err == nil {
		err = os.WriteFile(s.config, append([]byte(line+"\n"), text...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Two keys with one label are two entries; two pairs that share an id are of
// no use to Java, but must not keep it from the others.
func TestJavaDuplicates(t *testing.T) {
	s := start(t)
	s.javaKeys(t)
	s.setting(t, "synthetic_certificates = true")
	for _, id := range []string{"e1", "e2", "e3", "e3"} {
		s.keyPair(t, "EC:prime256v1", "double", id)
	}
	out := s.run(t, s.java(t, "Sign")...)
	wants(t, out, "signed with java-ec", "signed with java-rsa", "sign ok")
	if n := strings.Count(out, "a key of CN=double"); n != 2 {
		t.Errorf("%d keys called double are usable, want 2", n)
	}
}

func TestJarsigner(t *testing.T) {
	s := start(t)
	s.javaKeys(t)
	s.write(t, "content", "signed with a key in the HSM\n")
	for _, alias := range []string{"java-rsa", "java-ec"} {
		t.Run(alias, func(t *testing.T) {
			s.run(t, "jar", "cf", "content.jar", "content")
			s.run(t, "jarsigner", "-storetype", "PKCS11", "-keystore", "NONE", "-storepass", s.pin, "-addprovider", "SunPKCS11",
				"-providerArg", s.snippet(t, "java.cfg"), "content.jar", alias)
			wants(t, s.run(t, "jarsigner", "-verify", "content.jar"), "jar verified")
		})
	}
}

// The JVM checks the use of its own native interface, and warns of signal
// handlers that are not its own: those of Go, which pass on what is not theirs.
func TestJavaChecked(t *testing.T) {
	s := start(t)
	s.javaKeys(t)
	command := s.java(t, "Sign")
	for _, collector := range []string{"-XX:+UseSerialGC", "-XX:+UseG1GC"} {
		out := s.run(t, append([]string{command[0], "-Xcheck:jni", "-Xss512k", collector}, command[1:]...)...)
		wants(t, out, "sign ok")
		if strings.Contains(out, "FATAL ERROR in native method") {
			t.Errorf("%s:\n%s", collector, tail(out, 4000))
		}
	}
}
