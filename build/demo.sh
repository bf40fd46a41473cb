#!/bin/bash
# make demo: the service, and real applications that use keys in it. It starts
# everything itself, in a temporary folder, and leaves nothing behind.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

# The outer run starts the service; `grep11 dev` runs this script again inside.
if [ -z "${GREP11_DIR:-}" ] || [ "${1:-}" != inside ]; then
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	cat <<-TEXT

	1. A network HSM, in one command: build/out/grep11 dev

	   It starts a GREP11 server with two emulated crypto units that share one
	   master key, a key store, a private CA for mutual TLS, and a token called
	   "dev". What follows runs as its clients.
	TEXT
	build/out/grep11 dev --dir "$dir" -- "$root/build/demo.sh" inside 2>"$dir/log" || {
		code=$?
		echo "The demo failed ($code); the service's log ends with:"
		tail -n 20 "$dir/log"
		exit $code
	}
	exit 0
fi

work=$GREP11_DIR/demo
mkdir -p "$work"
cd "$work"
nginx=$(command -v nginx || echo /usr/sbin/nginx)

stop() {
	[ ! -e nginx.pid ] || kill "$(cat nginx.pid)" 2>/dev/null || true
}
trap stop EXIT

say() { printf '\n%s\n\n' "$*"; }

# run CMD...: shows a command and its output, indented.
run() {
	printf '   $ %s\n' "$*" | sed "s#$PKCS11_MODULE#\$PKCS11_MODULE#g; s#$GREP11_PIN#\$GREP11_PIN#g"
	"$@" 2>&1 | sed 's/^/     /'
}

tool=(pkcs11-tool --module "$PKCS11_MODULE" --token-label "$GREP11_TOKEN" --login --pin "$GREP11_PIN")

say "2. pkcs11-tool makes a key pair on the token. The private key exists only inside
   the crypto unit; outside, it is a blob sealed under the unit's master key."
run "${tool[@]}" --keypairgen --key-type EC:prime256v1 --label web --id 01

say "3. OpenSSL asks the token to sign a certificate request with that key, and a
   certificate for the web server. It never sees the private key."
config=$root/conformance/consumers/testdata
sed "s#/usr/lib/x86_64-linux-gnu/libgrep11-pkcs11.so#$PKCS11_MODULE#; s#/etc/grep11/client.toml#$GREP11_PKCS11_CONFIG#; s#^PIN = .*#PIN = $GREP11_PIN#" \
	"$config/openssl.cnf" >openssl.cnf
chmod 600 openssl.cnf
export OPENSSL_CONF=$work/openssl.cnf
key="pkcs11:token=$GREP11_TOKEN;object=web;type=private"
engine=(-engine pkcs11 -keyform engine -key "$key" -sha256 -subj /CN=localhost)
run openssl req -new "${engine[@]}" -out request.pem
run openssl req -in request.pem -verify -noout
run openssl req -new -x509 -days 7 "${engine[@]}" -addext subjectAltName=DNS:localhost -out certificate.pem

say "4. nginx serves TLS with the key: a master process and 2 workers, which it forks
   after the library was loaded."
cat >nginx.conf <<CONF
$([ "$(id -u)" != 0 ] || echo "user root;")
pid nginx.pid;
error_log error.log;
worker_processes 2;
ssl_engine pkcs11;
events { }
http {
	access_log off;
	client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
	server {
		listen unix:$work/web.socket ssl;
		ssl_protocols TLSv1.2 TLSv1.3;
		ssl_certificate certificate.pem;
		ssl_certificate_key "engine:pkcs11:$key";
		location / { return 200 "hello\n"; }
	}
}
CONF
run "$nginx" -p "$work" -c nginx.conf
for _ in $(seq 100); do [ -S web.socket ] && [ -s nginx.pid ] && break; sleep 0.1; done
workers() { cat /proc/"$(cat nginx.pid)"/task/*/children | wc -w; }
for _ in $(seq 50); do [ "$(workers)" = 2 ] && break; sleep 0.1; done
echo "     nginx runs with $(workers) workers."

say "5. openssl s_client connects, and checks the certificate and the signature that
   the crypto unit made for this very connection."
handshake() {
	env -u OPENSSL_CONF openssl s_client -unix web.socket -servername localhost -verify_hostname localhost \
		-CAfile certificate.pem -verify_return_error -brief </dev/null 2>&1
}
handshake | grep -E 'Protocol version|Ciphersuite|Verification|Verified peername' | sed 's/^/     /'

began=$(date +%s%N)
for i in $(seq 20); do handshake >/dev/null || { echo "     handshake $i failed"; exit 1; }; done
echo "     20 more handshakes, all verified, in $((($(date +%s%N) - began) / 1000000)) ms."

say "6. nginx reloads its configuration: new workers, same key, no restart of anything."
kill -HUP "$(cat nginx.pid)"
sleep 1
handshake >/dev/null && echo "     The new workers serve: handshake verified."

say "7. What lies on the token:"
run "${tool[@]}" --list-objects --type privkey

say "All of it worked. Try it yourself:

     build/out/grep11 dev -- sh -c 'pkcs11-tool --module \$PKCS11_MODULE --list-slots'
     build/out/grep11 dev            (serves until Ctrl-C; prints what to export)
     build/out/grep11 --help         and README.md"
