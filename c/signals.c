/* Go's threads leave the application's signals alone. A signal sent to the
 * process goes to any thread that does not block it: nginx's master, which
 * blocks its own but while it waits for them, would sleep on while a thread of
 * Go's ran the handler.
 *
 * Go's threads begin with the mask that the library was loaded with, so signals are
 * blocked while Go's runtime starts; what faults and what Go sends itself stays.
 * But each thread then unblocks SIGCHLD for itself. So it finds a SIGURG waiting, by which Go
 * interrupts its threads, and the handler, before it is Go's, blocks SIGCHLD
 * in the mask that the thread goes on with. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "signals.h"

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

__thread const void *called __attribute__((tls_model("initial-exec")));

/* Whether this thread is Go's. A handler reads it, so it has its place from the start. */
static __thread bool ours __attribute__((tls_model("initial-exec")));

static struct sigaction gos; /* handler of SIGURG */

/* Threads that Go made before the handler was ours. */
static pthread_mutex_t early_lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t early[64];
static int earlies;
static bool handling;

static void interrupted(int sig, siginfo_t *info, void *context)
{
	if (ours)
		sigaddset(&((ucontext_t *)context)->uc_sigmask, SIGCHLD);
	gos.sa_sigaction(sig, info, context);
}

static void interrupt(pid_t thread)
{
	syscall(SYS_tgkill, getpid(), thread, SIGURG);
}

void signals_leave(void)
{
	struct sigaction a;

	pthread_mutex_lock(&early_lock);
	if (!handling && !sigaction(SIGURG, NULL, &gos) && (gos.sa_flags & SA_SIGINFO)) {
		a = gos;
		a.sa_sigaction = interrupted;
		sigfillset(&a.sa_mask); /* no SIGCHLD before its mask holds */
		handling = !sigaction(SIGURG, &a, NULL);
		for (int i = 0; handling && i < earlies; i++)
			interrupt(early[i]);
	}
	pthread_mutex_unlock(&early_lock);
}

struct start {
	void *(*routine)(void *);
	void *argument;
};

/* All signals are blocked here, until the thread's part of Go's runtime is ready. */
static void *begin(void *given)
{
	struct start s = *(struct start *)given;
	pid_t self = (pid_t)syscall(SYS_gettid);

	free(given);
	ours = true;
	pthread_mutex_lock(&early_lock);
	if (handling)
		interrupt(self);
	else if (earlies < (int)(sizeof early / sizeof *early))
		early[earlies++] = self;
	pthread_mutex_unlock(&early_lock);
	return s.routine(s.argument);
}

typedef int creator(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static creator *real_creator(void)
{
	creator *real;

	*(void **)&real = dlsym(RTLD_DEFAULT, "pthread_create");
	if (!real || real == pthread_create)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return real;
}

/* Go's threads are made by this one: the library calls its own functions first
 * and shows none to others. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*routine)(void *), void *argument)
{
	creator *real = real_creator();
	struct start *s = malloc(sizeof *s);
	int rc;

	if (!real || !s) {
		free(s);
		return EAGAIN;
	}
	*s = (struct start){routine, argument};
	rc = real(thread, attr, begin, s);
	if (rc)
		free(s);
	return rc;
}
