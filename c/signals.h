/* Go's threads, and what may befall the application's while they are in Go. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "engine.h"

/* Called by Go once its own handlers are there. */
void signals_leave(void);

/* Signals that an application's thread leaves alone while it is in Go, where its stack
 * may be too small for the application's handlers. Between hold and release it calls
 * Go; a runtime is named by its engine. */
struct held {
	sigset_t before;
	bool any;
};

void signals_hold(const struct engine *runtime, struct held *held);

static inline void signals_release(const struct held *held)
{
	if (held->any)
		pthread_sigmask(SIG_SETMASK, &held->before, NULL);
}

#define CALL_GO(runtime, rv, call)                                          \
	do {                                                                \
		struct held held;                                           \
		signals_hold(runtime, &held);                               \
		(rv) = call;                                                \
		signals_release(&held);                                     \
	} while (0)

/* A thread that is cancelled in a call ends after it: nobody would give back what it holds. */
#define UNCANCELLED(...)                                                    \
	do {                                                                \
		int cancelled;                                              \
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelled); \
		__VA_ARGS__;                                                \
		pthread_setcancelstate(cancelled, NULL);                    \
	} while (0)

#endif
