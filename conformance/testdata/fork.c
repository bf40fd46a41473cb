/* Forks under load: a parent with busy threads forks children that use the
 * module, and they fork too.
 *
 *	fork MODULE [forks=N] [threads=N] [nomemfd | nocopy | handler | early] [label=KEY]
 *
 * With a key's label every process logs in (GREP11_PIN, first slot with a token)
 * and signs; without, it calls what needs no slot. With nomemfd a seccomp filter
 * refuses memfd_create; with nocopy it refuses sendfile too, so that there can be
 * no second copy, and C_Initialize in children has to say so. With handler children
 * are initialised by a fork handler older than the module's, as pkcs11-helper's is;
 * with early the parent never calls C_Initialize. Prints a line per failure, then the totals; the exit
 * code is 0 if nothing failed. Nobody waits longer than LIMIT seconds. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "module.h"

enum { LIMIT = 60, ABREAST = 4 };

static CK_FUNCTION_LIST_PTR p11;
static const char *label, *pin;
static CK_RV initialize_gives = CKR_OK; /* in children */
static CK_RV finalize_gives = CKR_OK;   /* in children before C_Initialize */
static bool handler, early;
static atomic_bool stop;
static atomic_int failures;
static atomic_long calls;

static void failed(const char *what, CK_RV rv)
{
	fprintf(stderr, "process %d: %s: 0x%lx\n", (int)getpid(), what, rv);
	atomic_fetch_add(&failures, 1);
}

static int expect(const char *what, CK_RV rv, CK_RV want)
{
	if (rv != want)
		failed(what, rv);
	return rv == want;
}

/* --- what every process does with the module --- */

/* Garbage for the parent's Go runtime: templates are copied when they are read. */
static void make_garbage(void)
{
	static CK_BYTE value[512];
	CK_ATTRIBUTE t[200];
	for (int i = 0; i < 200; i++)
		t[i] = (CK_ATTRIBUTE){CKA_LABEL, value, sizeof value};
	p11->C_FindObjectsInit(0, t, 200);
}

static int first_slot(CK_SLOT_ID *slot)
{
	CK_SLOT_ID slots[64] = {0};
	CK_ULONG n = 64;
	int there = expect("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, slots, &n), CKR_OK) && n > 0;
	*slot = slots[0];
	return there;
}

static int login(CK_SESSION_HANDLE *session)
{
	CK_SLOT_ID slot;
	if (!first_slot(&slot) || !expect("C_OpenSession", p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, session), CKR_OK))
		return 0;
	CK_RV rv = p11->C_Login(*session, CKU_USER, (CK_UTF8CHAR_PTR)pin, pin ? strlen(pin) : 0);
	return expect("C_Login", rv == CKR_USER_ALREADY_LOGGED_IN ? CKR_OK : rv, CKR_OK);
}

static int find_key(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *key)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, (void *)label, strlen(label)}};
	CK_ULONG n = 0;
	return expect("C_FindObjectsInit", p11->C_FindObjectsInit(session, t, 2), CKR_OK) &&
	       expect("C_FindObjects", p11->C_FindObjects(session, key, 1, &n), CKR_OK) &&
	       expect("keys found", n, 1) && expect("C_FindObjectsFinal", p11->C_FindObjectsFinal(session), CKR_OK);
}

static int sign(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
	CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
	CK_BYTE digest[32] = "a digest", signature[256];
	CK_ULONG n = sizeof signature;
	return expect("C_SignInit", p11->C_SignInit(session, &mechanism, key), CKR_OK) &&
	       expect("C_Sign", p11->C_Sign(session, digest, sizeof digest, signature, &n), CKR_OK) &&
	       expect("length of the signature", n, 64);
}

static void work(int rounds)
{
	CK_INFO info;
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE key;
	expect("C_GetInfo", p11->C_GetInfo(&info), CKR_OK);
	make_garbage();
	if (!label || !login(&session) || !find_key(session, &key))
		return;
	while (rounds-- > 0 && sign(session, key))
		;
	expect("C_CloseSession", p11->C_CloseSession(session), CKR_OK);
}

static void *busy(void *unused)
{
	(void)unused;
	while (!atomic_load(&stop)) {
		work(20);
		atomic_fetch_add(&calls, 1);
	}
	return NULL;
}

/* --- children --- */

static void wait_for(pid_t pid)
{
	int status;
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		failed("a child ended by signal", (CK_RV)status);
	else
		atomic_fetch_add(&failures, WEXITSTATUS(status));
}

