/* The one timing loop of the benchmark. Every candidate is driven by it. */
#ifndef LOOP_H
#define LOOP_H

/* An operation to time. begin makes what one thread needs and returns it, or
 * NULL after calling complain; step does the operation once, 0 for success;
 * end (may be NULL) releases it. */
struct work {
	const char *name;
	void *(*begin)(int thread);
	int (*step)(void *state);
	void (*end)(void *state);
};

/* Runs the work on so many threads for so many seconds and prints one line:
 *	name TAB threads TAB ops/s TAB median in microseconds TAB error
 * The median is taken over the calls of all threads. */
void run_work(const struct work *w, int threads, double seconds);

/* Notes why the work cannot go on; the first reason is printed. */
void complain(const char *format, ...);

/* Whether a work is among the names, which end with NULL; all are if there is none. */
int wanted(const char *name, char **names);

double now(void);

#endif
