/* Function lists and interfaces. PKCS#11 v3.2 sections 3.6 and 5.4. */
#include <string.h>

#include "engine.h"

#define MEMBER(by, name, parameters, arguments) .name = name,
#define NO_MEMBER(by, name, parameters, arguments)

static const CK_FUNCTION_LIST list_2_40 = {
	.version = {2, 40},
#define FUNCTION_2_40 MEMBER
#define FUNCTION_3_0 NO_MEMBER
#define FUNCTION_3_2 NO_MEMBER
#include "functions.h"
};

static const CK_FUNCTION_LIST_3_0 list_3_0 = {
	.version = {3, 0},
#define FUNCTION_2_40 MEMBER
#define FUNCTION_3_0 MEMBER
#define FUNCTION_3_2 NO_MEMBER
#include "functions.h"
};

static const CK_FUNCTION_LIST_3_2 list_3_2 = {
	.version = {3, 2},
#define FUNCTION MEMBER
#include "functions.h"
};

#define GO_MEMBER(name) .name = go_##name,
#define RELAY_MEMBER(name) .name = relay_##name,
#define LIFE_MEMBER(name) .name = go_##name,
#define C_MEMBER(name) .name = name,

const struct engine own_engine = {
	.version = {1, 0},
#define FUNCTION(by, name, parameters, arguments) by##_MEMBER(name)
#include "functions.h"
	.inheritance = go_inheritance,
};

/* The newest comes first: it is the default. None is CKF_INTERFACE_FORK_SAFE,
 * for that promises a child its parent's sessions and login. The last is for
 * fork.c and not listed. */
enum { LISTED = 3, OFFERED = 4 };
static CK_INTERFACE interfaces[OFFERED] = {
	{(CK_UTF8CHAR_PTR) "PKCS 11", (CK_VOID_PTR)&list_3_2, 0},
	{(CK_UTF8CHAR_PTR) "PKCS 11", (CK_VOID_PTR)&list_3_0, 0},
	{(CK_UTF8CHAR_PTR) "PKCS 11", (CK_VOID_PTR)&list_2_40, 0},
	{(CK_UTF8CHAR_PTR)ENGINE_NAME, (CK_VOID_PTR)&own_engine, 0},
};

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR ppFunctionList)
{
	if (!P(ppFunctionList))
		return CKR_ARGUMENTS_BAD;
	*ppFunctionList = (CK_FUNCTION_LIST_PTR)&list_2_40;
	return CKR_OK;
}

CK_RV C_GetInterfaceList(CK_INTERFACE_PTR pInterfacesList, CK_ULONG_PTR pulCount)
{
	if (!P(pulCount))
		return CKR_ARGUMENTS_BAD;
	CK_ULONG room = *pulCount;
	*pulCount = LISTED;
	if (!P(pInterfacesList))
		return CKR_OK;
	if (room < LISTED)
		return CKR_BUFFER_TOO_SMALL;
	memcpy(pInterfacesList, interfaces, LISTED * sizeof *interfaces);
	return CKR_OK;
}

/* A caller's NULL name, NULL version and clear flags match everything. */
static bool matches(const CK_INTERFACE *i, const CK_UTF8CHAR *name, const CK_VERSION *version, CK_FLAGS flags)
{
	if (strcmp((const char *)i->pInterfaceName, name ? (const char *)name : "PKCS 11") != 0)
		return false;
	const CK_VERSION *v = i->pFunctionList; /* every list begins with its version */
	if (version && (version->major != v->major || version->minor != v->minor))
		return false;
	return (flags & ~i->flags) == 0;
}

CK_RV C_GetInterface(CK_UTF8CHAR_PTR pInterfaceName, CK_VERSION_PTR pVersion, CK_INTERFACE_PTR_PTR ppInterface,
		     CK_FLAGS flags)
{
	if (!P(ppInterface))
		return CKR_ARGUMENTS_BAD;
	for (int i = 0; i < OFFERED; i++) {
		if (matches(&interfaces[i], P(pInterfaceName), P(pVersion), flags)) {
			*ppInterface = &interfaces[i];
			return CKR_OK;
		}
	}
	return CKR_ARGUMENTS_BAD;
}
