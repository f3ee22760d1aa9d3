// SPDX-License-Identifier: GPL-2.0-or-later
/* Programs: making and varying them, and running one. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define KICK_NS (5 * 1000 * 1000) /* between two signals to a thread that may be in a guest */

uint64_t rng_number(struct rng *r)
{
	static const uint64_t limits[] = {
		0,
		1,
		0x7f,
		0xff,
		0xfff,
		0x1000,
		0x7fff,
		0xffff,
		0x7fffffff,
		0x80000000,
		0xffffffff,
		0x100000000,
		0x7ffffffffffff000,
		0x7fffffffffffffff,
		0x8000000000000000,
		~0ULL,
	};

	switch (rng_below(r, 5)) {
	case 0:
		return rng_below(r, 16);
	case 1:
		return 1ULL << rng_below(r, 64);
	case 2:
		return limits[rng_below(r, ARRAY_SIZE(limits))];
	case 3:
		return limits[rng_below(r, ARRAY_SIZE(limits))] + rng_below(r, 9) - 4;
	default:
		return rng_next(r) >> rng_below(r, 64);
	}
}

/* ---- making programs ----------------------------------------------------------------------- */

static uint8_t random_op(struct rng *r)
{
	uint32_t total = 0, at;
	unsigned int i;

	for (i = 0; i < fuzz_nr_ops; i++)
		total += fuzz_ops[i].weight;
	at = rng_below(r, total);
	for (i = 0; at >= fuzz_ops[i].weight; i++)
		at -= fuzz_ops[i].weight;
	return (uint8_t)i;
}

static struct call random_call(struct rng *r)
{
	return (struct call){
		.op = random_op(r),
		/* Most calls in one thread: what follows builds on what went before. */
		.thread = (uint8_t)(rng_one_in(r, 3) ? rng_below(r, FUZZ_THREADS) : 0),
		.seed = (uint32_t)rng_next(r),
	};
}

void program_random(struct program *p, struct rng *r)
{
	uint32_t i;

	p->count = 8 + rng_below(r, FUZZ_CALLS - 8);
	for (i = 0; i < p->count; i++)
		p->call[i] = random_call(r);
}

static void insert_call(struct program *p, struct rng *r)
{
	uint32_t at = rng_below(r, p->count + 1);

	if (p->count == FUZZ_CALLS)
		return;
	memmove(&p->call[at + 1], &p->call[at], (p->count - at) * sizeof(p->call[0]));
	p->call[at] = random_call(r);
	p->count++;
}

static void delete_call(struct program *p, struct rng *r)
{
	uint32_t at = rng_below(r, p->count);

	if (p->count < 2)
		return;
	p->count--;
	memmove(&p->call[at], &p->call[at + 1], (p->count - at) * sizeof(p->call[0]));
}

/* The end of @other after our own beginning. */
static void join(struct program *p, const struct program *other, struct rng *r)
{
	uint32_t keep = rng_below(r, p->count + 1), from = rng_below(r, other->count);

	while (keep < FUZZ_CALLS && from < other->count)
		p->call[keep++] = other->call[from++];
	p->count = keep;
}

void program_mutate(struct program *p, const struct program *other, struct rng *r)
{
	unsigned int n = 1 + rng_below(r, 4);

	while (n--) {
		switch (rng_below(r, 6)) {
		case 0:
		case 1:
			insert_call(p, r);
			break;
		case 2:
			delete_call(p, r);
			break;
		case 3:
			p->call[rng_below(r, p->count)].seed = (uint32_t)rng_next(r);
			break;
		case 4:
			p->call[rng_below(r, p->count)].thread =
				(uint8_t)rng_below(r, FUZZ_THREADS);
			break;
		case 5:
			join(p, other, r);
			break;
		}
	}
}

/* ---- the world ----------------------------------------------------------------------------- */

