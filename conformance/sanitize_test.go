package conformance

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// tooShort has the library write a CK_INFO where there is room for less.
const tooShort = `#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include "cryptoki.h"

int main(int argc, char **argv)
{
	void *symbol = argc > 1 ? dlsym(dlopen(argv[1], RTLD_NOW), "C_GetFunctionList") : NULL;
	CK_C_GetFunctionList get;
	CK_FUNCTION_LIST_PTR p11;
	memcpy(&get, &symbol, sizeof get);
	if (!symbol || get(&p11) != CKR_OK || p11->C_Initialize(NULL) != CKR_OK)
		return 2;
	return (int)p11->C_GetInfo(malloc(sizeof(CK_INFO) - 1));
}
`

// TestSanitizerWatchesGo: the run of build/sanitize.sh is worth something only
// if a wrong write of Go's, into the caller's memory, would be noticed.
func TestSanitizerWatchesGo(t *testing.T) {
	if !strings.Contains(os.Getenv("CFLAGS"), "-fsanitize=address") {
		return
	}
	text, err := exec.Command(compile(t, tooShort), modulePath(t)).CombinedOutput()
	if err == nil || !strings.Contains(string(text), "AddressSanitizer:") {
		t.Errorf("%v: %s", err, text)
	}
}
