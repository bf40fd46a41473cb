/* Threads are cancelled while they call, at once or where they wait next:
 *
 *	cancel MODULE */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "module.h"

enum { THREADS = 4, ROUNDS = 100 };

static CK_FUNCTION_LIST_PTR p11;
static CK_SLOT_ID slot;
static CK_RV answer = CKR_OK;
static atomic_int cancelled;

static void count(void *nothing)
{
	(void)nothing;
	atomic_fetch_add(&cancelled, 1);
}

static void *calls(void *at_once)
{
	CK_SESSION_HANDLE session;
	CK_BYTE random[32];
	CK_RV rv;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_setcanceltype(at_once ? PTHREAD_CANCEL_ASYNCHRONOUS : PTHREAD_CANCEL_DEFERRED, NULL);
	rv = p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session);
	pthread_cleanup_push(count, NULL);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	while (!rv) {
		rv = p11->C_GenerateRandom(session, random, sizeof random);
		pthread_testcancel();
	}
	pthread_cleanup_pop(0);
	answer = rv;
	return NULL;
}

static void cancel_all(int round)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, calls, (i + round) % 2 ? &answer : NULL);
	usleep(1000 + 97 * (unsigned)round);
	for (int i = 0; i < THREADS; i++)
		pthread_cancel(threads[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	p11 = load(argc > 1 ? argv[1] : NULL);
	if (!p11)
		return fail("no module");
	if (start_on(p11, &slot))
		return fail("no slot");
	for (int round = 0; round < ROUNDS; round++)
		cancel_all(round);
	printf("cancelled: %d, answer: %lu, end: %lu\n", atomic_load(&cancelled), answer, p11->C_Finalize(NULL));
	return 0;
}
