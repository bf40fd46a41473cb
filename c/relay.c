/* Threads wait for the service here, in C, and not in Go.
 *
 * A thread of C's that waits inside Go is a burden for Go's scheduler: it hands
 * a processor over when the thread begins to wait, and again when it may go on,
 * and each time threads are woken and put to sleep. So a call that waits for an
 * answer as a rule is left on a list, Go runs it on a goroutine of its own
 * (relay.go), and its thread sleeps until it is done. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "relay.h"
#include "signals.h"

uintptr_t relay_waiting;
int relay_bell = -1;

int relay_make_bell(void)
{
	return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

/* Go takes the whole list at once; who finds it empty rings the bell. */
static void leave(int bell, struct relayed *r)
{
	uintptr_t last = __atomic_load_n(&relay_waiting, __ATOMIC_RELAXED);
	do
		r->next = (struct relayed *)last;
	while (!__atomic_compare_exchange_n(&relay_waiting, &last, (uintptr_t)r, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
	if (!last)
		eventfd_write(bell, 1);
}

static CK_RV await(struct relayed *r)
{
	uint32_t state = RELAYED_RUNS;
	__atomic_compare_exchange_n(&r->state, &state, RELAYED_SLEEPS, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE);
	while (__atomic_load_n(&r->state, __ATOMIC_ACQUIRE) != RELAYED_DONE)
		syscall(SYS_futex, &r->state, FUTEX_WAIT_PRIVATE, RELAYED_SLEEPS, NULL, NULL, 0);
	return r->rv;
}

int relay_met, relay_many;

/* Threads that are in a relayed function. One that is alone calls Go itself: it burdens
 * nobody. So do a few, which wait there on lines of their own (grep11client/line.go):
 * they are answered sooner. */
static int inside;

static bool few(void)
{
	int others = __atomic_fetch_add(&inside, 1, __ATOMIC_RELAXED);
	int of_late = __atomic_load_n(&relay_met, __ATOMIC_RELAXED);
	of_late += ((others << 8) - of_late) / 16;
	__atomic_store_n(&relay_met, of_late, __ATOMIC_RELAXED);
	return !others || of_late <= __atomic_load_n(&relay_many, __ATOMIC_RELAXED);
}

static CK_RV out(CK_RV rv)
{
	__atomic_fetch_sub(&inside, 1, __ATOMIC_RELAXED);
	return rv;
}

#define VALUES(...) __VA_ARGS__
#define RELAYED(number, name, parameters, arguments, values)                        \
	CK_RV relay_##name parameters                                               \
	{                                                                           \
		int bell = __atomic_load_n(&relay_bell, __ATOMIC_ACQUIRE);          \
		if (few() || bell < 0) {                                            \
			CK_RV rv;                                                   \
			CALL_GO(&own_engine, rv, go_##name arguments);              \
			return out(rv);                                             \
		}                                                                   \
		struct relayed r = {.given = {VALUES values}, .function = number};  \
		leave(bell, &r);                                                    \
		return out(await(&r));                                              \
	}
#include "relayed.h"
