/* Threads are cancelled while they call, at once or where they wait next:
 *
 *	cancel MODULE */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "cryptoki.h"

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

static int fail(const char *what)
{
	printf("%s\n", what);
	return 1;
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
	CK_RV (*list)(CK_FUNCTION_LIST_PTR_PTR);
	CK_SLOT_ID slots[16];
	CK_ULONG n = 16;

	void *module = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
	if (!module || !(*(void **)&list = dlsym(module, "C_GetFunctionList")) || list(&p11))
		return fail("no module");
	if (p11->C_Initialize(NULL) || p11->C_GetSlotList(CK_TRUE, slots, &n))
		return fail("no slot");
	slot = slots[0];
	for (int round = 0; round < ROUNDS; round++)
		cancel_all(round);
	printf("cancelled: %d, answer: %lu, end: %lu\n", atomic_load(&cancelled), answer, p11->C_Finalize(NULL));
	return 0;
}
