/* A module's life in a process:
 *
 *	life MODULE rounds     C_Initialize and C_Finalize 1,000 times: nothing grows
 *	life MODULE reload     dlopen, use, dlclose, 20 times
 *	life MODULE deepbind   loaded with RTLD_DEEPBIND, RTLD_LAZY and RTLD_GLOBAL
 *	life MODULE finalize   C_Finalize while 8 threads are inside calls, 100 times
 *	life MODULE exit       exit() while 8 threads are inside calls
 *	life MODULE handlers   exit() with handlers that call the library, before and after its own
 *	life MODULE sessions   10,000 open sessions
 *	life MODULE limits     the application's limit of open files is left alone
 *	life MODULE full       C_Initialize while no file can be opened, and when one can again
 *
 * Prints what it measured, and what went wrong; the exit code is 0 if nothing did. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cryptoki.h"

enum { THREADS = 8, PATIENCE = 120 };

static const char *path;
static CK_FUNCTION_LIST_PTR p11;
static atomic_bool stop;
static atomic_long calls;
static int failures;

static void expect(const char *what, CK_RV rv, CK_RV want)
{
	if (rv == want)
		return;
	printf("%s: 0x%lx, want 0x%lx\n", what, rv, want);
	failures++;
}

static void *load(int flags)
{
	void *library = dlopen(path, flags);
	void *symbol = library ? dlsym(library, "C_GetFunctionList") : NULL;
	CK_C_GetFunctionList get;
	memcpy(&get, &symbol, sizeof get);
	if (!symbol || get(&p11) != CKR_OK) {
		printf("%s: %s\n", path, dlerror());
		exit(2);
	}
	return library;
}

static void use_token(CK_SLOT_ID slot)
{
	CK_TOKEN_INFO info;
	CK_SESSION_HANDLE session;
	CK_BYTE random[16];
	expect("C_GetTokenInfo", p11->C_GetTokenInfo(slot, &info), CKR_OK);
	expect("C_OpenSession", p11->C_OpenSession(slot, CKF_SERIAL_SESSION, (CK_VOID_PTR)5, NULL, &session), CKR_OK);
	expect("C_GenerateRandom", p11->C_GenerateRandom(session, random, sizeof random), CKR_OK);
	expect("C_FindObjectsInit", p11->C_FindObjectsInit(session, NULL, 0), CKR_OK);
}

static void use(void)
{
	CK_INFO info;
	CK_SLOT_ID slots[64];
	CK_ULONG n = 64;
	expect("C_Initialize", p11->C_Initialize(NULL), CKR_OK);
	expect("C_GetInfo", p11->C_GetInfo(&info), CKR_OK);
	expect("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, slots, &n), CKR_OK);
	if (n > 0)
		use_token(slots[0]);
	expect("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
}

/* --- what grows --- */

static long status(const char *field)
{
	char line[256];
	long value = -1;
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, field, strlen(field)) == 0)
			value = atol(line + strlen(field));
	if (f)
		fclose(f);
	return value;
}

