package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"grep11/grep11client"
)

// finding is one thing the doctor looked at.
type finding struct {
	What   string `json:"what"`
	Good   bool   `json:"good"`
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"` // what to do about it
}

// doctor collects findings; those after a failure that explains them are left out.
type doctor struct {
	findings []finding
	config   grep11client.Config
}

func doctorCommand() *cobra.Command {
	var f clientFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what keeps applications from using the service",
		Long: `Look, as the library would, at the configuration, the servers, their certificates,
the tokens and the crypto units, and make one signature with a key that is not
stored. Each failure comes with what to do. The exit status is 0 if all is well.`,
		Example: "  grep11 doctor\n  grep11 doctor --config /etc/grep11/client.toml --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var d doctor
			d.examine(background(c), &f)
			return d.report(c.OutOrStdout(), asJSON)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (d *doctor) good(what, format string, a ...any) {
	d.findings = append(d.findings, finding{What: what, Good: true, Detail: fmt.Sprintf(format, a...)})
}

func (d *doctor) bad(what, detail, advice string) {
	d.findings = append(d.findings, finding{What: what, Detail: detail, Advice: advice})
}

func (d *doctor) report(w io.Writer, asJSON bool) error {
	ill := 0
	for _, f := range d.findings {
		if !f.Good {
			ill++
		}
	}
	if asJSON {
		if err := printJSON(w, d.findings); err != nil {
			return err
		}
	} else {
		d.print(w, ill)
	}
	if ill > 0 {
		return exitStatus(1)
	}
	return nil
}

func (d *doctor) print(w io.Writer, ill int) {
	for _, f := range d.findings {
		mark := "ok   "
		if !f.Good {
			mark = "FAIL "
		}
		fmt.Fprintf(w, "%s%-14s %s\n", mark, f.What, f.Detail)
		if f.Advice != "" {
			fmt.Fprintf(w, "     %-14s -> %s\n", "", f.Advice)
		}
	}
	if ill == 0 {
		fmt.Fprintln(w, "All is well.")
		return
	}
	fmt.Fprintf(w, "%d of %d checks failed.\n", ill, len(d.findings))
}

func (d *doctor) examine(ctx context.Context, f *clientFlags) {
	file, err := f.file()
	if err != nil {
		d.bad("configuration", err.Error(), "correct the file, or name another with --config or GREP11_PKCS11_CONFIG")
		return
	}
	d.good("configuration", "%s, [[slot]] %d of %d", file.Path, f.slot, len(file.Slots))
	d.config = file.Slots[f.slot-1]
	d.log(file.Log.File)
	if !d.clientCertificate() {
		return
	}
	reached := 0
	for _, e := range d.config.Endpoints {
		if d.endpoint(ctx, e.Address) {
			reached++
		}
	}
	if reached > 0 {
		d.service(ctx)
	}
}

// log tells whether the library could write its log, without making the file,
// which would then be this user's.
func (d *doctor) log(path string) {
	if path == "" || path == "stderr" || path == "syslog" {
		return
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	switch {
	case err == nil:
		err = f.Close()
	case errors.Is(err, os.ErrNotExist):
		const write = 2 // W_OK
		if e := syscall.Access(filepath.Dir(path), write); e != nil {
			err = &os.PathError{Op: "write to", Path: filepath.Dir(path), Err: e}
		} else {
			err = nil
		}
	}
	if err != nil {
		d.bad("log", err.Error(), "log.file must be a path that the application's user may write, \"stderr\" or \"syslog\"")
		return
	}
	d.good("log", "%s", path)
}
