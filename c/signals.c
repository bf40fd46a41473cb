/* Go's threads leave the application's signals alone. A signal sent to the
 * process goes to any thread that does not block it: nginx's master, which
 * blocks its own but while it waits for them, would sleep on while a thread of
 * Go's ran the handler. And the handler would run on a stack of Go's, of a few
 * kilobytes, and write beyond its end, unless it was installed with SA_ONSTACK.
 *
 * Go's threads begin with the mask that the library was loaded with, so signals are
 * blocked while Go's runtime starts; what faults and what Go sends itself stays.
 * But each thread then unblocks SIGCHLD and SIGPROF for itself. So it finds a SIGURG
 * waiting, by which Go interrupts its threads, and the handler, before it is Go's, blocks
 * the two in the mask that the thread goes on with.
 *
 * The application's own threads block what has such a handler while they are in Go. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "signals.h"

/* These a thread brings on itself, by what it does. */
static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
enum { FAULTS = sizeof faults / sizeof *faults };

static sigset_t before;

/* Those with a priority come before Go's own, which has none. */
__attribute__((constructor(101))) static void block(void)
{
	sigset_t set;

	sigfillset(&set);
	for (int i = 0; i < FAULTS; i++)
		sigdelset(&set, faults[i]);
	sigdelset(&set, SIGURG);
	pthread_sigmask(SIG_BLOCK, &set, &before);
}

__attribute__((constructor)) static void restore(void)
{
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The signals whose handlers must not run in Go, one bit each, and when they were
 * looked up, for applications change their handlers as they like. */
static _Atomic(uint64_t) unsafe;
static _Atomic(int64_t) looked = INT64_MIN;
enum { LOOK_EVERY = 10 }; /* milliseconds */

static bool is_fault(int sig)
{
	for (int i = 0; i < FAULTS; i++)
		if (faults[i] == sig)
			return true;
	return false;
}

static uint64_t look(void)
{
	uint64_t found = 0;

	for (int sig = 1; sig <= 64; sig++) {
		struct sigaction a;
		if (!is_fault(sig) && !sigaction(sig, NULL, &a) && a.sa_handler != SIG_DFL && a.sa_handler != SIG_IGN &&
		    !(a.sa_flags & SA_ONSTACK))
			found |= UINT64_C(1) << (sig - 1);
	}
	return found;
}

static uint64_t now_unsafe(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	int64_t now = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000, last = atomic_load_explicit(&looked, memory_order_relaxed);
	if ((last == INT64_MIN || now - last >= LOOK_EVERY) && atomic_compare_exchange_strong(&looked, &last, now))
		atomic_store(&unsafe, look());
	return atomic_load(&unsafe);
}

/* The runtime that this thread has called. */
static __thread const struct engine *called __attribute__((tls_model("initial-exec")));

/* A thread's first call of a Go runtime leaves SIGCHLD and SIGPROF unblocked, whatever
 * its mask was: it is one that does nothing, and the mask is given back. */
static void meet(const struct engine *runtime)
{
	sigset_t mask;
	char nothing[1];

	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	runtime->inheritance(nothing, sizeof nothing);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	called = runtime;
}

void signals_hold(const struct engine *runtime, struct held *held)
{
	uint64_t signals = now_unsafe();

	if (called != runtime)
		meet(runtime);
	held->any = signals != 0;
	if (!signals)
		return;
	sigset_t set;
	sigemptyset(&set);
	for (; signals; signals &= signals - 1)
		sigaddset(&set, __builtin_ctzll(signals) + 1);
	pthread_sigmask(SIG_BLOCK, &set, &held->before);
}

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
	sigset_t *mask = &((ucontext_t *)context)->uc_sigmask;

	if (ours) {
		sigaddset(mask, SIGCHLD);
		sigaddset(mask, SIGPROF);
	}
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
		sigfillset(&a.sa_mask); /* neither of the two before its mask holds */
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

static creator *real;

/* While the library is loaded, and not when Go's threads ask: the loader's lock is held. */
__attribute__((constructor(101))) static void find_creator(void)
{
	*(void **)&real = dlsym(RTLD_DEFAULT, "pthread_create");
	if (!real || real == pthread_create)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
}

/* Go's threads are made by this one: the library calls its own functions first
 * and shows none to others. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*routine)(void *), void *argument)
{
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
