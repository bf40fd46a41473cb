#!/bin/sh
# Runs every fuzz target of the tree for FUZZTIME each (default 10s). A finding
# is left by go in the package's testdata/fuzz; the run goes on with the next.
set -u
cd "$(dirname "$0")/.."
go=${GO:-go}
time=${FUZZTIME:-10s}
bad=0
for pkg in $($go list ./...); do
	dir=$($go list -f '{{.Dir}}' "$pkg")
	for target in $(cat "$dir"/*_test.go 2>/dev/null | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p'); do
		echo "fuzz: $pkg $target for $time"
		$go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$pkg" || bad=1
	done
done
exit $bad
