/* What the C files here and Go's preambles share. */
#ifndef ENGINE_H
#define ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cryptoki.h"

/* A pointer to where no memory can be becomes NULL. Go's runtime would take one
 * that it meets on a stack for its own mistake, and end the process; but an
 * application may have any number for a pApplication. The first page is never
 * mapped, the upper half of all addresses is the kernel's. */
#define P(pointer) ((uintptr_t)(pointer) - 4096 > UINTPTR_MAX / 2 ? NULL_PTR : (pointer))

/* The functions in Go: the exports of the .go files here. */
#define GO_DECLARE(name, parameters) CK_RV go_##name parameters;
#define RELAY_DECLARE(name, parameters) CK_RV go_##name parameters, relay_##name parameters;
#define LIFE_DECLARE(name, parameters) CK_RV go_##name parameters;
#define C_DECLARE(name, parameters)
#define FUNCTION(by, name, parameters, arguments) by##_DECLARE(name, parameters)
#include "functions.h"
void go_inheritance(char *text, CK_ULONG size);

/* An engine is one Go runtime's functions: this copy of the library's, or in a
 * forked child those of a second copy. ENGINE_NAME carries the layout's number. */
struct engine {
	CK_VERSION version; /* as in every function list */
#define FUNCTION(by, name, parameters, arguments) CK_##name name;
#include "functions.h"
	/* Writes the reserved string with which a child's C_Initialize finds the
	 * same configuration, "" for none. */
	void (*inheritance)(char *text, CK_ULONG size);
};
#define ENGINE_NAME "GREP11 engine 1"

extern const struct engine own_engine;

/* The kernel wipes the guard in a forked child, so that one load tells. */
struct guard {
	_Atomic(const struct engine *) engine; /* NULL in a child before its C_Initialize */
	_Atomic pid_t owner;                   /* whose engine it is */
	atomic_bool busy;                      /* C_Initialize or the making of a copy */
};

extern struct guard *guard;

static inline const struct engine *engine(void)
{
	return atomic_load_explicit(&guard->engine, memory_order_acquire);
}

#endif
