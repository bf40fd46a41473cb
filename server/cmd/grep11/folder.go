package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"

	"grep11/server"
	"grep11/server/durable"
)

// folder is the place of a service that `grep11 dev` runs.
type folder struct {
	dir  string
	temp bool     // goes when the service stops
	lock *os.File // one process at a time
	used devValues
	o    devOptions
}

func openFolder(o devOptions) (*folder, error) {
	if o.units < 1 {
		return nil, errors.New("--units: at least one crypto unit is needed")
	}
	d := &folder{o: o, temp: o.dir == ""}
	var err error
	if d.temp {
		d.dir, err = os.MkdirTemp("", "grep11-dev-")
	} else if d.dir, err = filepath.Abs(o.dir); err == nil {
		err = os.MkdirAll(d.dir, 0o700)
	}
	if err != nil {
		return nil, err
	}
	if err := d.lockIt(); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *folder) lockIt() (err error) {
	if d.lock, err = os.OpenFile(d.path("lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := syscall.Flock(int(d.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = d.lock.Close()
		return fmt.Errorf("%s: another grep11 dev uses this folder", d.dir)
	}
	return nil
}

func (d *folder) close() {
	_ = d.lock.Close()
	if d.temp {
		_ = os.RemoveAll(d.dir)
	}
}

func (d *folder) path(name string) string { return filepath.Join(d.dir, name) }

// start makes what is missing in the folder and opens the server. The files
// say the addresses that were really taken.
func (d *folder) start(ctx context.Context, stderr io.Writer) (*server.Server, error) {
	values, err := d.values()
	if err != nil {
		return nil, err
	}
	if err := makePKI(d.dir, values.hosts()); err != nil {
		return nil, err
	}
	if err := errors.Join(d.prepareHSM(values), d.write("server.toml", serverTemplate, values)); err != nil {
		return nil, err
	}
	config, err := server.LoadConfig(d.path("server.toml"))
	if err != nil {
		return nil, err
	}
	if config.Units[0].Kind == "soft" {
		err = makeUnits(config)
	} else {
		err = d.hsmUnits(config.Units)
	}
	if err != nil {
		return nil, err
	}
	log, _, err := openLog(config, stderr)
	if err != nil {
		return nil, err
	}
	s, err := server.Open(ctx, config, log)
	if err != nil {
		return nil, err
	}
	values.Listen = s.Addr(true).String()
	if a := s.Addr(false); a != nil {
		values.Plaintext = a.String()
	}
	d.used = values
	if err := errors.Join(d.write("server.toml", serverTemplate, values), d.write("client.toml", clientTemplate, values)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// devValues fill the templates.
type devValues struct {
	Dir, Listen, Plaintext, Admin string
	Units                         []devUnit
}

type devUnit struct{ Name, Zone, Module, Token string }

// values are those of the folder's earlier use, changed by the flags given.
func (d *folder) values() (devValues, error) {
	v := devValues{Dir: d.dir, Admin: adminName, Listen: d.o.listen}
	old, err := server.LoadConfig(d.path("server.toml"))
	known := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return v, err
	}
	if known {
		if !d.o.changed("listen") && len(old.Listen.TLS) > 0 {
			v.Listen = old.Listen.TLS[0]
		}
		for _, u := range old.Units {
			v.Units = append(v.Units, devUnit{u.Name, u.Zone, u.Module, u.Token})
		}
	}
	if d.o.changed("plaintext") {
		v.Plaintext = onLoopback(d.o.plaintext)
	}
	if !known || d.o.changed("units") || d.o.changed("zones") || d.o.changed("hsm") {
		v.Units = d.o.wantedUnits()
	}
	return v, nil
}

// onLoopback completes an address that is only a port.
func onLoopback(addr string) string {
	if !strings.Contains(addr, ":") {
		addr = ":" + addr
	}
	if strings.HasPrefix(addr, ":") {
		addr = "127.0.0.1" + addr
	}
	return addr
}

func (o devOptions) wantedUnits() []devUnit {
	var out []devUnit
	for i := range o.units {
		u := devUnit{Name: fmt.Sprintf("unit%d", i+1)}
		if len(o.zones) > 0 {
			u.Zone = o.zones[i%len(o.zones)]
		}
		if len(o.hsm) > 0 {
			u.Module, u.Token = absolute(o.hsm[i%len(o.hsm)]), o.hsmToken
		}
		out = append(out, u)
	}
	return out
}

// hosts are the names the server's certificate needs.
func (v devValues) hosts() []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	host, _, err := net.SplitHostPort(v.Listen)
	if ip := net.ParseIP(host); err == nil && host != "" && host != "localhost" && (ip == nil || !ip.IsUnspecified() && !ip.IsLoopback()) {
		hosts = append(hosts, host)
	}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	return hosts
}

// Endpoint is the address clients on this machine dial.
func (v devValues) Endpoint() string {
	host, port, err := net.SplitHostPort(v.Listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return v.Listen
}

func (d *folder) write(name string, t *template.Template, v devValues) error {
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return err
	}
	return durable.Replace(d.path(name), b.Bytes(), 0o600)
}
