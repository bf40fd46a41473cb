// Package pkcs11 is the module: slots, sessions, objects and operations of
// PKCS#11 over a GREP11 service. It is plain Go; package c puts the C ABI on it.
//
// # Who owns what
//
// A Module owns its services and its sessions. A service owns a client of
// grep11client and the slots of the tokens it sees there. A slot owns the
// token's login and its objects: copies of stored ones, and session objects,
// which exist nowhere else. A session owns its operations. The module starts no
// goroutines but those that list tokens, for which their call waits; those of a
// client are the client's, and end with Finalize.
//
// # Locks, in this order
//
//  1. session.mu, held for a whole call, also across the network: a session
//     is serial.
//  2. slot.turn, held by the one call that logs in.
//  3. service.mu, then slot.mu, then the tables' own locks: held for moments,
//     never across the network.
//
// A call in one session never takes the lock of another; C_CloseAllSessions
// takes them one after the other, holding nothing else. Finalize takes none of
// them: it closes the clients, and calls under way return by themselves.
//
// # What happens where
//
// Opening sessions, all C_*Init, length queries, digests, hashing for
// signatures and operations with public keys are local. Everything else is one
// round trip. What is refused here by the standard's rules is refused by the
// service, too: the checks here give the right code early, not security. Only what
// templates of keys (CKA_WRAP_TEMPLATE and its kin) say of attributes that no blob
// holds, such as labels, and those of public keys, are kept here alone.
package pkcs11
