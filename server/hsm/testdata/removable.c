/* A PKCS#11 module in front of SoftHSM2 whose token can be taken out and put
 * back, and which can hang: as the file $REMOVABLE says, "in", "out" or "hang".
 * Taking it out ends all sessions, as the standard says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define CALL_SPEC
#include "cryptoki.h"

static CK_FUNCTION_LIST real, mine;
static int was_out;

static int state(void)
{
	char word[8] = "";
	FILE *f = fopen(getenv("REMOVABLE"), "r");
	if (f) {
		if (!fgets(word, sizeof word, f))
			word[0] = 0;
		fclose(f);
	}
	return word[0];
}

/* CKR_OK with the token in. */
static CK_RV in(void)
{
	while (state() == 'h')
		usleep(10000);
	if (state() != 'o') {
		was_out = 0;
		return CKR_OK;
	}
	if (!was_out) {
		CK_SLOT_ID slots[16];
		CK_ULONG n = 16;
		was_out = 1;
		if (real.C_GetSlotList(CK_TRUE, slots, &n) == CKR_OK)
			for (CK_ULONG i = 0; i < n; i++)
				real.C_CloseAllSessions(slots[i]);
	}
	return CKR_DEVICE_REMOVED;
}

static CK_RV slots(CK_BBOOL present, CK_SLOT_ID *list, CK_ULONG *n)
{
	if (in() != CKR_OK && present) {
		*n = 0;
		return CKR_OK;
	}
	return real.C_GetSlotList(present, list, n);
}

#define WHEN_IN(name, parameters, arguments) \
	static CK_RV name parameters { CK_RV rv = in(); return rv ? rv : real.C_##name arguments; }

WHEN_IN(OpenSession, (CK_SLOT_ID s, CK_FLAGS f, void *a, CK_NOTIFY n, CK_SESSION_HANDLE *h), (s, f, a, n, h))
WHEN_IN(SignInit, (CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE o), (h, m, o))
WHEN_IN(EncryptInit, (CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE o), (h, m, o))
WHEN_IN(DecryptInit, (CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE o), (h, m, o))
WHEN_IN(GenerateKey, (CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *o), (h, m, t, n, o))
WHEN_IN(UnwrapKey, (CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE k, CK_BYTE *w, CK_ULONG l, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *o), (h, m, k, w, l, t, n, o))

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	void *lib = dlopen("/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW | RTLD_LOCAL);
	CK_RV (*get)(CK_FUNCTION_LIST **) = 0;
	CK_FUNCTION_LIST *theirs;
	if (lib)
		*(void **)&get = dlsym(lib, "C_GetFunctionList");
	if (!get || get(&theirs) != CKR_OK)
		return CKR_GENERAL_ERROR;
	memcpy(&real, theirs, sizeof real);
	memcpy(&mine, theirs, sizeof mine);
	mine.C_GetFunctionList = C_GetFunctionList;
	mine.C_GetSlotList = slots;
	mine.C_OpenSession = OpenSession;
	mine.C_SignInit = SignInit;
	mine.C_EncryptInit = EncryptInit;
	mine.C_DecryptInit = DecryptInit;
	mine.C_GenerateKey = GenerateKey;
	mine.C_UnwrapKey = UnwrapKey;
	*list = &mine;
	return CKR_OK;
}
