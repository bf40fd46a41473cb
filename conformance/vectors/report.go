// Package vectors runs published test vectors (the Wycheproof files) against a
// GREP11 server: every case goes through grep11.Crypto, its keys included, so
// that the whole way from the wire to the crypto unit is checked. Then it runs
// them through the library, as an application would: keys are objects, calls
// are C functions, parameters are structures.
package vectors

import (
	"fmt"
	"io"
	"sort"
)

// Report is what a run found.
type Report struct {
	Files []File
}

// File is the result of one file of vectors.
type File struct {
	Name                 string
	Run, Passed, LeftOut int
	Why                  map[string]int // reasons for leaving cases out
	Wrong                []string       // one line for each wrong answer
}

func (f *File) leaveOut(why string, n int) {
	if f.Why == nil {
		f.Why = map[string]int{}
	}
	f.Why[why] += n
	f.LeftOut += n
}

// Wrong counts the wrong answers of all files.
func (r Report) Wrong() int {
	n := 0
	for _, f := range r.Files {
		n += len(f.Wrong)
	}
	return n
}

// Run counts the cases that were run.
func (r Report) Run() int {
	n := 0
	for _, f := range r.Files {
		n += f.Run
	}
	return n
}

// Print writes a line for each file, its reasons and wrong answers below it,
// and a summary.
func (r Report) Print(w io.Writer) {
	leftOut, whole := 0, 0
	for _, f := range r.Files {
		fmt.Fprintf(w, "%-52s run %4d  passed %4d  left out %4d\n", f.Name, f.Run, f.Passed, f.LeftOut)
		for _, why := range sorted(f.Why) {
			fmt.Fprintf(w, "    left out %d: %s\n", f.Why[why], why)
		}
		for _, line := range f.Wrong {
			fmt.Fprintf(w, "    WRONG %s\n", line)
		}
		leftOut += f.LeftOut
		if f.Run > 0 {
			whole++
		}
	}
	fmt.Fprintf(w, "%d of %d files, %d cases run, %d left out, %d wrong answers\n", whole, len(r.Files), r.Run(), leftOut, r.Wrong())
}

func sorted(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
