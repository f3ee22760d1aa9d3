// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A busy guest, for migration: each processor has threads that rewrite their memory with patterns
 * and find each one again, hold values in vector registers, and read the clocks. Whatever a
 * migration loses, keeps from an older moment, or takes from another processor is a line "BAD …".
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "guest.h"

#define PAGE		4096
#define PAGE_WORDS	(PAGE / 8)
#define PAGES		1536		/* rewritten by each processor: 6 MiB */
#define STILL_PAGES	8192		/* written once: 32 MiB */
#define MAX_CPUS	8
#define JUMP_NS		(120 * 1000000000ULL)	/* no clock leaps so far in one step */
#define SAME_NS		(10 * 1000000ULL)	/* clocks read within this are read at once */

struct worker {
	long cpu;
	uint64_t *mem;
	volatile uint64_t rounds;	/* how often all pages were rewritten */
	volatile uint64_t spins;	/* of the vector registers */
	volatile uint64_t readings;	/* of the clocks */
};

static struct worker workers[MAX_CPUS];
static uint64_t latest_ns;	/* the latest reading of CLOCK_MONOTONIC on any processor */

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

static void fill(uint64_t *page, uint64_t seed)
{
	for (unsigned int i = 0; i < PAGE_WORDS; i++)
		page[i] = seed + i * 0x9e3779b97f4a7c15ULL;
}

static void verify(const char *what, const uint64_t *page, uint64_t seed, uint64_t number)
{
	for (unsigned int i = 0; i < PAGE_WORDS; i++) {
		uint64_t want = seed + i * 0x9e3779b97f4a7c15ULL;

		if (page[i] == want)
			continue;
		say("BAD %s memory: page %llu word %u has %016llx instead of %016llx", what,
		    (unsigned long long)number, i, (unsigned long long)page[i],
		    (unsigned long long)want);
		return;
	}
}

