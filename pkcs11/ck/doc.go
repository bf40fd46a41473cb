// Package ck is the vocabulary of PKCS#11: its constants with their standard
// spelling, and the few types the rest of the project speaks in. It is plain
// Go and knows nothing of C, of the wire or of any key.
//
// Integers inside attribute values are CK_ULONGs in the machine's own byte
// order and eight bytes long, as an application passes them; grep11client/wire
// makes them portable.
package ck
