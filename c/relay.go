package main

// #include "relay.h"
import "C"

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// The other half of relay.c. One goroutine takes the calls that threads of C's
// have left, and others run them. They live as long as the process: a call may
// be left at any time.

var startRelay sync.Once

const leastProcessors = 2

// relay makes threads leave their calls from now on, where they are more than there
// are lines for. Where there is no bell they go on calling Go themselves.
func relay(lines int) {
	atomic.StoreInt32((*int32)(unsafe.Pointer(&C.relay_many)), int32(2*lines-1)<<7)
	startRelay.Do(func() {
		bell := C.relay_make_bell()
		if bell < 0 {
			return
		}
		conn, err := os.NewFile(uintptr(bell), "bell").SyscallConn()
		if err != nil {
			return
		}
		// A thread of C's keeps its processor of Go's when it leaves Go, until the
		// runtime notices: there must be others.
		if runtime.GOMAXPROCS(0) < leastProcessors {
			runtime.GOMAXPROCS(leastProcessors)
		}
		go takeCalls(conn)
		atomic.StoreInt32((*int32)(unsafe.Pointer(&C.relay_bell)), int32(bell))
	})
}

// crowded: threads are many, and most calls are relayed.
func crowded() bool {
	return atomic.LoadInt32((*int32)(unsafe.Pointer(&C.relay_met))) > atomic.LoadInt32((*int32)(unsafe.Pointer(&C.relay_many)))
}

// takeCalls waits for the bell without ever reading it: each ringing is an event
// of its own to Go's poller.
func takeCalls(conn syscall.RawConn) {
	runners := make(chan *C.struct_relayed)
	for {
		var first *C.struct_relayed
		err := conn.Read(func(uintptr) bool {
			first = leftCalls()
			return first != nil
		})
		if err != nil {
			panic("c: the bell is gone: " + err.Error()) // nobody closes it
		}
		spareCollection.Do(func() {
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(collectAt)
			}
		})
		for r := first; r != nil; {
			next := r.next // r is gone once it has run
			select {
			case runners <- r:
			default:
				go runCalls(runners, r)
			}
			r = next
		}
	}
}

// Garbage is collected less often once threads call at the same time: their calls
// leave little else. A process of one thread, such as nginx's, stays small.
var spareCollection sync.Once

const collectAt = 400

// leftCalls takes the list and gives the call that was left first.
func leftCalls() (first *C.struct_relayed) {
	last := atomic.SwapUintptr((*uintptr)(unsafe.Pointer(&C.relay_waiting)), 0)
	r := *(**C.struct_relayed)(unsafe.Pointer(&last))
	for r != nil {
		r, r.next, first = r.next, first, r
	}
	return first
}

// maxRunners is how many goroutines wait for the next call at most.
const maxRunners = 64

var idleRunners atomic.Int32

func runCalls(more <-chan *C.struct_relayed, r *C.struct_relayed) {
	for {
		runCall(r)
		if idleRunners.Add(1) > maxRunners {
			idleRunners.Add(-1)
			return
		}
		r = <-more
		idleRunners.Add(-1)
	}
}

// runCall runs a call and wakes its thread. The call is on that thread's stack,
// which may be gone as soon as its state is set: a futex is woken by its address.
func runCall(r *C.struct_relayed) {
	state := (*uint32)(unsafe.Pointer(&r.state))
	defer runtime.KeepAlive(r)
	r.rv = relayed[r.function](&r.given)
	if atomic.SwapUint32(state, C.RELAYED_DONE) == C.RELAYED_SLEEPS {
		const wakePrivate = 1 | 128 // FUTEX_WAKE_PRIVATE
		_, _, _ = syscall.RawSyscall(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(state)), wakePrivate, 1)
	}
}
