package main

import (
	"path/filepath"
	"strconv"
	"text/template"
)

// The files of a development service. toml's basic strings quote as Go does,
// for all that a path holds.

var functions = template.FuncMap{"quote": strconv.Quote, "join": filepath.Join}

func parse(name, text string) *template.Template {
	return template.Must(template.New(name).Funcs(functions).Parse(text))
}

var serverTemplate = parse("server.toml", `# Made by "grep11 dev", which writes it again at each start.

[listen]
tls = [{{quote .Listen}}]
{{- if .Plaintext}}
plaintext = [{{quote .Plaintext}}]
{{- end}}

[tls]
cert = "server.pem"
key = "server.key"
client_ca = "ca.pem"
# GREP11 clients often have no certificate. A service for others requires one.
client_auth = "optional"

[auth]
admins = [{{quote .Admin}}]

[keystore]
path = "keystore.db"

[audit]
level = "warn"
{{range .Units}}
[[unit]]
name = {{quote .Name}}
{{- if .Zone}}
zone = {{quote .Zone}}
{{- end}}
{{- if .Module}}
kind = "pkcs11"
module = {{quote .Module}}
token = {{quote .Token}}
pin_file = "hsm.pin"
# For all that applications try. Off, keys never leave the HSM in the clear.
keys_in_memory = true
{{- else}}
kind = "soft"
state = {{quote (join "units" .Name)}}
key_file = "unit.key"
{{- end}}
{{end}}`)

var clientTemplate = parse("client.toml", `# Made by "grep11 dev": one slot per token of the service, and one for a new token.

[[slot]]
endpoints = [{{quote .Endpoint}}]
tls = { ca = {{quote (join .Dir "ca.pem")}}, cert = {{quote (join .Dir "client.pem")}}, key = {{quote (join .Dir "client.key")}} }
`)
