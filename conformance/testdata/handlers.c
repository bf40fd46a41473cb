/* Threads that call are interrupted by signals whose handlers were installed as
 * most are, without SA_ONSTACK:
 *
 *	handlers MODULE
 *
 * A handler that ran on a stack of Go's would write beyond its end. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "module.h"

enum { THREADS = 4, SIGNALS = 6000 };

static const int sent[] = {SIGUSR1, SIGCHLD, SIGPROF};
static CK_FUNCTION_LIST_PTR p11;
static CK_SLOT_ID slot;
static volatile sig_atomic_t seen, over;

static void on_signal(int sig)
{
	volatile char room[4096]; /* as formatting a line takes */

	memset((char *)room, sig, sizeof room);
	seen = 1;
}

static CK_RV one(CK_SESSION_HANDLE session)
{
	CK_BYTE random[32];
	CK_SESSION_INFO info;
	CK_RV rv = p11->C_GetSessionInfo(session, &info);

	return rv ? rv : p11->C_GenerateRandom(session, random, sizeof random);
}

static void *calls(void *answer)
{
	CK_SESSION_HANDLE session;
	CK_RV rv = p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session);

	while (!rv && !over)
		rv = one(session);
	*(CK_RV *)answer = rv ? rv : p11->C_CloseSession(session);
	return NULL;
}

int main(int argc, char **argv)
{
	CK_RV answers[THREADS], rv = CKR_OK;
	pthread_t threads[THREADS];
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct itimerval often = {{0, 500}, {0, 500}};

	p11 = load(argc > 1 ? argv[1] : NULL);
	if (!p11)
		return fail("no module");
	if (start_on(p11, &slot))
		return fail("no slot");
	for (size_t i = 0; i < sizeof sent / sizeof *sent; i++)
		sigaction(sent[i], &action, NULL);
	setitimer(ITIMER_PROF, &often, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, calls, &answers[i]);
	for (int i = 0; i < SIGNALS; i++) {
		pthread_kill(threads[i % THREADS], sent[i / THREADS % 3]);
		usleep(100);
	}
	over = 1;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		rv = rv ? rv : answers[i];
	}
	printf("interrupted: %d, answer: %lu\n", (int)seen, rv);
	return rv != CKR_OK;
}
