package server

import (
	"fmt"
	"log/slog"
	"os"
)

// warnOfReaders names the files with secrets that everybody on the machine may read
// or change. It is no reason not to start: a group's rights, and a container's of one
// user, are its owner's business.
func warnOfReaders(c Config, log *slog.Logger) {
	type secret struct{ key, path string }
	files := []secret{{"tls.key", c.TLS.Key}}
	for _, u := range c.Units {
		unit := fmt.Sprintf("unit %q ", u.Name)
		files = append(files, secret{unit + "key_file", u.KeyFile}, secret{unit + "passphrase_file", u.PassphraseFile}, secret{unit + "pin_file", u.PINFile})
	}
	warned := map[string]bool{}
	for _, f := range files {
		info, err := os.Stat(f.path)
		if f.path == "" || err != nil || info.Mode()&0o007 == 0 || warned[f.path] {
			continue // what is not there is said by who needs it
		}
		warned[f.path] = true
		log.Warn("a secret that everybody on this machine may read or change: chmod o= it", "key", f.key, "file", f.path, "mode", info.Mode().String())
	}
}
