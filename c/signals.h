/* Go's threads and the application's signals. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

/* Called by Go once its own handlers are there. */
void signals_leave(void);

/* A thread's first call of a Go runtime leaves SIGCHLD unblocked, whatever its
 * mask was: CALL_GO makes a call, sets rv to its answer and gives the mask back. A
 * runtime is named by its engine. Later calls cost a comparison. */
#define CALL_GO(runtime, rv, call)                                          \
	do {                                                                \
		sigset_t mask;                                              \
		bool first = called != (runtime) && !pthread_sigmask(SIG_BLOCK, NULL, &mask); \
		(rv) = call;                                                \
		if (first) {                                                \
			called = (runtime);                                 \
			pthread_sigmask(SIG_SETMASK, &mask, NULL);          \
		}                                                           \
	} while (0)

extern __thread const void *called __attribute__((tls_model("initial-exec")));

#endif
