// Command grep11 is the network HSM's one command: the server, the
// one-command service for development, and the tools around both.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(root(), os.Args[1:])) }

func run(cmd *cobra.Command, args []string) int {
	cmd.SetArgs(args)
	err := cmd.Execute()
	var status exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "grep11:", err)
	return 1
}

// exitStatus ends the command with a status that was already explained.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

func root() *cobra.Command {
	c := &cobra.Command{
		Use:   "grep11",
		Short: "A network HSM: keys in crypto units, used through GREP11 and PKCS#11",
		Example: `  grep11 dev -- pkcs11-tool --module build/out/libgrep11-pkcs11.so -L
  grep11 serve --config /etc/grep11/server.toml
  grep11 doctor`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.AddCommand(serveCommand(), devCommand(), tokenCommand(), unitCommand(), keyCommand(), doctorCommand(), versionCommand())
	for _, group := range c.Commands() {
		refuseUnknown(group)
		tellUse(group)
	}
	return c
}

// tellUse makes commands say what they take where cobra counts arguments.
func tellUse(c *cobra.Command) {
	for _, sub := range c.Commands() {
		tellUse(sub)
	}
	check := c.Args
	if check == nil || c.HasSubCommands() {
		return
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if check(c, args) == nil {
			return nil
		}
		return fmt.Errorf("arguments are wrong (%d): %s; %q shows an example", len(args), c.UseLine(), c.CommandPath()+" --help")
	}
}

// refuseUnknown makes a group of commands fail on a name that it does not have,
// where cobra would show the group's help and call that success.
func refuseUnknown(group *cobra.Command) {
	if !group.HasSubCommands() || group.Runnable() {
		return
	}
	group.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		return fmt.Errorf("unknown command %q for %q%s; %q lists the commands", args[0], c.CommandPath(), suggestions(c, args[0]), c.CommandPath()+" --help")
	}
	for _, c := range group.Commands() {
		refuseUnknown(c)
	}
}

func suggestions(c *cobra.Command, name string) string {
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(name); len(near) > 0 {
		return ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return ""
}
