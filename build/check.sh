#!/bin/sh
# The linters. All of them run; the exit code says whether all were content.
set -u
cd "$(dirname "$0")/.."
go=${GO:-go}
bad=0

try() {
	echo "check: $1"
	shift
	"$@" || bad=1
}

formatted() {
	list=$(git ls-files -co --exclude-standard '*.go' | xargs -r gofmt -s -l)
	[ -z "$list" ] || { echo "gofmt -s would change:"; echo "$list"; return 1; }
}

# The C files are compiled without cgo's own flags, so that warnings in them
# cannot hide among generated code.
c_warnings() {
	${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -Ic $(git ls-files -co --exclude-standard '*.c')
}

c_format() {
	clang-format --dry-run -Werror $(git ls-files -co --exclude-standard 'c/*.c')
}

tree_state() { git status --porcelain && git diff | cksum; }

# Compared with the tree as it was, so that work in progress is no obstacle.
generated() {
	before=$(tree_state)
	build/generate.sh || return 1
	[ "$before" = "$(tree_state)" ] || { echo "make generate changed:"; git status --short; return 1; }
}

try 'gofmt -s' formatted
try 'go vet' $go vet ./...
# SA1019 names what Go deprecates. Of its crypto packages that is what PKCS#11
# asks for (PKCS#1 v1.5 decryption, points as numbers), and the tests compare with.
try staticcheck $go tool -modfile=build/tools.mod staticcheck -checks inherit,-SA1019 ./...
try 'cc warnings' c_warnings
if [ -e c/.clang-format ] && command -v clang-format >/dev/null; then
	try clang-format c_format
fi
try 'make generate leaves no difference' generated
[ $bad = 0 ] && echo "check: all good"
exit $bad
