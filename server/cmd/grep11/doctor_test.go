package main

import (
	"strings"
	"testing"
)

func TestTheDoctorNamesTheCause(t *testing.T) {
	for _, row := range []struct{ name, script, want string }{
		{"a client key that is none", `cd $GREP11_DIR && echo x >x.key && sed 's|key = "[^"]*"|key = "x.key"|' client.toml >ill.toml && $SELF doctor --config ill.toml`, "slot.tls.key"},
		{"a client certificate that is none", `cd $GREP11_DIR && echo x >x.pem && sed 's|cert = "[^"]*"|cert = "x.pem"|' client.toml >ill.toml && $SELF doctor --config ill.toml`, "slot.tls.cert"},
		{"a CA that is none", `cd $GREP11_DIR && echo x >x.pem && sed 's|ca = "[^"]*"|ca = "x.pem"|' client.toml >ill.toml && $SELF doctor --config ill.toml`, "slot.tls.ca"},
		{"a log that cannot be written", `cd $GREP11_DIR && { cat client.toml; printf '\n[log]\nfile = "nowhere/log"\n'; } >ill.toml && $SELF doctor --config ill.toml`, "log.file"},
		{"no TLS where the server has it", `cd $GREP11_DIR && printf '[[slot]]\nendpoints = ["%s"]\n' $GREP11_ADDRESS >ill.toml && $SELF doctor --config ill.toml`, "speaks TLS"},
		{"TLS where the server has none", `cd $GREP11_DIR && sed "s|$GREP11_ADDRESS|$GREP11_PLAINTEXT_ADDRESS|" client.toml >ill.toml && $SELF doctor --config ill.toml`, "speaks no TLS"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := output(t, 1, "dev", "--plaintext", "127.0.0.1:0", "--", "sh", "-c", row.script)
			_, advice, _ := strings.Cut(got, "FAIL")
			if !strings.Contains(advice, row.want) || strings.Count(got, "FAIL") != 1 {
				t.Errorf("not one failure that names %q:\n%s", row.want, got)
			}
		})
	}
}
