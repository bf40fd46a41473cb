// Command gen turns the standard's tables in build/gen/tables into source:
// the Go constants of pkcs11/ck, the C header and function list of c, and the
// table of functions and their tests in conformance.
//
//	go run ./build/gen            from the project's root
//
// The output is deterministic; `make generate` must leave no difference.
package main

import (
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	for _, out := range []struct {
		path string
		make func() ([]byte, error)
	}{
		{"pkcs11/ck/zconst.go", goConstants},
		{"c/cryptoki.h", cHeader},
		{"c/functions.h", cFunctions},
		{"c/relayed.h", cRelayed},
		{"c/zrelayed.go", goRelayed},
		{"server/admin/command/zconst.go", adminConstants},
		{"conformance/functions.md", functionTable},
	} {
		text, err := out.make()
		if err == nil {
			err = os.WriteFile(out.path, text, 0o644)
		}
		if err != nil {
			log.Fatalf("gen: %s: %v", out.path, err)
		}
	}
}