static void run_child(int number, int depth);

static pid_t fork_child(int number, int depth)
{
	pid_t pid = fork();
	if (pid < 0) {
		failed("fork", (CK_RV)errno);
	} else if (pid == 0) {
		alarm(LIMIT);
		atomic_store(&failures, 0);
		run_child(number, depth);
		_exit(atomic_load(&failures) > 100 ? 100 : atomic_load(&failures));
	}
	return pid;
}

static void in_handler(void)
{
	if (p11)
		expect("C_Initialize in a fork handler", p11->C_Initialize(NULL), CKR_OK);
}

static void before_initialize(int number)
{
	CK_INFO info;
	CK_SLOT_ID slot;
	CK_ULONG n = 1;
	expect("C_GetInfo before C_Initialize", p11->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
	expect("C_GetSlotList before C_Initialize", p11->C_GetSlotList(CK_TRUE, &slot, &n), CKR_CRYPTOKI_NOT_INITIALIZED);
	if (number % 4 == 1) /* as pkcs11-provider does */
		expect("C_Finalize before C_Initialize", p11->C_Finalize(NULL), finalize_gives);
}

static void run_child(int number, int depth)
{
	CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
	clearenv(); /* as nginx does: the configuration is the parent's none the less */
	if (chdir("/") != 0)
		failed("chdir", (CK_RV)errno);
	if (!handler)
		before_initialize(number);
	if (number % 4 == 2 && depth > 0) { /* daemons fork first */
		wait_for(fork_child(number, depth - 1));
		return;
	}
	if (!expect("C_Initialize", p11->C_Initialize(number % 2 ? NULL : &args), initialize_gives) ||
	    initialize_gives == CKR_FUNCTION_FAILED)
		return;
	expect("C_Initialize again", p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
	work(3);
	if (number % 4 == 3 && depth > 0)
		wait_for(fork_child(number, depth - 1));
	work(1);
	if (number % 8 != 0) /* some end without it */
		expect("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
}

/* --- the parent --- */

static void refuse(unsigned call, unsigned call2)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		failed("seccomp", (CK_RV)errno);
}

static int number_of(const char *argument, const char *name, int otherwise)
{
	size_t n = strlen(name);
	return strncmp(argument, name, n) == 0 ? atoi(argument + n) : otherwise;
}

int main(int argc, char **argv)
{
	int forks = 200, threads = 8;
	pin = getenv("GREP11_PIN");
	pthread_t thread[64];
	for (int i = 2; i < argc; i++) {
		forks = number_of(argv[i], "forks=", forks);
		threads = number_of(argv[i], "threads=", threads);
		if (strncmp(argv[i], "label=", 6) == 0)
			label = argv[i] + 6;
		if (strcmp(argv[i], "nomemfd") == 0)
			refuse(__NR_memfd_create, __NR_memfd_create);
		if (strcmp(argv[i], "nocopy") == 0) {
			refuse(__NR_memfd_create, __NR_sendfile);
			initialize_gives = CKR_FUNCTION_FAILED;
		}
		if (strcmp(argv[i], "handler") == 0) {
			handler = true;
			initialize_gives = CKR_CRYPTOKI_ALREADY_INITIALIZED;
			pthread_atfork(NULL, NULL, in_handler);
		}
		if (strcmp(argv[i], "early") == 0) {
			early = true;
			finalize_gives = CKR_CRYPTOKI_NOT_INITIALIZED;
		}
	}
	if (argc < 2 || threads > 64 || !(p11 = load(argv[1])))
		return 2;
	if (!early && !expect("the parent's C_Initialize", p11->C_Initialize(NULL), CKR_OK))
		return 1;
	if (!early)
		work(1);
	for (int i = 0; i < threads; i++)
		pthread_create(&thread[i], NULL, busy, NULL);
	pid_t children[ABREAST] = {0};
	for (int i = 0; i < forks + ABREAST; i++) {
		if (children[i % ABREAST] > 0)
			wait_for(children[i % ABREAST]);
		children[i % ABREAST] = i < forks ? fork_child(i, 2) : 0;
	}
	atomic_store(&stop, true);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	if (early) /* the parent's own runtime is still good */
		expect("the parent's C_Initialize", p11->C_Initialize(NULL), CKR_OK);
	work(1);
	expect("the parent's C_Finalize", p11->C_Finalize(NULL), CKR_OK);
	printf("forks %d, failures %d, rounds in the parent's threads %ld\n", forks, failures, calls);
	return failures != 0;
}
