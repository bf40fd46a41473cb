/* The second copy of the library that a forked child works with; see copy.c. */
#ifndef FORK_H
#define FORK_H

#include "engine.h"

void copy_remember_source(void);
bool copy_is_this(void);
void copy_prepare(void);
const struct engine *copy_open(void);

#endif
