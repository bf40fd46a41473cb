// Package server is the service: grep11.Crypto as GREP11 clients know it, and
// the extension services Session, Token and KeyStore.
//
// A request's way: a listener (listen.go, tls.go), its method's row
// (methods.go) as unary call or on a stream (stream.go), the limits and the one
// log line (intercept.go), its handler (crypt, digest, sign, keys, info, login,
// tokens, objects .go: decode, call the unit, encode), a crypto unit chosen by
// package balancer. Where a key is named by the handle of a retained one, retained.go
// finds its blob and counts the use.
//
// Owners: Server owns the gRPC server, the balancer and the store. Close ends them in
// this order, so that calls which are inside finish with a unit and a store.
package server
