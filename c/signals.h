/* Go's threads and the application's signals. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

/* Called by Go once its own handlers are there. */
void signals_leave(void);

/* A thread's first call of a Go runtime leaves SIGCHLD unblocked, whatever its
 * mask was: first_call keeps the mask and mask_back gives it back. A runtime is
 * named by its engine. Later calls cost a comparison. */
extern __thread const void *called __attribute__((tls_model("initial-exec")));

static inline bool first_call(const void *runtime, sigset_t *mask)
{
	return called != runtime && !pthread_sigmask(SIG_BLOCK, NULL, mask);
}

static inline void mask_back(const void *runtime, const sigset_t *mask)
{
	called = runtime;
	pthread_sigmask(SIG_SETMASK, mask, NULL);
}

#endif
