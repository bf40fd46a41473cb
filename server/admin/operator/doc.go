// Package operator is the administrators' side of a crypto unit: signature
// keys and key parts in password-protected files or on PKCS#11 tokens, signed
// commands, and the steps of a ceremony over all units of a service.
//
// A step looks at what each unit says and does what is missing there, so a
// ceremony that was interrupted is resumed by starting the same step again.
// What units answer is believed only under the device key that was pinned when
// the unit was first seen.
package operator
