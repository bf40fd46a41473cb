// Package main is libgrep11-pkcs11.so: the C ABI of PKCS#11 3.2 over package
// pkcs11. C (entries.c, tables.c, fork.c, copy.c, relay.c, signals.c, start.c) knows about
// symbols, function lists, fork, waiting threads, signal masks and how Go starts;
// Go turns pointers into slices and calls the module.
//
// A call goes C_Sign (entries.c) -> engine()->C_Sign (fork.c: whose Go runtime)
// -> relay_C_Sign (relay.c: the thread waits in C) -> go_C_Sign (sign.go) -> call
// (call.go) -> (*pkcs11.Module).Sign. What does not wait for the service goes to
// Go on its own thread, and so does a thread that is alone; build/gen/relayed.go
// says which is which. To add a function, write the export and the method: its
// line in functions.h is generated, a wrong signature does not compile, a missing
// one does not link.
package main

func main() {} // -buildmode=c-shared wants one
