package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"grep11/server"
)

func serveCommand() *cobra.Command {
	path := "/etc/grep11/server.toml"
	var example bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server until a signal",
		Long: `Run the server that a configuration describes. SIGTERM or SIGINT lets the calls
inside finish and stops; a second signal stops at once.`,
		Example: `  grep11 serve --example >server.toml
  grep11 serve --config /etc/grep11/server.toml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if example {
				_, err := io.WriteString(c.OutOrStdout(), server.Example)
				return err
			}
			config, err := loadServer(path, "config")
			if err != nil {
				return err
			}
			return serve(c.Context(), config, c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&path, "config", path, "the server's configuration")
	c.Flags().BoolVar(&example, "example", false, "print a configuration that explains every key, and end")
	return c
}

// loadServer reads the server's configuration, which a flag named.
func loadServer(path, flag string) (server.Config, error) {
	c, err := server.LoadConfig(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf(`%w: name the server's configuration with --%s; "grep11 serve --example" prints one to begin with`, err, flag)
	}
	return c, err
}

func serve(ctx context.Context, config server.Config, stderr io.Writer) error {
	log, closeLog, err := openLog(config, stderr)
	if err != nil {
		return err
	}
	defer closeLog()
	// Before Open: a signal during a long start must not be lost.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	s, err := server.Open(ctx, config, log)
	if err != nil {
		return err
	}
	return serveUntil(s, signals)
}

// serveUntil runs an open server until the first signal, and ends its calls
// with the second.
func serveUntil(s *server.Server, signals <-chan os.Signal) error {
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	select {
	case err := <-served:
		_ = s.Close()
		return err
	case <-signals:
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop() }()
	select {
	case err := <-stopped:
		return err
	case <-signals:
		return exitStatus(1)
	}
}

// openLog makes the log that the configuration asks for.
func openLog(c server.Config, stderr io.Writer) (*slog.Logger, func(), error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Audit.Level)); err != nil {
		return nil, nil, c.Wrong("audit.level", err)
	}
	out, done := stderr, func() {}
	if c.Audit.File != "" {
		f, err := os.OpenFile(c.Audit.File, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return nil, nil, c.Wrong("audit.file", err)
		}
		out, done = f, func() { _ = f.Close() }
	}
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level})), done, nil
}
