// Package consumers tests the library with the programs people use it from:
// web servers, OpenSC, OpenSSL, Java, OpenSSH, GnuTLS, p11-kit, NSS and more, as Debian
// ships them. Each test starts a service of its own (`grep11 dev`) and runs the
// real program; a program that is not there fails its test.
//
//	go test ./conformance/consumers                    ours, from build/out
//	go test ./conformance/consumers -module softhsm    SoftHSM2, to doubt a test
//
// The configuration files in testdata are the ones README.md shows: they hold
// the paths of an installed system, which the tests replace by their own.
package consumers
