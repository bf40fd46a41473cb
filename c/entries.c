/* The exported functions: each goes to the engine of its process. */

#include "engine.h"

/* Go does not survive fork(): engine() is this copy's functions, in a child a second copy's. */
#define GO_ENTRY(name, parameters, arguments)                               \
	CK_RV name parameters                                               \
	{                                                                   \
		const struct engine *e = engine();                          \
		return e ? e->name arguments : CKR_CRYPTOKI_NOT_INITIALIZED; \
	}

#define RELAY_ENTRY GO_ENTRY

/* C_Initialize and C_Finalize are in fork.c, the lists in tables.c. */
#define LIFE_ENTRY(name, parameters, arguments)
#define C_ENTRY(name, parameters, arguments)

#define FUNCTION(by, name, parameters, arguments) by##_ENTRY(name, parameters, arguments)
#include "functions.h"
