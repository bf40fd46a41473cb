// Package grep11 runs what the public GREP11 examples do (grep11-wire section
// 16) against a server that is a process of its own: the Go suite, the
// JavaScript examples with the older dialect's fields, the Java examples with
// their sign-extended numbers; each over plaintext and over TLS.
//
// An example whose mechanisms the server does not list demands that they are
// refused in the right form, and runs in full as soon as they are listed.
package grep11
