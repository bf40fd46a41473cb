// Package soft is the emulated crypto unit: an HSM in software. Keys leave it
// only sealed under its wrapping key, which it keeps in a state folder, sealed
// in turn under a secret that its operator gives at every start.
//
// A mechanism is a row in mech/table.go and an engine here, in a file per
// family; a test fails if one of the two is missing.
package soft