static long descriptors(void)
{
	long n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static void rounds(void)
{
	load(RTLD_NOW);
	for (int i = 0; i < 100; i++)
		use();
	long kB = status("VmRSS:"), threads = status("Threads:"), fds = descriptors();
	for (int i = 0; i < 900; i++)
		use();
	long more_kB = status("VmRSS:") - kB, more_threads = status("Threads:") - threads, more_fds = descriptors() - fds;
	printf("1000 rounds: after the first 100 memory %+ld kB, threads %+ld, descriptors %+ld\n", more_kB, more_threads, more_fds);
	if (more_kB > 4096 || more_threads > 4 || more_fds > 0)
		failures++;
}

/* --- loading --- */

static void reload(void)
{
	for (int i = 0; i < 20; i++) {
		void *library = load(i % 2 ? RTLD_NOW : RTLD_LAZY);
		use();
		expect("dlclose", (CK_RV)dlclose(library), 0);
	}
}

static void deepbind(void)
{
	load(RTLD_NOW | RTLD_DEEPBIND);
	use();
	load(RTLD_LAZY | RTLD_GLOBAL);
	use();
}

/* --- ending under load --- */

static void *caller(void *unused)
{
	(void)unused;
	CK_TOKEN_INFO info;
	CK_INFO module;
	CK_SLOT_ID slots[64], slot;
	while (!atomic_load(&stop)) {
		CK_ULONG n = 64;
		CK_RV rv = p11->C_GetInfo(&module);
		if (rv == CKR_OK)
			rv = p11->C_GetSlotList(CK_TRUE, slots, &n);
		if (rv == CKR_OK && n > 0)
			rv = p11->C_GetTokenInfo(slots[0], &info);
		if (rv == CKR_OK) /* answers at once, or is woken by C_Finalize */
			rv = p11->C_WaitForSlotEvent(atomic_load(&calls) % 2 ? CKF_DONT_BLOCK : 0, &slot, NULL);
		if (rv != CKR_CRYPTOKI_NOT_INITIALIZED && rv != CKR_NO_EVENT && rv != CKR_FUNCTION_NOT_SUPPORTED)
			expect("a call during C_Finalize", rv, CKR_CRYPTOKI_NOT_INITIALIZED);
		if (rv == CKR_CRYPTOKI_NOT_INITIALIZED)
			nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
		atomic_fetch_add(&calls, 1);
	}
	return NULL;
}

static void start(pthread_t *thread)
{
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, caller, NULL);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void finalize(void)
{
	pthread_t thread[THREADS];
	double longest = 0;
	load(RTLD_NOW);
	start(thread);
	for (int i = 0; i < 100; i++) {
		expect("C_Initialize", p11->C_Initialize(NULL), CKR_OK);
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
		double begin = now();
		expect("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
		if (now() - begin > longest)
			longest = now() - begin;
	}
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	printf("100 times C_Finalize under %ld calls, the longest %.0f ms\n", calls, longest * 1000);
	if (longest > 2)
		failures++;
}

static void leave(void)
{
	pthread_t thread[THREADS];
	load(RTLD_NOW);
	expect("C_Initialize", p11->C_Initialize(NULL), CKR_OK);
	start(thread);
	nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	exit(failures != 0);
}

/* Runs at exit: early ones after whatever the library has registered. */
static void at_exit(void)
{
	CK_INFO info;
	CK_RV rv = p11->C_GetInfo(&info);
	expect("C_GetInfo at exit", rv, failures ? rv : calls++ ? CKR_CRYPTOKI_NOT_INITIALIZED : CKR_OK);
	rv = p11->C_Finalize(NULL);
	expect("C_Finalize at exit", rv, calls > 1 ? CKR_CRYPTOKI_NOT_INITIALIZED : CKR_OK);
	if (failures)
		_exit(1);
}

static void handlers(void)
{
	atexit(at_exit);
	load(RTLD_NOW);
	expect("C_Initialize", p11->C_Initialize(NULL), CKR_OK);
	CK_ULONG n = 0;
	expect("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, NULL, &n), CKR_OK);
	atexit(at_exit);
	exit(failures != 0);
}

/* --- many sessions --- */

enum { SESSIONS = 10000 };

static void many(CK_SLOT_ID slot)
{
	static CK_SESSION_HANDLE session[SESSIONS];
	CK_SESSION_INFO info;
	CK_TOKEN_INFO token;
	expect("the first", p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session[0]), CKR_OK);
	long kB = status("VmRSS:"), threads = status("Threads:"), fds = descriptors();
	double begin = now();
	for (int i = 1; i < SESSIONS; i++)
		expect("C_OpenSession", p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session[i]), CKR_OK);
	printf("%d sessions in %.0f ms: memory %+ld kB, threads %+ld, descriptors %+ld\n", SESSIONS, (now() - begin) * 1000,
	       status("VmRSS:") - kB, status("Threads:") - threads, descriptors() - fds);
	if (status("VmRSS:") - kB > 32768 || descriptors() - fds > 4)
		failures++;
	expect("C_GetTokenInfo", p11->C_GetTokenInfo(slot, &token), CKR_OK);
	expect("their number", (CK_RV)token.ulSessionCount, SESSIONS);
	for (int i = 0; i < SESSIONS; i += 997)
		expect("C_GetSessionInfo", p11->C_GetSessionInfo(session[i], &info), CKR_OK);
	expect("C_CloseAllSessions", p11->C_CloseAllSessions(slot), CKR_OK);
	expect("closed", p11->C_GetSessionInfo(session[SESSIONS / 2], &info), CKR_SESSION_HANDLE_INVALID);
}

static void sessions(void)
{
	CK_SLOT_ID slots[64];
	CK_ULONG n = 64;
	load(RTLD_NOW);
	expect("C_Initialize", p11->C_Initialize(NULL), CKR_OK);
	expect("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, slots, &n), CKR_OK);
	if (n > 0)
		many(slots[0]);
	expect("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
}

/* --- what is the application's own --- */

static void expect_limit(const char *when, rlim_t want)
{
	struct rlimit now;
	getrlimit(RLIMIT_NOFILE, &now);
	expect(when, (CK_RV)now.rlim_cur, (CK_RV)want);
}

static void limits(void)
{
	struct rlimit mine;
	getrlimit(RLIMIT_NOFILE, &mine);
	mine.rlim_cur = 256;
	setrlimit(RLIMIT_NOFILE, &mine);
	load(RTLD_NOW);
	expect_limit("limit after loading", 256);
	mine.rlim_cur = mine.rlim_max;
	setrlimit(RLIMIT_NOFILE, &mine);
	use();
	expect_limit("limit set after loading", mine.rlim_max);
}

static void full(void)
{
	int files[256], n = 0;
	struct rlimit few = {sizeof files / sizeof *files, sizeof files / sizeof *files};
	bool configured = getenv("GREP11_PKCS11_CONFIG");
	setrlimit(RLIMIT_NOFILE, &few);
	load(RTLD_NOW);
	while ((files[n] = open("/dev/null", O_RDONLY)) >= 0)
		n++;
	expect("C_Initialize", p11->C_Initialize(NULL), configured ? CKR_HOST_MEMORY : CKR_OK);
	if (!configured)
		expect("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
	while (n > 0)
		close(files[--n]);
	use();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*does)(void);
	} verbs[] = {{"rounds", rounds}, {"reload", reload}, {"deepbind", deepbind}, {"finalize", finalize}, {"exit", leave}, {"handlers", handlers}, {"sessions", sessions}, {"limits", limits}, {"full", full}};
	if (argc != 3)
		return 2;
	path = argv[1];
	alarm(PATIENCE); /* a hang ends by signal */
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(argv[2], verbs[i].name) == 0)
			verbs[i].does();
	return failures != 0;
}
