#!/bin/sh
# Installs the Debian packages that one of make's verbs needs; says nothing
# when they are there.
#
#	build/deps.sh build|demo|test|bench|check|generate
#
# It wants root or sudo only when something is missing. On systems without
# dpkg it trusts that the programs were installed in another way.
set -eu

build="gcc libc6-dev libssl-dev"
demo="$build opensc libengine-pkcs11-openssl openssl nginx"
generate="protobuf-compiler"
check="$build $generate git"
bench="$demo softhsm2 p11-kit p11-kit-modules"
test="$bench $generate git default-jdk-headless openssh-client gnutls-bin libnss3-tools postgresql iproute2
	apache2-bin stunnel4 haproxy curl openssh-server knot-dnssecutils bind9-utils strongswan-pki openvpn
	libstrongswan-extra-plugins libstrongswan-standard-plugins gnupg-pkcs11-scd gpgsm gpg-agent gpgconf python3-pykcs11"

case ${1:-} in
build) want=$build ;;
demo) want=$demo ;;
test) want=$test ;;
bench) want=$bench ;;
check) want=$check ;;
generate) want=$generate ;;
*) echo "usage: build/deps.sh build|demo|test|bench|check|generate" >&2; exit 2 ;;
esac

command -v dpkg-query >/dev/null || exit 0

missing=
for p in $want; do
	case $(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null) in
	installed) ;;
	*) case " $missing " in *" $p "*) ;; *) missing="$missing $p" ;; esac ;;
	esac
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "These Debian packages are missing, and there is no sudo to install them:$missing" >&2
		exit 1
	fi
	as_root=sudo
fi

echo "Installing Debian packages:$missing"
# Packages that bring a daemon (nginx) would start it: the tests run their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap '$as_root rm -f $policy' EXIT
	printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
	$as_root chmod 755 $policy
fi
log=$(mktemp)
apt() {
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 </dev/null
}
# A failed update is no reason to stop: the lists may be good enough.
apt update || cat "$log" >&2
if ! apt install --yes --no-install-recommends $missing; then
	cat "$log" >&2
	exit 1
fi
rm -f "$log"