void vcpu_open(struct world *w, struct fuzz_vm *vm, unsigned int index, unsigned int id)
{
	struct fuzz_vcpu *vcpu = &vm->vcpu[index];
	int fd = ioctl(vm->fd, KVM_CREATE_VCPU, id);
	long size = ioctl(w->dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	void *run;

	if (fd < 0 || size <= 0)
		return;
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	vcpu->run_size = (size_t)size;
	vcpu->run = run == MAP_FAILED ? NULL : run;
	vcpu->fd = fd;
}

void vcpu_close(struct fuzz_vcpu *vcpu)
{
	int fd = vcpu->fd;

	/* Not unmapped: another thread may be looking at it. */
	vcpu->fd = -1;
	if (fd >= 0)
		close(fd);
}

void vm_open(struct world *w, struct fuzz_vm *vm)
{
	struct kvm_userspace_memory_region slot = {
		.memory_size = WORLD_LOW,
		.userspace_addr = (uintptr_t)w->mem,
	};
	unsigned int i;

	for (i = 0; i < WORLD_VCPUS; i++)
		vm->vcpu[i] = (struct fuzz_vcpu){.fd = -1};
	vm->fd = ioctl(w->dev, KVM_CREATE_VM, 0);
	if (vm->fd >= 0)
		ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot);
}

static bool world_open(struct world *w)
{
	unsigned int i;

	w->dev = open(fuzz_device, O_RDWR | O_CLOEXEC);
	if (w->dev < 0)
		return false;
	w->mem = mmap(NULL, WORLD_MEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w->mem == MAP_FAILED)
		return false;
	for (i = 0; i < WORLD_EVENTS; i++)
		w->event[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (i = 0; i < WORLD_FDS; i++)
		w->fd[i] = -1;
	for (i = 0; i < WORLD_VMS; i++)
		w->vm[i].fd = -1;
	vm_open(w, &w->vm[0]);
	return w->vm[0].fd >= 0;
}

struct fuzz_vm *pick_vm(struct context *c)
{
	struct fuzz_vm *vm = &c->world->vm[rng_one_in(&c->rng, 8) ? 1 : 0];

	if (vm->fd < 0)
		vm_open(c->world, vm);
	return vm;
}

struct fuzz_vcpu *pick_vcpu(struct context *c)
{
	struct fuzz_vm *vm = pick_vm(c);
	unsigned int index = rng_one_in(&c->rng, 3) ? rng_below(&c->rng, WORLD_VCPUS) : 0;

	if (vm->vcpu[index].fd < 0)
		vcpu_open(c->world, vm, index, index);
	return &vm->vcpu[index];
}

/* ---- running ------------------------------------------------------------------------------- */

struct runner {
	pthread_t thread;
	const struct program *program;
	struct world *world;
	uint8_t *coverage;
	unsigned int index;
	bool done;
};

static void *runner_main(void *arg)
{
	struct runner *runner = arg;
	const struct program *p = runner->program;
	struct context c = {.world = runner->world};
	uint32_t i;

	if (runner->coverage)
		kcov_start();
	for (i = 0; i < p->count; i++) {
		if (p->call[i].thread != runner->index)
			continue;
		c.rng.state = p->call[i].seed;
		fuzz_ops[p->call[i].op % fuzz_nr_ops].fn(&c);
		if (runner->coverage)
			kcov_collect(runner->coverage);
	}
	__atomic_store_n(&runner->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void on_kick(int sig)
{
}

/* No guest runs for long: a signal brings its thread back. */
static void kick_until_done(struct runner *runners)
{
	const struct timespec pause = {.tv_nsec = KICK_NS};
	unsigned int i, running;

	do {
		nanosleep(&pause, NULL);
		for (i = running = 0; i < FUZZ_THREADS; i++) {
			if (__atomic_load_n(&runners[i].done, __ATOMIC_ACQUIRE))
				continue;
			running++;
			pthread_kill(runners[i].thread, SIGUSR1);
		}
	} while (running);
}

void program_run(const struct program *p, uint8_t *coverage)
{
	static struct world world;
	struct runner runners[FUZZ_THREADS];
	struct sigaction action = {.sa_handler = on_kick};
	unsigned int i;

	sigaction(SIGUSR1, &action, NULL);
	if (!world_open(&world))
		_exit(3);
	for (i = 0; i < FUZZ_THREADS; i++) {
		runners[i] = (struct runner){
			.program = p,
			.world = &world,
			.coverage = coverage,
			.index = i,
		};
		if (pthread_create(&runners[i].thread, NULL, runner_main, &runners[i]) != 0)
			_exit(3);
	}
	kick_until_done(runners);
	for (i = 0; i < FUZZ_THREADS; i++)
		pthread_join(runners[i].thread, NULL);
}
