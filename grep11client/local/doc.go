// Package local keeps token objects in a file on this machine, for services
// that have grep11.Crypto alone and store nothing. It answers the calls of
// grep11.ext.v1's Token and KeyStore services as a server would, so that nothing
// above knows the difference; the keys in the file are blobs that only the
// service's crypto units can open.
//
// The file is a log of changes (file.go). Any number of processes may use it:
// writers take turns with flock, readers see whole changes only. A PIN guards
// what the library shows, not the file: who may read the file and reach the
// service can use the keys without it.
package local