static void pin(long cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/* Each page holds the pattern of the round in which it was written last. */
static void *memory_thread(void *arg)
{
	struct worker *w = arg;

	pin(w->cpu);
	for (uint64_t round = 1;; round++) {
		for (uint64_t p = 0; p < PAGES; p++) {
			uint64_t *page = w->mem + p * PAGE_WORDS;

			if (round > 1)
				verify("busy", page, mix((round - 1) << 20 | w->cpu << 16 | p), p);
			fill(page, mix(round << 20 | w->cpu << 16 | p));
		}
		w->rounds = round;
	}
	return NULL;
}

/* Values that only registers hold, across whatever happens to the guest meanwhile. */
static void *register_thread(void *arg)
{
	struct worker *w = arg;
	double in[4], out[4];
	uint64_t count;

	pin(w->cpu);
	for (uint64_t n = 1;; n++) {
		uint16_t x87 = n, x87_out = 0;

		for (int i = 0; i < 4; i++)
			in[i] = (double)(n * 16 + w->cpu * 4 + i);
		count = 300000;
		asm volatile("movupd %[in0], %%xmm7\n\tmovupd %[in1], %%xmm15\n\tfilds %[x87]\n"
			     "1:\tdecq %[count]\n\tjnz 1b\n\t"
			     "movupd %%xmm7, %[out0]\n\tmovupd %%xmm15, %[out1]\n\tfistps %[x87_out]"
			     : [out0] "=m"(*(__m128d *)out), [out1] "=m"(*(__m128d *)(out + 2)),
			       [x87_out] "=m"(x87_out), [count] "+r"(count)
			     : [in0] "m"(*(__m128d *)in), [in1] "m"(*(__m128d *)(in + 2)), [x87] "m"(x87)
			     : "xmm7", "xmm15", "st", "cc");
		if (memcmp(in, out, sizeof(in)))
			say("BAD vector registers of processor %ld", w->cpu);
		if (x87 != x87_out)
			say("BAD x87 register of processor %ld: %u instead of %u", w->cpu, x87_out, x87);
		w->spins = n;
		sched_yield();
	}
	return NULL;
}

/* No clock may go back, on one processor or from one to another, nor leap. */
static void *clock_thread(void *arg)
{
	struct worker *w = arg;
	uint64_t tsc = 0, real = 0;

	pin(w->cpu);
	for (uint64_t n = 1;; n++) {
		uint64_t before = __atomic_load_n(&latest_ns, __ATOMIC_SEQ_CST), seen = before;
		uint64_t now = clock_ns(CLOCK_MONOTONIC), now_real = clock_ns(CLOCK_REALTIME);
		uint64_t now_tsc = __rdtsc();

		if (now < before)
			say("BAD monotonic clock of processor %ld: %llu ns after %llu ns", w->cpu,
			    (unsigned long long)now, (unsigned long long)before);
		if (before && now > before + JUMP_NS)
			say("BAD monotonic clock leapt by %llu ms",
			    (unsigned long long)(now - before) / 1000000);
		if (now_real < real)
			say("BAD real-time clock of processor %ld went back by %llu ns", w->cpu,
			    (unsigned long long)(real - now_real));
		if (now_tsc < tsc)
			say("BAD TSC of processor %ld: %llu after %llu", w->cpu,
			    (unsigned long long)now_tsc, (unsigned long long)tsc);
		while (seen < now &&
		       !__atomic_compare_exchange_n(&latest_ns, &seen, now, false,
						    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			;
		real = now_real;
		tsc = now_tsc;
		w->readings = n;
		if (n % 64 == 0)
			usleep(500);
	}
	return NULL;
}

static void start(struct worker *w, void *(*fn)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fn, w))
		say("BAD cannot start a thread");
}

/* CLOCK_MONOTONIC and CLOCK_REALTIME of one moment: no other thread ran between them. */
static void read_clocks(uint64_t *mono, uint64_t *real)
{
	for (int i = 0; i < 100; i++) {
		*mono = clock_ns(CLOCK_MONOTONIC);
		*real = clock_ns(CLOCK_REALTIME);
		if (clock_ns(CLOCK_MONOTONIC) - *mono < SAME_NS)
			return;
	}
	say("BAD the two clocks cannot be read at once");
}

/* One line: what has been done since the last one, by each processor, and the time. */
static void report(unsigned long n, long cpus)
{
	static struct worker last[MAX_CPUS];
	uint64_t mono, real;
	char text[512];
	size_t len = 0;

	for (long i = 0; i < cpus; i++) {
		len += snprintf(text + len, sizeof(text) - len, " cpu%ld %llu/%llu/%llu", i,
				(unsigned long long)(workers[i].rounds - last[i].rounds),
				(unsigned long long)(workers[i].spins - last[i].spins),
				(unsigned long long)(workers[i].readings - last[i].readings));
		last[i] = workers[i];
	}
	read_clocks(&mono, &real);
	say("BUSY %lu mono %llu real %llu%s", n, (unsigned long long)mono / 1000000,
	    (unsigned long long)real / 1000000, text);
}

static void *map_pages(size_t pages)
{
	void *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	if (p == MAP_FAILED)
		say("BAD no memory");
	return p;
}

void busy(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t *still = map_pages(STILL_PAGES);

	if (cpus > MAX_CPUS)
		cpus = MAX_CPUS;
	for (uint64_t p = 0; p < STILL_PAGES; p++)
		fill(still + p * PAGE_WORDS, mix(p));
	for (long i = 0; i < cpus; i++) {
		workers[i].cpu = i;
		workers[i].mem = map_pages(PAGES);
		start(&workers[i], memory_thread);
		start(&workers[i], register_thread);
		start(&workers[i], clock_thread);
	}
	for (unsigned long n = 1;; n++) {
		/* All pages that were written once, within some seconds. */
		for (uint64_t p = n % 8; p < STILL_PAGES; p += 8)
			verify("still", still + p * PAGE_WORDS, mix(p), p);
		report(n, cpus);
		usleep(250000);
	}
}
