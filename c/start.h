/* What Go's runtime does to a process as it starts. */
#ifndef START_H
#define START_H

/* Called by Go once all of it has started. */
void start_done(void);

#endif
