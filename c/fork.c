/* The fork guard. A Go runtime has no threads in a forked child: whoever enters
 * it there may wait for ever. So a child's calls are answered here until its
 * C_Initialize, and then by a second copy of the library with a fresh runtime
 * (copy.c). The parent's runtime, sessions and connections are not touched.
 *
 * The runtime starts when the library is loaded, so the guard does too. */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "fork.h"
#include "signals.h"

static struct guard unwiped = {.engine = &own_engine};
struct guard *guard = &unwiped;

/* Both are plain memory: a child sees what its parent left. */
static atomic_bool initialized;
static char inheritance[4096]; /* changed under guard->busy */

/* Finds out in a child that it is one where the kernel has not wiped the guard,
 * or where a fork handler registered before ours calls C_Initialize. */
static void notice_fork(void)
{
	pid_t self = getpid();
	if (atomic_load(&guard->owner) == self)
		return;
	atomic_store(&guard->engine, NULL);
	atomic_store(&guard->busy, false);
	atomic_store(&guard->owner, self);
}

static bool try_lock(void)
{
	return !atomic_exchange(&guard->busy, true);
}

static void lock(void)
{
	while (!try_lock())
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void unlock(void)
{
	atomic_store(&guard->busy, false);
}

/* One copy made before the fork serves all children: they share its pages.
 * Nobody's fork waits for it. */
static void before_fork(void)
{
	if (atomic_load(&initialized) && try_lock()) {
		copy_prepare();
		unlock();
	}
}

__attribute__((constructor)) static void start_guard(void)
{
	if (copy_is_this())
		return; /* the first copy's guard decides for both */
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page != MAP_FAILED && madvise(page, size, MADV_WIPEONFORK) == 0)
		guard = page;
	atomic_store(&guard->owner, getpid());
	atomic_store(&guard->engine, &own_engine);
	copy_remember_source();
	pthread_atfork(before_fork, NULL, notice_fork);
}

/* Reads the text at p, cut to size - 1 bytes. What p points to is the caller's
 * claim: the kernel reads it, so that a wrong pointer is false and no crash. */
static bool read_text(const char *p, char *text, size_t size)
{
	memset(text, 0, size);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	for (size_t done = 0; p && done < size - 1 && strlen(text) == done;) {
		size_t n = page - ((size_t)p + done) % page;
		if (n > size - 1 - done)
			n = size - 1 - done;
		struct iovec to = {text + done, n}, from = {(void *)(p + done), n};
		ssize_t got = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
		if (got < 0 && errno == EFAULT)
			return false;
		if (got <= 0) { /* not allowed here: then trust the caller */
			strncpy(text, p, size - 1);
			return true;
		}
		done += (size_t)got;
	}
	return true;
}

/* C_Initialize with guard->busy held. A child, whose environment and folder may
 * have changed since, works with its parent's configuration unless it names one. */
static CK_RV initialize(CK_C_INITIALIZE_ARGS *args, char *text)
{
	const struct engine *e = engine();
	if (!e)
		e = copy_open();
	if (!e)
		return CKR_FUNCTION_FAILED;
	atomic_store(&guard->engine, e);
	if (!*text && e != &own_engine)
		strcpy(text, inheritance);
	args->pReserved = *text ? text : NULL;
	CK_RV rv;
	CALL_GO(e, rv, e->C_Initialize(args));
	if (rv == CKR_OK) {
		e->inheritance(inheritance, sizeof inheritance);
		atomic_store(&initialized, true);
	}
	return rv;
}

CK_RV C_Initialize(CK_VOID_PTR pInitArgs)
{
	CK_C_INITIALIZE_ARGS args = {0};
	char text[sizeof inheritance];
	if (P(pInitArgs))
		args = *(CK_C_INITIALIZE_ARGS_PTR)pInitArgs;
	if (!read_text(args.pReserved, text, sizeof text))
		return CKR_ARGUMENTS_BAD;
	notice_fork();
	CK_RV rv;
	UNCANCELLED(lock(); rv = initialize(&args, text); unlock());
	return rv;
}

/* In a child the first C_Finalize ends what it inherited. */
CK_RV C_Finalize(CK_VOID_PTR pReserved)
{
	if (pReserved)
		return CKR_ARGUMENTS_BAD;
	notice_fork();
	const struct engine *e = engine();
	if (!e)
		return atomic_exchange(&initialized, false) ? CKR_OK : CKR_CRYPTOKI_NOT_INITIALIZED;
	CK_RV rv;
	UNCANCELLED(CALL_GO(e, rv, e->C_Finalize(NULL)));
	if (rv == CKR_OK)
		atomic_store(&initialized, false);
	return rv;
}
