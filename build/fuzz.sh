#!/bin/sh
# Runs every fuzz target of the tree for FUZZTIME each (default 10s). A finding
# is left in the package's testdata/fuzz; the run goes on with the next.
#
# `fuzz.sh short` is for make test: it uses what was compiled for the race
# detector, since instrumenting all packages for coverage takes minutes. Inputs
# are changed at random then, without looking at what they reach.
set -u
cd "$(dirname "$0")/.."
go=${GO:-go}
time=${FUZZTIME:-10s}
mode=${1:-long}
out=$PWD/build/out/fuzz
bad=0

targets() { cat "$1"/*_test.go 2>/dev/null | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p'; }

# Packages with targets, as folders.
folders() {
	for dir in $($go list -f '{{.Dir}}' ./...); do
		[ -z "$(targets "$dir")" ] || echo "$dir"
	done
}

# A run, with what it prints in $out/log.
long() { $go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" "$1" 2>&1 | tee "$out/log"; }
short() {
	cd "$1" && "$out/$(basename "$1").test" -test.run '^$' -test.fuzz "^$2\$" -test.fuzztime "$time" \
		-test.fuzzcachedir "$out/cache" >"$out/log" 2>&1
}

# Whether the run ended well. Before 1.27, Go's fuzzer may call the end of its
# time a failure (golang/go#75804): one that leaves no input is none.
well() {
	grep -q '^PASS$' "$out/log" && return
	grep -q '^    context deadline exceeded$' "$out/log" && ! grep -q 'Failing input\|seed corpus entry' "$out/log"
}

dirs=$(folders)
rm -rf "$out" && mkdir -p "$out/cache"
if [ "$mode" = short ]; then
	$go test -race -c -o "$out/" $dirs || exit 1
fi
for dir in $dirs; do
	for target in $(targets "$dir"); do
		echo "fuzz: ${dir#"$PWD"/} $target for $time"
		($mode "$dir" "$target")
		well && continue
		bad=1
		[ "$mode" = long ] || cat "$out/log"
	done
done
rm -rf "$out"
exit $bad
