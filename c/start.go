package main

// #include "signals.h"
// #include "start.h"
import "C"

func init() {
	C.signals_leave()
	C.start_done()
}
