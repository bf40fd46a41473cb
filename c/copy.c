/* A second copy of this library's own file. The loader knows files by device
 * and inode and names by their spelling, so a copy needs both new: a memfd,
 * opened under a path that no copy before it had. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "fork.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

/* Nobody but us spells a path so: a copy knows itself by it. */
#define COPY_FOLDER "/proc/self/fd/./"

static char source[PATH_MAX]; /* the library's file, absolute: applications change folder */
static int generation;        /* copies that this process's ancestors opened, and it */

/* A copy that is ready for the next child, fd -1 if there is none. Guarded by
 * guard->busy; a child reads what was there when it was forked. */
static struct {
	int fd;
	dev_t device;
	ino_t inode;
} spare = {.fd = -1};

static const char *own_name(void)
{
	Dl_info info;
	return dladdr(&own_engine, &info) && info.dli_fname ? info.dli_fname : "";
}

bool copy_is_this(void)
{
	return strncmp(own_name(), COPY_FOLDER, strlen(COPY_FOLDER)) == 0;
}

void copy_remember_source(void)
{
	if (!realpath(own_name(), source))
		*source = 0;
}

static int open_memory(void)
{
	int fd = memfd_create("grep11-pkcs11", MFD_CLOEXEC | MFD_EXEC);
	if (fd < 0 && errno == EINVAL) /* Linux before 6.3 has no MFD_EXEC */
		fd = memfd_create("grep11-pkcs11", MFD_CLOEXEC);
	return fd;
}

/* Folders for a file without a name, where memory may not be executed. */
static const char *const folders[] = {"/dev/shm", "/run", "/tmp", "/var/tmp"};

static int open_unnamed(const char *folder)
{
	int fd = open(folder, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0700);
	if (fd >= 0)
		return fd;
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/grep11-pkcs11-XXXXXX", folder);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

/* Fills fd with the library's file; closes it and says -1 if that fails. */
static int fill(int fd)
{
	int from = fd < 0 ? -1 : open(source, O_RDONLY | O_CLOEXEC);
	ssize_t n = from < 0 ? -1 : 1;
	while (n > 0)
		n = sendfile(fd, from, NULL, 1 << 24);
	int reason = errno;
	if (from >= 0)
		close(from);
	if (n == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	errno = reason;
	return -1;
}

/* The engine of the copy in fd; NULL if it may not be loaded. Closes fd: the
 * loaded copy does not need it. */
static const struct engine *load(int fd)
{
	char path[PATH_MAX] = "/proc/self/fd/";
	generation++;
	for (int i = 0; i < generation && strlen(path) < sizeof path - 16; i++)
		strcat(path, "./");
	sprintf(path + strlen(path), "%d", fd);
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	close(fd);
	CK_C_GetInterface get;
	void *symbol = library ? dlsym(library, "C_GetInterface") : NULL;
	memcpy(&get, &symbol, sizeof get); /* ISO C has no cast for this */
	CK_INTERFACE_PTR found;
	if (!symbol || get((CK_UTF8CHAR_PTR)ENGINE_NAME, NULL, &found, 0) != CKR_OK)
		return NULL;
	return found->pFunctionList;
}

static bool spare_usable(void)
{
	struct stat s;
	return spare.fd >= 0 && fstat(spare.fd, &s) == 0 && s.st_dev == spare.device && s.st_ino == spare.inode;
}

/* Makes the spare copy unless it is there. Failing is no harm: the child tries. */
void copy_prepare(void)
{
	struct stat s;
	if (spare_usable())
		return;
	int fd = fill(open_memory());
	if (fd < 0 || fstat(fd, &s) != 0)
		return;
	spare.device = s.st_dev;
	spare.inode = s.st_ino;
	spare.fd = fd;
}

static int take_spare(void)
{
	int fd = spare_usable() ? spare.fd : -1;
	spare.fd = -1;
	return fd;
}

/* Why each try failed, for one line in the system's log: without a Go runtime
 * the library's own log is out of reach. */
static char reasons[512];

static void failed(const char *where, const char *why)
{
	size_t n = strlen(reasons);
	snprintf(reasons + n, sizeof reasons - n, "; %s: %s", where, why ? why : "it is not this library");
}

/* fd is -1, with errno, where the copy could not even be made. */
static const struct engine *try_copy(int fd, const char *where)
{
	dlerror();
	const struct engine *e = fd < 0 ? NULL : load(fd);
	if (!e)
		failed(where, fd < 0 ? strerror(errno) : dlerror());
	return e;
}

/* Gives this process a copy of its own: the spare, a new one in memory, or one
 * in a file. NULL when none can be had; the system's log says why. */
const struct engine *copy_open(void)
{
	*reasons = 0;
	int fd = take_spare();
	const struct engine *e = try_copy(fd >= 0 ? fd : fill(open_memory()), "memory");
	for (size_t i = 0; !e && i < sizeof folders / sizeof *folders; i++)
		e = try_copy(fill(open_unnamed(folders[i])), folders[i]);
	if (!e)
		syslog(LOG_USER | LOG_ERR, "libgrep11-pkcs11: process %d was forked and cannot load a second copy of %s%s",
		       (int)getpid(), source, reasons);
	return e;
}
