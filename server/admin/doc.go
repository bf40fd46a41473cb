// Package admin is the administration of a crypto unit after EP11's model: a
// domain with administrators, thresholds, permissions, control points and two
// master key registers, changed by signed commands alone.
//
// A domain is in one of these states:
//
//	imprint mode   thresholds 0, as made and after zeroize: administrators and
//	               attributes are set without signatures, master keys are out of reach
//	development    imprint mode with a master key that the unit's maker put in
//	               (`grep11 dev`): in use, owned by nobody. Setting administrators
//	               and thresholds makes it operational, with the same key
//	operational    both thresholds at least 1: commands need signatures
//
// Every command is one transition (domain.go): verified in a fixed order
// (structure, identity, counter, signatures, state and permission, payload)
// on a copy of the state; saved, durably and as a whole; only then taken into
// use, recorded and answered. A crash leaves the state before or the one after.
// A record of the audit chain is part of the state it leads to (audit.go), so
// that the log file can always be completed.
//
// What differs from EP11, knowingly:
//   - a unit is one module with one domain, index 0. There are no card
//     administrators, and the commands for cards, clocks, function control vectors
//     and state transfer are CKR_FUNCTION_NOT_SUPPORTED; so are those for retained
//     keys, which are the service's and not the unit's.
//   - finalize needs one signature, as product tools document it; EP11's firmware takes none.
//   - the permission for single-signed zeroize is on by default, because the
//     owner of a unit whose administrators' keys were lost has nothing else left.
//   - importing into an occupied register is refused (53), so that nobody's
//     approval moves to another value.
//   - certificates only carry keys: their dates and issuers are not looked at,
//     for a unit has no clock it could trust.
//   - RSA and EC private keys of importers are kept, sealed, until an import
//     succeeded; a restart in the middle of a ceremony costs nothing.
package admin
