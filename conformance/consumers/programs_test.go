package consumers

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"sort"
	"strings"
	"sync"
	"testing"
)

// ran collects which programs the tests ran, for the list that make test ends
// with.
var ran struct {
	sync.Mutex
	lines []string
}

// consumer notes that the test runs a program, whose version a Debian package
// tells. Without the program the test fails: build/deps.sh installs it.
func consumer(t *testing.T, program, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil && !strings.HasPrefix(program, "/") {
		t.Fatalf("%v (build/deps.sh test installs %s)", err, debianPackage)
	}
	t.Cleanup(func() {
		result := "ok"
		if t.Failed() {
			result = "FAILED"
		}
		ran.Lock()
		defer ran.Unlock()
		ran.lines = append(ran.lines, fmt.Sprintf("  %-38s %-40s %s", debianPackage+" "+version(program, debianPackage), t.Name(), result))
	})
}

var versionLike = regexp.MustCompile(`\d+\.\d+[^\s,]*`)

func version(program, debianPackage string) string {
	if out, err := exec.Command("dpkg-query", "-W", "-f=${Version}", debianPackage).Output(); err == nil {
		return string(out)
	}
	out, _ := exec.Command(program, "--version").CombinedOutput()
	if v := versionLike.FindString(string(out)); v != "" {
		return v
	}
	return "?"
}

func TestMain(m *testing.M) {
	code := m.Run()
	sort.Strings(ran.lines)
	list := "Programs that used the library:\n" + strings.Join(ran.lines, "\n") + "\n"
	if *moduleFlag == "grep11" && len(ran.lines) > 0 {
		if err := os.WriteFile("../../build/out/consumers.txt", []byte(list), 0o644); err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	os.Exit(code)
}
