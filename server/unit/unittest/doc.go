// Package unittest is the suite that every kind of crypto unit runs: what
// unit.Unit promises, mechanism by mechanism, compared with Go's crypto and
// with published vectors. Mechanisms that a unit does not list are left out.
package unittest
