/* Calls that wait for the service; see relay.c. */
#ifndef RELAY_H
#define RELAY_H

#include <stdint.h>

#include "engine.h"

enum {
	RELAYED_ARGUMENTS = 12,
	/* States of a call. */
	RELAYED_RUNS = 0,
	RELAYED_SLEEPS = 1, /* it runs, and its thread sleeps */
	RELAYED_DONE = 2,
};

/* A call on its way through Go. It is on the stack of the thread that makes it. */
struct relayed {
	struct relayed *next;
	uintptr_t given[RELAYED_ARGUMENTS];
	CK_RV rv;
	uint32_t state; /* a futex */
	uint32_t function;
};

extern uintptr_t relay_waiting; /* struct relayed *: the last call that Go has not taken yet */
extern int relay_bell;		/* an eventfd that Go waits for; negative: calls are not relayed */

/* Threads that a thread has met of late in functions that are relayed, in 256ths, and
 * beyond what that is many. */
extern int relay_met, relay_many;

int relay_make_bell(void);

#endif
