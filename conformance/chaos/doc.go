// Package chaos shows that the service stays up: two servers with two crypto
// units each and a PostgreSQL that they share, in network namespaces of their own,
// and applications of many, few and one thread, which sign and make objects through
// the built library while one part after the other is killed, stopped, cut off or
// slowed down.
//
//	go test ./conformance/chaos -chaos 10m -seed 7 -v
//
// It needs root, for the namespaces. world_test.go builds it up, faults_test.go
// says what happens to it, application_test.go is an application, and
// ledger_test.go what it remembers. wire_test.go carries the packets.
package chaos
