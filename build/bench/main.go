// Command bench compares the service with what runs beside it on this machine:
// SoftHSM2 in the application's process, SoftHSM2 behind p11-kit's remoting,
// and libcrypto alone. Every module is loaded through C (worker/module.c) and
// driven by the same loop; ours is reached over TCP with mutual TLS.
//
//	make bench
//	make bench BENCH="-time 3s -keys 100000"
//	make bench BENCH="-work nginx -only softhsm,grep11"
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	perWork  = flag.Duration("time", 400*time.Millisecond, "how long each operation is timed, per round and number of threads")
	rounds   = flag.Int("rounds", 3, "how often each candidate is measured, in turn; the tables show medians")
	keyCount = flag.Int("keys", 5000, "how many keys the token holds for \"find\"")
	part     = flag.String("work", "", "a part of the names of the operations to measure; all unless given")
	only     = flag.String("only", "libcrypto,softhsm,p11-kit,grep11", "what to measure, by name")
)

// manyThreads is the concurrent case of the design's table.
const manyThreads = 16

func main() {
	log.SetFlags(0)
	flag.Parse()
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	b := &bench{scratch: dir, cache: "build/out/bench", results: map[key][]result{}}
	if err := b.run(); err != nil {
		os.RemoveAll(dir)
		log.Fatal("bench: ", err)
	}
	b.print(os.Stdout)
}

func (b *bench) run() error {
	if err := b.compile(); err != nil {
		return err
	}
	for b.round = range *rounds {
		b.dir = filepath.Join(b.scratch, strconv.Itoa(b.round))
		if err := os.Mkdir(b.dir, 0o700); err != nil {
			return err
		}
		for _, c := range candidates {
			if !strings.Contains(*only, c.name) {
				continue
			}
			log.Printf("round %d of %d: measuring %s ...", b.round+1, *rounds, c.name)
			if err := c.measure(b); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	return nil
}

// A key names one measurement.
type key struct {
	candidate, work string
	threads         int
}

type result struct {
	perSecond, medianMicros float64
	failure                 string
}

type bench struct {
	scratch string
	round   int
	dir     string // scratch of the round
	cache   string // compiled workers, and SoftHSM2's filled token
	results map[key][]result
}

// result is the median of the rounds. An operation that failed in one has failed.
func (b *bench) result(candidate, work string, threads int) (r result, measured bool) {
	all := b.results[key{candidate, work, threads}]
	if len(all) == 0 {
		return r, false
	}
	var rates, medians []float64
	for _, one := range all {
		if one.failure != "" {
			return one, true
		}
		rates, medians = append(rates, one.perSecond), append(medians, one.medianMicros)
	}
	slices.Sort(rates)
	slices.Sort(medians)
	return result{perSecond: rates[len(rates)/2], medianMicros: medians[len(medians)/2]}, true
}

// take reads a worker's lines; see worker/loop.h.
func (b *bench) take(candidate, out string) error {
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(f) != 5 {
			return fmt.Errorf("worker said %q", line)
		}
		threads, err1 := strconv.Atoi(f[1])
		rate, err2 := strconv.ParseFloat(f[2], 64)
		median, err3 := strconv.ParseFloat(f[3], 64)
		if err1 != nil || err2 != nil || err3 != nil {
			return fmt.Errorf("worker said %q", line)
		}
		b.add(candidate, f[0], threads, result{rate, median, f[4]})
	}
	return nil
}

func (b *bench) add(candidate, work string, threads int, r result) {
	k := key{candidate, work, threads}
	if len(b.results[k]) > b.round {
		return // the module was loaded twice
	}
	b.results[k] = append(b.results[k], r)
}

// wanted is those of the works that are to be measured.
func wanted(works ...string) []string {
	return slices.DeleteFunc(slices.Clone(works), func(w string) bool { return !strings.Contains(w, *part) })
}

func (b *bench) worker(name string) string {
	path, _ := filepath.Abs(filepath.Join(b.cache, name))
	return path
}
