// Package direct is one gRPC stream on a connection of its own, which the calling
// thread itself writes and reads.
//
// A call over gRPC's own client passes through two of its goroutines on the way out
// and back. For a thread of C's each of them is another thread that has to be woken,
// and that costs a lone caller more than the call. Here the thread waits in the
// kernel for its answer, and nobody else is woken. In exchange the connection
// carries one message at a time, of one frame at most: all else is for gRPC.
package direct
