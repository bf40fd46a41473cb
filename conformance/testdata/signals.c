/* Signals of the application reach its own threads only:
 *
 *	signals MODULE
 *
 * Like nginx's master it blocks SIGCHLD but while it waits for it. A thread of
 * the library's that took one would leave it waiting. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "module.h"

enum { CHILDREN = 300 };

static volatile sig_atomic_t waits, here, elsewhere; /* while it waits, on its thread; or not */

static void on_child(int sig)
{
	(void)sig;
	if (waits && syscall(SYS_gettid) == getpid())
		here++;
	else
		elsewhere++;
}

int main(int argc, char **argv)
{
	CK_FUNCTION_LIST_PTR p11;
	CK_BYTE random[32];
	CK_SESSION_HANDLE session;
	CK_SLOT_ID slot;
	struct sigaction action = {.sa_handler = on_child};
	sigset_t child, waiting;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &waiting);
	sigaction(SIGCHLD, &action, NULL);
	p11 = load(argc > 1 ? argv[1] : NULL);
	if (!p11)
		return fail("no module");
	if (start_on(p11, &slot) || p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session))
		return fail("no session");
	alarm(60);
	for (int i = 0; i < CHILDREN; i++) {
		if (p11->C_GenerateRandom(session, random, sizeof random))
			return fail("no random numbers");
		pid_t pid = fork();
		if (!pid)
			_exit(0);
		siginfo_t ended;
		waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT); /* it has, and its signal is there */
		waits = 1;
		while (here + elsewhere <= i)
			sigsuspend(&waiting);
		waits = 0;
		waitpid(pid, NULL, 0);
	}
	printf("%d here, %d elsewhere\n", (int)here, (int)elsewhere);
	return elsewhere > 0;
}
