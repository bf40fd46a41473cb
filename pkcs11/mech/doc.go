// Package mech holds the facts about mechanisms: one row each in table.go,
// parameters as Go types in params.go, lengths in size.go, key types in keytype.go. The library and the
// server read the same rows, so C_GetMechanismInfo, argument checks, the
// service's mechanism list and the crypto units cannot disagree.
package mech
