package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"grep11/pkcs11/ck"
)

// TestFunctionTable holds functions.md against the library and the tests: the
// 104 functions are all there, what is called complete answers so, and the tests
// exist and make the call.
func TestFunctionTable(t *testing.T) {
	shown, err := Table("function-tests.csv")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("functions.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(page), "\n| C_"); n != 104 || len(shown) != n {
		t.Errorf("%d functions on the page, %d with tests; PKCS#11 3.2 has 104", n, len(shown))
	}
	if !ours() {
		return
	}
	newest, rv := initialized(t).GetInterface("", nil, 0)
	if rv != ck.CKR_OK {
		t.Fatal(rv)
	}
	for i, f := range functions(t) {
		name, state, test := shown[i][0], shown[i][1], shown[i][2]
		if name != f.Name || !strings.Contains(string(page), fmt.Sprintf("| %s | %s | %s | %s |", name, f.Since, state, test)) {
			t.Errorf("%s: the page does not say %q (make generate makes it)", f.Name, shown[i])
		}
		showsCall(t, test, name)
		if name == "C_Finalize" {
			continue
		}
		refused := newest.Call(name)
		if says := refused.Error() == state; state == "complete" && neverDone(refused) || state != "complete" && !says {
			t.Errorf("%s is %s, but answers %v", name, state, refused)
		}
	}
}

func neverDone(rv ck.RV) bool {
	return rv == ck.CKR_FUNCTION_NOT_SUPPORTED || rv == ck.CKR_FUNCTION_NOT_PARALLEL
}

// showsCall looks for a test in the files of its package, and for the call in
// them: by its C name, or as a method of the module.
func showsCall(t *testing.T, test, function string) {
	t.Helper()
	dir, name, _ := strings.Cut(test, ".")
	files, err := filepath.Glob("../" + dir + "/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	method := regexp.MustCompile(`\.` + strings.TrimPrefix(function, "C_") + `\b`)
	defined, called := false, false
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		defined = defined || strings.Contains(text, "\nfunc "+name+"(t *testing.T)")
		called = called || strings.Contains(text, `"`+function+`"`) || method.MatchString(text)
	}
	if !defined || !called {
		t.Errorf("%s: %s is there: %v; the call is there: %v", function, test, defined, called)
	}
}
