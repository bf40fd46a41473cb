/* Calls that leave lines in the log, in a process and its child:
 *
 *	logged MODULE CONFIG [LOG]
 *
 * With LOG, the log's file, that is moved away to LOG.1 between two calls of each
 * process. Prints both process ids. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "module.h"

enum { UNTIL_LOOKED = 1500000 }; /* microseconds: the library looks for its file each second */

static CK_FUNCTION_LIST_PTR p11;

static void must(const char *what, CK_RV rv)
{
	if (rv == CKR_OK)
		return;
	printf("%s: 0x%lx\n", what, rv);
	exit(1);
}

static void begin(char *config)
{
	CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK, .pReserved = config};
	CK_INFO info;
	must("C_Initialize", p11->C_Initialize(&args));
	must("C_GetInfo", p11->C_GetInfo(&info));
}

static int sockets(void)
{
	char path[64], is[64];
	int n = 0;
	for (int fd = 0; fd < 1024; fd++) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		n += readlink(path, is, sizeof is) > 7 && strncmp(is, "socket:", 7) == 0;
	}
	return n;
}

static void end(void)
{
	CK_INFO info;
	int before = sockets();
	must("C_GetInfo", p11->C_GetInfo(&info));
	must("C_Finalize", p11->C_Finalize(NULL));
	if (before > 0 && sockets() >= before) {
		printf("C_Finalize leaves %d of %d sockets\n", sockets(), before);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	char config[4096], moved[4096], byte = 0;
	int ready[2], go[2], status;
	p11 = argc > 2 ? load(argv[1]) : NULL;
	if (!p11 || pipe(ready) != 0 || pipe(go) != 0)
		return 2;
	snprintf(config, sizeof config, "config=%s", argv[2]);
	begin(config);
	pid_t child = fork();
	if (child == 0) {
		begin(config);
		if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1)
			return 3;
		end();
		return 0;
	}
	printf("%d %d\n", (int)getpid(), (int)child);
	if (read(ready[0], &byte, 1) != 1)
		return 3;
	if (argc > 3) {
		snprintf(moved, sizeof moved, "%s.1", argv[3]);
		rename(argv[3], moved);
		usleep(UNTIL_LOOKED);
	}
	if (write(go[1], &byte, 1) != 1)
		return 3;
	end();
	return waitpid(child, &status, 0) == child && status == 0 ? 0 : 4;
}
