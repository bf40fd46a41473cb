// Package conformance tests a PKCS#11 module from outside, as applications load
// it: ours with the server that `grep11 dev` starts, or any other by flag.
//
//	go test ./conformance
//	go test ./conformance -module /usr/lib/softhsm/libsofthsm2.so -token T -pin P
//
// module.go loads a module without help of its own functions; a test file per
// chapter asks it questions. Package consumers beside it runs real programs.
package conformance
