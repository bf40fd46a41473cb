package chaos

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	chaosFlag = flag.Duration("chaos", 25*time.Second, "how long bad things happen")
	seedFlag  = flag.Uint64("seed", 0, "of their order and times; 0: another one each time")
	onlyFlag  = flag.String("only", "", "regular expression of the faults to choose from")
	calmFlag  = flag.Duration("calm", 3*time.Second, "how long nothing happens before, for comparison")
)

// This binary is several programs, told by the environment which one: the test
// itself, which runs in a namespace so that it reaches all parts; the wire; the
// application.
const (
	roleEnv = "GREP11_CHAOS_ROLE"
	pidEnv  = "GREP11_CHAOS_PID" // in the names of the namespaces
)

func TestMain(m *testing.M) {
	flag.Parse()
	switch os.Getenv(roleEnv) {
	case "lab":
		os.Exit(m.Run())
	case "wire":
		exit(runWire(flag.Args(), os.Stdin))
	case "application":
		exit(runApplication(os.Stdin, os.Stdout))
	}
	code, err := inLab()
	if err != nil {
		exit(err)
	}
	os.Exit(code)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// parts have a namespace and an address each. The lab is the test itself.
var parts = map[string]string{"app": "10.77.0.1", "s1": "10.77.0.11", "s2": "10.77.0.12", "db": "10.77.0.20", "lab": "10.77.0.99"}

const hub = "hub" // where the wire is

func namespace(part string) string { return "grep11-" + os.Getenv(pidEnv) + "-" + part }

// inLab makes the namespaces, runs this test again in the lab's, and removes them.
func inLab() (int, error) {
	if os.Getuid() != 0 {
		return 0, fmt.Errorf("the chaos test makes network namespaces and has to be root")
	}
	os.Setenv(pidEnv, fmt.Sprint(os.Getpid()))
	defer removeNamespaces()
	if err := makeNamespaces(); err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	c := exec.Command("ip", append([]string{"netns", "exec", namespace("lab"), self}, os.Args[1:]...)...)
	c.Env = append(os.Environ(), roleEnv+"=lab")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = c.Run()
	if code := c.ProcessState.ExitCode(); code > 0 {
		return code, nil
	}
	return 0, err
}

// ip runs iproute2's commands, one a line.
func ip(lines string) error {
	for line := range strings.Lines(lines) {
		args := strings.Fields(line)
		if len(args) == 0 {
			continue
		}
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

func makeNamespaces() error {
	if err := ip("netns add " + namespace(hub)); err != nil {
		return err
	}
	for part, address := range parts {
		r := strings.NewReplacer("HUB", namespace(hub), "NS", namespace(part), "PART", part, "ADDRESS", address)
		if err := ip(r.Replace(`netns add NS
			-n NS link add eth0 type veth peer name PART netns HUB
			-n NS addr add ADDRESS/24 dev eth0
			-n NS link set lo up
			-n NS link set eth0 up
			-n HUB link set PART up`)); err != nil {
			return err
		}
	}
	return nil
}

// removeNamespaces also ends what is left in them.
func removeNamespaces() {
	for _, part := range []string{hub, "app", "s1", "s2", "db", "lab"} {
		out, _ := exec.Command("ip", "netns", "pids", namespace(part)).Output()
		for _, pid := range strings.Fields(string(out)) {
			_ = exec.Command("kill", "-9", pid).Run()
		}
		_ = ip("netns del " + namespace(part))
	}
}
