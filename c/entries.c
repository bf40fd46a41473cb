/* The exported functions: each goes to the engine of its process. */

#define _GNU_SOURCE
#include "engine.h"
#include "signals.h"

/* Go does not survive fork(): engine() is this copy's functions, in a child a second copy's. */
#define GO_ENTRY(name, parameters, arguments)                               \
	CK_RV name parameters                                               \
	{                                                                   \
		const struct engine *e = engine();                          \
		CK_RV rv = CKR_CRYPTOKI_NOT_INITIALIZED;                    \
		if (e)                                                      \
			UNCANCELLED(CALL_GO(e, rv, e->name arguments));     \
		return rv;                                                  \
	}

#define RELAY_ENTRY(name, parameters, arguments)                            \
	CK_RV name parameters                                               \
	{                                                                   \
		const struct engine *e = engine();                          \
		CK_RV rv = CKR_CRYPTOKI_NOT_INITIALIZED;                    \
		if (e)                                                      \
			UNCANCELLED(rv = e->name arguments);                \
		return rv;                                                  \
	}

/* C_Initialize and C_Finalize are in fork.c, the lists in tables.c. */
#define LIFE_ENTRY(name, parameters, arguments)
#define C_ENTRY(name, parameters, arguments)

#define FUNCTION(by, name, parameters, arguments) by##_ENTRY(name, parameters, arguments)
#include "functions.h"
