package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// An aim compares ours with another candidate's figure, or with a number.
type aim struct {
	times   float64
	than    string  // a candidate; empty: the number below
	atLeast float64 // ops/s
}

// rows of the tables, with what the design aims at for 16 threads.
var rows = []struct {
	work string
	aims []aim
}{
	{"RSA-2048 sign", []aim{{times: 0.8, than: "libcrypto"}, {times: 2, than: "softhsm"}}},
	{"P-256 sign", []aim{{times: 1.3, than: "softhsm"}, {times: 8, than: "p11-kit"}}},
	{"Ed25519 sign", []aim{{times: 3, than: "softhsm"}}},
	{"AES-CBC 4 kB", []aim{{times: 0.6, than: "softhsm"}}},
	{"SHA-256 of 32 B", []aim{{times: 0.5, than: "softhsm"}}},
	{"random 32 B", nil},
	{"open + close session", []aim{{times: 0.5, than: "softhsm"}}},
	{"sign 64 kB in 16 parts", []aim{{times: 2, than: "softhsm"}}},
	{"find by label", []aim{{atLeast: 5000}}},
	{"create token keys", []aim{{atLeast: 1000}}},
	{handshakes, []aim{{times: 1, than: "softhsm"}}},
}

// wakeUps is what a call to another process cannot do without. It differs more
// from machine to machine than anything else here.
const wakeUps = "wake a thread, be woken"

// maxMedian are aims for one caller, in microseconds.
var maxMedian = map[string]float64{"P-256 sign": 150, "load + C_Initialize": 60000}

func (b *bench) print(w io.Writer) {
	fmt.Fprintf(w, "\nops/s with %d threads (with 1)\n\n", manyThreads)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tlibcrypto\tSoftHSM2\tp11-kit\tgrep11, mTLS\t  aim: measured\t")
	for _, row := range rows {
		if len(wanted(row.work)) == 0 {
			continue
		}
		fmt.Fprintf(t, "%s", row.work)
		for _, c := range candidates {
			fmt.Fprintf(t, "\t%s", b.cell(c.name, row.work))
		}
		fmt.Fprintf(t, "\t  %s\t\n", b.verdicts(row.work, row.aims))
	}
	t.Flush()

	fmt.Fprintf(w, "\nmedian of one caller, in microseconds\n\n")
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tlibcrypto\tSoftHSM2\tp11-kit\tgrep11, mTLS\t  aim\t")
	b.medianRow(t, wakeUps)
	b.medianRow(t, "load + C_Initialize")
	for _, row := range rows {
		b.medianRow(t, row.work)
	}
	t.Flush()
	b.printFailures(w)
}

func (b *bench) cell(candidate, work string) string {
	many, measured := b.result(candidate, work, manyThreads)
	one, _ := b.result(candidate, work, 1)
	switch {
	case !measured:
		return "-"
	case one.failure != "" && many.failure != "":
		return "fails"
	case many.failure != "":
		return "fails (" + number(one.perSecond) + ")"
	}
	return number(many.perSecond) + " (" + number(one.perSecond) + ")"
}

func (b *bench) verdicts(work string, aims []aim) string {
	mine, _ := b.result("grep11", work, manyThreads)
	ours := mine.perSecond
	var all []string
	for _, a := range aims {
		if a.than == "" {
			all = append(all, fmt.Sprintf(">= %s: %s", number(a.atLeast), yes(ours >= a.atLeast)))
			continue
		}
		if other, _ := b.result(a.than, work, manyThreads); other.perSecond > 0 && other.failure == "" {
			ratio := ours / other.perSecond
			all = append(all, fmt.Sprintf(">= %g x %s: %.2f %s", a.times, a.than, ratio, yes(ratio >= a.times)))
		}
	}
	return strings.Join(all, ", ")
}

func (b *bench) medianRow(w io.Writer, work string) {
	if len(wanted(work)) == 0 {
		return
	}
	fmt.Fprintf(w, "%s", work)
	for _, c := range candidates {
		r, measured := b.result(c.name, work, 1)
		switch {
		case !measured:
			fmt.Fprint(w, "\t-")
		case r.failure != "":
			fmt.Fprint(w, "\tfails")
		default:
			fmt.Fprintf(w, "\t%.1f", r.medianMicros)
		}
	}
	verdict := ""
	if most, ok := maxMedian[work]; ok {
		ours, _ := b.result("grep11", work, 1)
		verdict = fmt.Sprintf("<= %.0f: %s", most, yes(ours.medianMicros > 0 && ours.medianMicros <= most))
	}
	fmt.Fprintf(w, "\t  %s\t\n", verdict)
}

// printFailures says why a cell reads "fails".
func (b *bench) printFailures(w io.Writer) {
	title := "\nfailures\n\n"
	for _, c := range candidates {
		for _, row := range rows {
			for _, n := range []int{1, manyThreads} {
				if r, _ := b.result(c.name, row.work, n); r.failure != "" {
					fmt.Fprintf(w, "%s  %s, %s, %d threads: %s\n", title, c.name, row.work, n, r.failure)
					title = ""
				}
			}
		}
	}
}

func yes(ok bool) string {
	if ok {
		return "yes"
	}
	return "NO"
}

// number writes a rate with thousands set apart.
func number(f float64) string {
	s := fmt.Sprintf("%.0f", f)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
