#define _GNU_SOURCE
#include "loop.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_THREADS = 64, MAX_TIMES = 1 << 16 };

struct runner {
	pthread_t thread;
	int number;
	long steps;
	float *times; /* of the first MAX_TIMES steps, in microseconds */
	double seconds;
};

static const struct work *work;
static double until;
static double limit;
static pthread_barrier_t start;
static pthread_mutex_t reason_lock = PTHREAD_MUTEX_INITIALIZER;
static char reason[200];
static atomic_int failed;

double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void complain(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	pthread_mutex_lock(&reason_lock);
	if (!failed)
		vsnprintf(reason, sizeof reason, format, args);
	failed = 1;
	pthread_mutex_unlock(&reason_lock);
	va_end(args);
}

/* One thread: waits for the others, then repeats the step until time is up. */
static void *run_thread(void *arg)
{
	struct runner *r = arg;
	void *state = work->begin(r->number);
	if (pthread_barrier_wait(&start) == PTHREAD_BARRIER_SERIAL_THREAD)
		until = now() + limit;
	pthread_barrier_wait(&start);
	double begun = now(), before = begun;
	while (state && !failed && before < until) {
		if (work->step(state) != 0) {
			complain("%s failed", work->name);
			break;
		}
		double after = now();
		if (r->steps < MAX_TIMES)
			r->times[r->steps] = (float)((after - before) * 1e6);
		r->steps++;
		before = after;
	}
	r->seconds = before - begun;
	if (state && work->end)
		work->end(state);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

static double median(struct runner *runners, int threads)
{
	float *all = malloc(sizeof *all * MAX_TIMES * (size_t)threads);
	size_t n = 0;
	for (int i = 0; all && i < threads; i++)
		for (long j = 0; j < runners[i].steps && j < MAX_TIMES; j++)
			all[n++] = runners[i].times[j];
	double m = 0;
	if (n > 0) {
		qsort(all, n, sizeof *all, compare);
		m = all[n / 2];
	}
	free(all);
	return m;
}

void run_work(const struct work *w, int threads, double seconds)
{
	static struct runner runners[MAX_THREADS];
	if (threads > MAX_THREADS)
		threads = MAX_THREADS;
	work = w;
	limit = seconds;
	failed = 0;
	reason[0] = 0;
	pthread_barrier_init(&start, NULL, (unsigned)threads);
	for (int i = 0; i < threads; i++) {
		runners[i] = (struct runner){.number = i, .times = malloc(sizeof(float) * MAX_TIMES)};
		if (!runners[i].times || pthread_create(&runners[i].thread, NULL, run_thread, &runners[i]) != 0)
			abort();
	}
	double rate = 0;
	for (int i = 0; i < threads; i++) {
		pthread_join(runners[i].thread, NULL);
		if (runners[i].seconds > 0)
			rate += (double)runners[i].steps / runners[i].seconds;
	}
	printf("%s\t%d\t%.1f\t%.1f\t%s\n", w->name, threads, rate, median(runners, threads), reason);
	fflush(stdout);
	for (int i = 0; i < threads; i++)
		free(runners[i].times);
	pthread_barrier_destroy(&start);
}

int wanted(const char *name, char **names)
{
	if (!*names)
		return 1;
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return 1;
	return 0;
}
