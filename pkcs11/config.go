package pkcs11

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/BurntSushi/toml"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
)

// settings is the client configuration as the module uses it.
type settings struct {
	file       string // absolute; "" where none was found
	slots      []grep11client.Config
	log        logSettings
	wrapPoints bool // Edwards points in an OCTET STRING
	synthetic  bool // keys without a certificate are shown with one
}

// loadSettings finds and reads the configuration. Of a file that is wrong its
// path and [log] come back beside the error.
func loadSettings(reserved string, getenv func(string) string) (settings, error) {
	path := grep11client.FindConfig(ours(reserved), getenv)
	if path == "" {
		return settings{}, nil
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	f, err := grep11client.LoadConfig(path)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return settings{}, fmt.Errorf("%v: %w", err, ck.CKR_HOST_MEMORY)
	}
	if err != nil {
		return settings{file: path, log: logOfWrong(path)}, fmt.Errorf("%v: %w", err, ck.CKR_ARGUMENTS_BAD)
	}
	return settings{file: path, slots: f.Slots, log: logOf(f.Log), wrapPoints: f.EdwardsPoints == "der",
		synthetic: f.SyntheticCertificates}, nil
}

// ours is the part of C_Initialize's text that is meant for us: config=PATH
// among its words, or a path alone. NSS and others pass parameters of their own.
func ours(reserved string) string {
	for _, word := range strings.Fields(reserved) {
		if strings.HasPrefix(word, "config=") {
			return word
		}
	}
	if strings.ContainsAny(reserved, "=\n") {
		return ""
	}
	return reserved
}

func logOf(l grep11client.Log) logSettings {
	s := logSettings{to: l.File, level: slog.LevelWarn, trace: l.Trace}
	if l.Level != "" {
		_ = s.level.UnmarshalText([]byte(l.Level)) // its spelling was checked
	}
	return s
}

// logOfWrong finds [log] in a file that cannot be read as a whole. Without one
// the fault goes to syslog: the terminal is the application's.
func logOfWrong(path string) logSettings {
	var form struct {
		File  string `toml:"file"`
		Level string `toml:"level"`
	}
	text, err := os.ReadFile(path)
	if err == nil {
		_, err = toml.Decode(section(string(text), "[log]"), &form)
	}
	if err != nil || form.File == "" {
		return logSettings{to: toSyslog}
	}
	if form.File != toStderr && form.File != toSyslog && !filepath.IsAbs(form.File) {
		form.File = filepath.Join(filepath.Dir(path), form.File)
	}
	return logSettings{to: form.File}
}

// section cuts one section's lines out of a text.
func section(text, head string) string {
	var out strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "[") {
			inside = strings.HasPrefix(trimmed, head)
		} else if inside {
			out.WriteString(line)
		}
	}
	return out.String()
}
