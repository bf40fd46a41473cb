package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
)

// clientFlags say which service a command talks to.
type clientFlags struct {
	config string
	slot   int
}

func (f *clientFlags) add(c *cobra.Command) {
	c.PersistentFlags().StringVar(&f.config, "config", "", "client configuration (default: found as the library finds it)")
	c.PersistentFlags().IntVar(&f.slot, "slot", 1, "which [[slot]] of it, from 1")
}

// file reads the configuration that the library would read.
func (f *clientFlags) file() (*grep11client.File, error) {
	path := grep11client.FindConfig(f.config, os.Getenv)
	if path == "" {
		return nil, errors.New("no client configuration: set GREP11_PKCS11_CONFIG, or write ~/.config/grep11/client.toml or /etc/grep11/client.toml")
	}
	file, err := grep11client.LoadConfig(path)
	if err != nil {
		return nil, err
	}
	if f.slot < 1 || f.slot > len(file.Slots) {
		return nil, fmt.Errorf("%s: there is no [[slot]] %d, only %d", file.Path, f.slot, len(file.Slots))
	}
	return file, nil
}

// with runs f with a client of the service.
func (f *clientFlags) with(do func(*grep11client.Client) error) error {
	file, err := f.file()
	if err != nil {
		return err
	}
	c, err := grep11client.New(file.Slots[f.slot-1])
	if err != nil {
		return err
	}
	return errors.Join(do(c), c.Close())
}

// pinFlag is a PIN from the command line, a file or the environment, so that it
// need not stand on a command line that others can read.
type pinFlag struct{ name, env, value, file string }

func (p *pinFlag) add(c *cobra.Command, usage string) {
	c.Flags().StringVar(&p.value, p.name, "", usage+" (or "+p.env+" in the environment)")
	c.Flags().StringVar(&p.file, p.name+"-file", "", "file that holds it, in its first line")
}

// get is nil where no PIN was given.
func (p *pinFlag) get() (ck.Secret, error) {
	if p.value != "" {
		return ck.Secret(p.value), nil
	}
	if p.file == "" {
		if v := os.Getenv(p.env); v != "" {
			return ck.Secret(v), nil
		}
		return nil, nil
	}
	b, err := os.ReadFile(p.file)
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return ck.Secret(strings.TrimSuffix(line, "\r")), nil
}

const minPIN, maxPIN = 4, 255 // bytes

// fits checks a PIN that is to be set before anything is done with it.
func (p *pinFlag) fits(pin ck.Secret) error {
	if pin != nil && (len(pin) < minPIN || len(pin) > maxPIN) {
		return fmt.Errorf("--%s: a PIN of %d bytes; %d to %d are allowed: %w", p.name, len(pin), minPIN, maxPIN, ck.CKR_PIN_LEN_RANGE)
	}
	return nil
}

func background(c *cobra.Command) context.Context {
	if ctx := c.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}
