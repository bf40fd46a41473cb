package ck

import "log/slog"

// Secret is a PIN, a key or a plaintext: it never prints, in any format.
type Secret []byte

const hidden = "(secret)"

func (Secret) String() string               { return hidden }
func (Secret) GoString() string             { return hidden }
func (Secret) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Wipe overwrites the bytes.
func (s Secret) Wipe() { clear(s) }
