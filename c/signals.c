/* Go's threads leave the application's signals alone. A signal sent to the
 * process goes to any thread that does not block it: nginx's master, which
 * blocks its own but while it waits for them, would sleep on while a thread of
 * Go's ran the handler. Go's threads begin with the mask that the library was
 * loaded with, so they are blocked while Go's runtime starts; what faults and
 * what Go sends itself stays. Threads of C's that enter Go keep their masks. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>

static sigset_t before;

/* Those with a priority come before Go's own, which has none. */
__attribute__((constructor(101))) static void block(void)
{
	static const int kept[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF, SIGURG};
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		sigdelset(&set, kept[i]);
	pthread_sigmask(SIG_BLOCK, &set, &before);
}

__attribute__((constructor)) static void restore(void)
{
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}
