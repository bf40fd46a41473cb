package main

// #include "signals.h"
import "C"

func init() { C.signals_leave() }
