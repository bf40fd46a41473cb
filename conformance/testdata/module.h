/* The module under test, for programs that want no more of it than a slot. */
#ifndef MODULE_H
#define MODULE_H

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "cryptoki.h"

static inline int fail(const char *what)
{
	printf("%s\n", what);
	return 1;
}

/* NULL, and a word about it, if there is no such module. */
static inline CK_FUNCTION_LIST_PTR load(const char *path)
{
	CK_FUNCTION_LIST_PTR list = NULL;
	void *library = path ? dlopen(path, RTLD_NOW) : NULL;
	void *symbol = library ? dlsym(library, "C_GetFunctionList") : NULL;
	CK_C_GetFunctionList get;

	memcpy(&get, &symbol, sizeof get);
	if (!symbol || get(&list) != CKR_OK)
		fprintf(stderr, "%s: %s\n", path ? path : "no path", dlerror());
	return list;
}

/* Initialises it, and gives the first slot that has a token. */
static inline CK_RV start_on(CK_FUNCTION_LIST_PTR p11, CK_SLOT_ID *slot)
{
	CK_SLOT_ID slots[16];
	CK_ULONG n = 16;
	CK_RV rv = p11->C_Initialize(NULL);

	if (!rv)
		rv = p11->C_GetSlotList(CK_TRUE, slots, &n);
	*slot = slots[0];
	return rv;
}

#endif
