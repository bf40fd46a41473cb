/* Go's runtime starts on a thread of its own when the library is loaded, and raises
 * the soft limit of open files to one less than the hard one. Programs that count on
 * FD_SETSIZE, and children that close every descriptor up to the limit, would have it
 * from the application. The limit is put back, and loading waits for that, or it might
 * undo what the application sets right after. */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <time.h>

#include "start.h"

static struct rlimit files;
static bool files_known;
static atomic_bool done;

__attribute__((constructor(101))) static void remember(void)
{
	files_known = !getrlimit(RLIMIT_NOFILE, &files);
}

void start_done(void)
{
	struct rlimit now;

	if (files_known && !getrlimit(RLIMIT_NOFILE, &now) && now.rlim_max == files.rlim_max && now.rlim_cur == now.rlim_max - 1)
		setrlimit(RLIMIT_NOFILE, &files);
	atomic_store(&done, true);
}

/* Go's own constructor comes first. It cannot need the loader's lock, which is held
 * here, but if it ever did, loading would go on all the same. */
enum { PATIENCE = 200, STEP = 100000 }; /* milliseconds, nanoseconds */

__attribute__((constructor)) static void wait_for_go(void)
{
	for (long waited = 0; !atomic_load(&done) && waited < PATIENCE * 1000000L; waited += STEP)
		nanosleep(&(struct timespec){.tv_nsec = STEP}, NULL);
}
