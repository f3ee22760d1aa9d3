/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fuzzer of the ioctl interface. A program is a short list of calls, each with a thread that
 * makes it and a number from which its arguments follow; programs with new coverage are kept and
 * varied.
 *
 *   fuzz.c     the processes: rounds, watchdog, corpus
 *   program.c  running one program: the world of objects, threads, which call is which
 *   calls.c    the calls
 *   guest.c    what guests execute
 *   kcov.c     coverage of the kernel
 */
#ifndef HV_FUZZ_H
#define HV_FUZZ_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define FUZZ_PAGE     4096UL

/* ---- random numbers: the same from the same seed ------------------------------------------- */

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)(rng_next(r) % n);
}

static inline bool rng_one_in(struct rng *r, uint32_t n)
{
	return rng_below(r, n) == 0;
}

/* A number as programs like to get wrong: small, a power of two, a limit, next to one of those. */
uint64_t rng_number(struct rng *r);

/* ---- programs ------------------------------------------------------------------------------ */

#define FUZZ_CALLS   32
#define FUZZ_THREADS 3

struct call {
	uint8_t op; /* an index of fuzz_ops[] */
	uint8_t thread;
	uint32_t seed;
} __attribute__((packed));

struct program {
	uint32_t count;
	struct call call[FUZZ_CALLS];
};

void program_random(struct program *p, struct rng *r);
void program_mutate(struct program *p, const struct program *other, struct rng *r);
/* Run it to its end in this process. @coverage: NULL, or a map that its threads add to. */
void program_run(const struct program *p, uint8_t *coverage);

/* ---- the world: objects that the calls work on --------------------------------------------- */

#define WORLD_VMS    2
#define WORLD_VCPUS  4
#define WORLD_EVENTS 4
#define WORLD_FDS    8
#define WORLD_MEM    (4UL << 20) /* guests' memory, shared by all VMs of the program */
#define WORLD_LOW    (1UL << 20) /* slot 0 of every VM */

struct fuzz_vcpu {
	int fd;              /* -1: none */
	struct kvm_run *run; /* NULL: not mapped */
	size_t run_size;
};

struct fuzz_vm {
	int fd;
	struct fuzz_vcpu vcpu[WORLD_VCPUS];
};

struct world {
	int dev;
	uint8_t *mem;
	struct fuzz_vm vm[WORLD_VMS];
	int event[WORLD_EVENTS];
	int fd[WORLD_FDS]; /* anything that an ioctl returned */
};

/*
 * What a call has at hand. Several threads use the world at once; its fields are only ever replaced
 * whole.
 */
struct context {
	struct world *world;
	struct rng rng;
};

typedef void (*fuzz_fn)(struct context *c);
struct fuzz_op {
	fuzz_fn fn;
	uint32_t weight;
};

extern const char *fuzz_device;
extern const struct fuzz_op fuzz_ops[];
extern const unsigned int fuzz_nr_ops;

struct fuzz_vm *pick_vm(struct context *c);
struct fuzz_vcpu *pick_vcpu(struct context *c);
void vm_open(struct world *w, struct fuzz_vm *vm);
void vcpu_open(struct world *w, struct fuzz_vm *vm, unsigned int index, unsigned int id);
void vcpu_close(struct fuzz_vcpu *vcpu);

/* guest.c */
uint32_t pick_msr(struct rng *r);
uint64_t pick_address(struct rng *r);
void guest_write_code(struct context *c, uint8_t *to, size_t size);
void guest_setup(struct context *c, struct fuzz_vcpu *vcpu);

/* kcov.c */
#define COVERAGE_SIZE (1u << 16)
void kcov_start(void);
void kcov_collect(uint8_t *coverage);
bool kcov_available(void);

#endif
