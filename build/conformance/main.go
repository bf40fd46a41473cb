// Command conformance runs the suites against each kind of service and prints a
// table of what each passes.
//
//	go run ./build/conformance [-run REGEXP] [KIND...]
//
// Without a KIND: emulated, softhsm and plain (conformance/kind). Tests are left
// out where an HSM lacks what they need. The exit code is 1 if any failed.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

var (
	kinds  = []string{"emulated", "softhsm", "plain"}
	suites = []string{"conformance", "conformance/consumers", "conformance/grep11", "conformance/vectors"}
)

// outcome counts a suite's tests.
type outcome struct {
	passed          int
	failed, leftOut []string
}

func main() {
	only := flag.String("run", "", "only the tests that match, as go test has it")
	flag.Parse()
	if flag.NArg() > 0 {
		kinds = flag.Args()
	}
	results := map[[2]string]outcome{}
	ok := true
	for _, kind := range kinds {
		for _, suite := range suites {
			fmt.Fprintf(os.Stderr, "%s: %s\n", kind, suite)
			o, err := run(kind, suite, *only)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			ok = ok && len(o.failed) == 0
			results[[2]string{kind, suite}] = o
		}
	}
	show(os.Stdout, results)
	if !ok {
		os.Exit(1)
	}
}

// run runs one suite. Its output is shown as it comes.
func run(kind, suite, only string) (outcome, error) {
	c := exec.Command("go", "test", "-count=1", "-json", "-timeout", "30m", "-run", only, "./"+suite)
	c.Env = append(os.Environ(), "GREP11_SERVICE="+kind)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return outcome{}, err
	}
	o := read(out)
	if err := c.Wait(); err != nil && len(o.failed) == 0 {
		return o, fmt.Errorf("%s on %s: %w", suite, kind, err)
	}
	return o, nil
}

// read takes go test's events. Tests count, and not their parts.
func read(r io.Reader) (o outcome) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e struct{ Action, Test, Output string }
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		fmt.Fprint(os.Stderr, e.Output)
		switch {
		case e.Test == "" || strings.Contains(e.Test, "/"):
		case e.Action == "pass":
			o.passed++
		case e.Action == "fail":
			o.failed = append(o.failed, e.Test)
		case e.Action == "skip":
			o.leftOut = append(o.leftOut, e.Test)
		}
	}
	return o
}

func show(w io.Writer, results map[[2]string]outcome) {
	fmt.Fprintf(w, "| suite | %s |\n|---|%s\n", strings.Join(kinds, " | "), strings.Repeat("---|", len(kinds)))
	for _, suite := range suites {
		fmt.Fprintf(w, "| %s |", suite)
		for _, kind := range kinds {
			o := results[[2]string{kind, suite}]
			fmt.Fprintf(w, " %d of %d |", o.passed, o.passed+len(o.failed)+len(o.leftOut))
		}
		fmt.Fprintln(w)
	}
	for _, kind := range kinds {
		for _, suite := range suites {
			o := results[[2]string{kind, suite}]
			list(w, kind, suite, "failed", o.failed)
			list(w, kind, suite, "left out", o.leftOut)
		}
	}
	fmt.Fprintln(w)
}

func list(w io.Writer, kind, suite, what string, tests []string) {
	slices.Sort(tests)
	for _, test := range tests {
		fmt.Fprintf(w, "\n%s, %s: %s %s", kind, suite, test, what)
	}
}
