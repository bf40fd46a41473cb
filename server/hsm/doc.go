// Package hsm is the crypto unit on a real HSM, through that HSM's own PKCS#11
// module. It is a soft.Device: package soft keeps rules, formats, hashes and
// public keys, and asks the HSM for whatever needs a secret or private key.
//
// Two keys of one label in the HSM are the unit's wrapping key; neither can
// leave it: an AES key, which wraps and unwraps and does nothing else, and a
// secret for HMAC-SHA-256. Units whose HSMs hold the same two keys open each
// other's blobs; the verification pattern is a MAC over a known key wrapped under
// the AES key, so it stands for both. While a master key is replaced there are two
// such pairs (master.go): a blob names its own, and Rewrap has the HSM unwrap the key
// with the one and wrap it with the other.
//
// A blob has the form of an emulated unit's. Sealed in it is, instead of the
// key's value, the key as the HSM wrapped it, and a MAC that the HSM made over
// rights, attributes and wrapped key. A key is unwrapped as a session object on
// its first use and destroyed when it falls out of the cache and no call uses
// it. Its value is never in the server's memory, with two exceptions: keys whose
// template made them readable, when they are read; and, where the operator
// allows it (Config.KeysInMemory), keys that are wrapped, unwrapped or derived
// by mechanisms that the HSM lacks for that.
//
// The outer seal, multi-part states and public keys' MACs use a secret that the
// HSM's MAC key derives at the start and that stays in memory. Whoever reads it
// there can read and forge states and public blobs, which hold no key; blobs of
// secret keys still need the HSM's MAC.
//
// What the HSM cannot do otherwise is done so: hashes of signatures are computed
// here, RSA paddings too where the HSM has CKM_RSA_X_509; counter mode runs over
// its AES-ECB; MACs and GCM in parts keep their data in the state until the end,
// since no HSM lets go of a running operation.
//
// Lock order: pool.mu, then modules.mu. Calls into the HSM run on goroutines of
// their own, at most one per session, so that one that hangs holds up nobody. They
// hold module.inside and take neither lock; nothing is finalised under them.
package hsm
