// SPDX-License-Identifier: GPL-2.0-or-later
/* A guest as a debugger's target, by KVM_SET_GUEST_DEBUG; see target.h. */
#include "target.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../vcpu.h"

#define PAGE		4096u
#define MAX_SOFT	256
#define NR_HARD		4	/* DR0 to DR3 */
#define INT3		0xcc
#define VECTOR_DB	1
#define DR6_HIT		0xfull	/* Intel SDM volume 3, 18.2.3 */
#define DR6_BS		(1ull << 14)
#define DR7_FIXED	(1ull << 10)	/* 18.2.4 */
#define DR7_LE_GE	(3ull << 8)

struct soft {
	uint64_t addr;
	uint8_t *byte;		/* in guest RAM */
	uint8_t saved;
};

struct hard {
	bool used;
	enum gdb_break kind;
	uint64_t addr, len;
};

/* Of a vCPU; its thread writes it when it stops, the loop when it is parked. */
struct cpu {
	enum gdb_run run;
	bool hit;
	uint32_t exception;
	uint64_t pc, dr6;
};

/*
 * vCPUs' threads read breakpoints, which only change while all of them are parked; parking and
 * going on (vm->lock) orders the two.
 */
struct gdb_target {
	struct hvm_vm *vm;
	bool active;		/* a debugger is there */
	uint32_t block_irq;	/* KVM_GUESTDBG_BLOCKIRQ if the device has it */
	struct soft soft[MAX_SOFT];
	unsigned int nr_soft;
	struct hard hard[NR_HARD];
	struct cpu cpu[];
};

int gdb_target_create(struct hvm_vm *vm, struct gdb_target **res, struct hv_err *err)
{
	int flags = hvm_accel_cap(&vm->accel, KVM_CAP_SET_GUEST_DEBUG2);
	struct gdb_target *t;

	if (!hvm_accel_cap(&vm->accel, KVM_CAP_SET_GUEST_DEBUG))
		return hv_err_set(err, -ENOTSUP, "%s: cannot debug guests; leave out --gdb",
				  vm->accel.path);
	t = calloc(1, sizeof(*t) + vm->nr_vcpus * sizeof(t->cpu[0]));
	if (!t)
		return hv_err_set(err, -ENOMEM, "gdb: out of memory");
	t->vm = vm;
	t->block_irq = (uint32_t)flags & KVM_GUESTDBG_BLOCKIRQ;
	*res = t;
	return 0;
}

void gdb_target_destroy(struct gdb_target *t)
{
	free(t);
}

unsigned int gdb_target_cpus(struct gdb_target *t)
{
	return t->vm->nr_vcpus;
}

/* ---- Registers ---- */

int gdb_target_get(struct gdb_target *t, unsigned int cpu, struct gdb_cpu *state)
{
	int fd = t->vm->vcpu[cpu]->fd;
	int ret = hvm_ioctl(fd, KVM_GET_REGS, &state->regs);

	if (!ret)
		ret = hvm_ioctl(fd, KVM_GET_SREGS, &state->sregs);
	return ret ? ret : hvm_ioctl(fd, KVM_GET_FPU, &state->fpu);
}

int gdb_target_set(struct gdb_target *t, unsigned int cpu, const struct gdb_cpu *state)
{
	int fd = t->vm->vcpu[cpu]->fd;
	struct gdb_cpu old, new = *state;
	int ret = gdb_target_get(t, cpu, &old);

	/* What is the same is left alone: setting sregs, say, is more than its parts. */
	if (!ret && memcmp(&old.sregs, &new.sregs, sizeof(old.sregs)))
		ret = hvm_ioctl(fd, KVM_SET_SREGS, &new.sregs);
	if (!ret && memcmp(&old.fpu, &new.fpu, sizeof(old.fpu)))
		ret = hvm_ioctl(fd, KVM_SET_FPU, &new.fpu);
	if (!ret && memcmp(&old.regs, &new.regs, sizeof(old.regs)))
		ret = hvm_ioctl(fd, KVM_SET_REGS, &new.regs);
	return ret;
}

/* ---- Memory ---- */

/* The rest of the page at a linear address; NULL: not mapped, or not to RAM. */
static uint8_t *translate(struct gdb_target *t, unsigned int cpu, uint64_t addr, size_t *left)
{
	struct kvm_translation tr = { .linear_address = addr };

	*left = PAGE - (addr & (PAGE - 1));
	if (hvm_ioctl(t->vm->vcpu[cpu]->fd, KVM_TRANSLATE, &tr) || !tr.valid)
		return NULL;
	return guest_mem_ptr(&t->vm->ram.mem, tr.physical_address, *left);
}

static size_t transfer(struct gdb_target *t, unsigned int cpu, uint64_t addr, uint8_t *to,
		       const uint8_t *from, size_t len)
{
	size_t done = 0, left;

	while (done < len) {
		uint8_t *page = translate(t, cpu, addr + done, &left);

		if (!page)
			break;
		if (left > len - done)
			left = len - done;
		if (to)
			memcpy(to + done, page, left);
		else
			memcpy(page, from + done, left);
		done += left;
	}
	return done;
}

size_t gdb_target_read(struct gdb_target *t, unsigned int cpu, uint64_t addr, void *buf, size_t len)
{
	return transfer(t, cpu, addr, buf, NULL, len);
}

size_t gdb_target_write(struct gdb_target *t, unsigned int cpu, uint64_t addr, const void *buf,
			size_t len)
{
	return transfer(t, cpu, addr, NULL, buf, len);
}

/* ---- Breakpoints ---- */

static struct soft *find_soft(struct gdb_target *t, uint64_t addr)
{
	for (unsigned int i = 0; i < t->nr_soft; i++)
		if (t->soft[i].addr == addr)
			return &t->soft[i];
	return NULL;
}

static int insert_soft(struct gdb_target *t, unsigned int cpu, uint64_t addr)
{
	uint8_t *byte;
	size_t left;

	if (find_soft(t, addr))
		return 0;
	if (t->nr_soft == MAX_SOFT)
		return -ENOSPC;
	byte = translate(t, cpu, addr, &left);
	if (!byte)
		return -EFAULT;
	t->soft[t->nr_soft++] = (struct soft){ addr, byte, *byte };
	*byte = INT3;
	return 0;
}

/* Where the guest has put something else meanwhile (it was reset, say), that stays. */
static int remove_soft(struct gdb_target *t, struct soft *s)
{
	if (!s)
		return -ENOENT;
	if (*s->byte == INT3)
		*s->byte = s->saved;
	*s = t->soft[--t->nr_soft];
	return 0;
}

static struct hard *find_hard(struct gdb_target *t, enum gdb_break kind, uint64_t addr,
			      uint64_t len)
{
	for (unsigned int i = 0; i < NR_HARD; i++) {
		struct hard *h = &t->hard[i];

		if (h->used && h->kind == kind && h->addr == addr && h->len == len)
			return h;
	}
	return NULL;
}

static int insert_hard(struct gdb_target *t, enum gdb_break kind, uint64_t addr, uint64_t len)
{
	if (find_hard(t, kind, addr, len))
		return 0;
	if ((len != 1 && len != 2 && len != 4 && len != 8) || addr & (len - 1))
		return -EINVAL;
	for (unsigned int i = 0; i < NR_HARD; i++) {
		if (t->hard[i].used)
			continue;
		t->hard[i] = (struct hard){ true, kind, addr, len };
		return 0;
	}
	return -ENOSPC;
}

int gdb_target_insert(struct gdb_target *t, unsigned int cpu, enum gdb_break kind, uint64_t addr,
		      uint64_t len)
{
	t->active = true;
	if (kind == GDB_BREAK_SOFT)
		return insert_soft(t, cpu, addr);
	/* No processor has read watchpoints: they are for access. */
	if (kind == GDB_WATCH_READ || kind > GDB_WATCH_ACCESS)
		return -ENOTSUP;
	return insert_hard(t, kind, addr, kind == GDB_BREAK_HARD ? 1 : len);
}

int gdb_target_remove(struct gdb_target *t, unsigned int cpu, enum gdb_break kind, uint64_t addr,
		      uint64_t len)
{
	struct hard *h;

	if (kind == GDB_BREAK_SOFT)
		return remove_soft(t, find_soft(t, addr));
	h = find_hard(t, kind, addr, kind == GDB_BREAK_HARD ? 1 : len);
	if (!h)
		return -ENOENT;
	h->used = false;
	return 0;
}

/* ---- Running ---- */

/* DR7 of one: enabled globally, R/W and LEN (18.2.4; 8 bytes are coded as 2). */
static uint64_t dr7_of(const struct hard *h, unsigned int n)
{
	uint64_t rw = h->kind == GDB_BREAK_HARD ? 0 : h->kind == GDB_WATCH_WRITE ? 1 : 3;
	uint64_t len = h->len == 8 ? 2 : h->len - 1;

	return 2ull << (2 * n) | (rw | len << 2) << (16 + 4 * n);
}

static void set_debug(struct gdb_target *t, unsigned int cpu, uint32_t more)
{
	struct kvm_guest_debug d = { 0 };
	struct cpu *c = &t->cpu[cpu];

	if (t->active)
		d.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP | more;
	if (t->active && c->run == GDB_STEP)
		d.control |= KVM_GUESTDBG_SINGLESTEP | t->block_irq;
	for (unsigned int i = 0; i < NR_HARD; i++) {
		if (!t->hard[i].used)
			continue;
		d.control |= KVM_GUESTDBG_USE_HW_BP;
		d.arch.debugreg[i] = t->hard[i].addr;
		d.arch.debugreg[7] |= dr7_of(&t->hard[i], i) | DR7_FIXED | DR7_LE_GE;
	}
	hvm_ioctl(t->vm->vcpu[cpu]->fd, KVM_SET_GUEST_DEBUG, &d);
}

void gdb_target_prepare(struct gdb_target *t, const enum gdb_run *run)
{
	t->active = true;
	for (unsigned int i = 0; i < t->vm->nr_vcpus; i++) {
		t->cpu[i].run = run[i];
		set_debug(t, i, 0);
		atomic_store(&t->vm->vcpu[i]->hold, run[i] == GDB_HOLD);
	}
}

void gdb_target_release(struct gdb_target *t)
{
	while (t->nr_soft)
		remove_soft(t, &t->soft[0]);
	memset(t->hard, 0, sizeof(t->hard));
	t->active = false;
	for (unsigned int i = 0; i < t->vm->nr_vcpus; i++) {
		t->cpu[i] = (struct cpu){ .run = GDB_CONTINUE };
		set_debug(t, i, 0);
		atomic_store(&t->vm->vcpu[i]->hold, false);
	}
}

/* What made it stop, or false: that has gone meanwhile. */
static bool describe(struct gdb_target *t, const struct cpu *c, struct gdb_stop *stop)
{
	if (c->exception != VECTOR_DB) {
		stop->kind = GDB_STOP_SOFT;
		return find_soft(t, c->pc);
	}
	for (unsigned int i = 0; i < NR_HARD; i++) {
		const struct hard *h = &t->hard[i];

		if (!(c->dr6 & (1ull << i)) || !h->used)
			continue;
		stop->kind = h->kind == GDB_BREAK_HARD ? GDB_STOP_HARD : GDB_STOP_WATCH;
		stop->watch = h->kind;
		stop->addr = h->addr;
		return true;
	}
	stop->kind = GDB_STOP_STEP;
	return c->dr6 & DR6_BS;
}

bool gdb_target_next_stop(struct gdb_target *t, struct gdb_stop *stop)
{
	for (unsigned int i = 0; i < t->vm->nr_vcpus; i++) {
		struct cpu *c = &t->cpu[i];

		if (!c->hit)
			continue;
		c->hit = false;
		*stop = (struct gdb_stop){ .cpu = i };
		if (describe(t, c, stop))
			return true;
	}
	return false;
}

bool gdb_target_exit(struct gdb_target *t, struct hvm_vcpu *vcpu)
{
	const struct kvm_debug_exit_arch *d = &vcpu->run->debug.arch;
	struct cpu *c = &t->cpu[vcpu->id];
	bool db = d->exception == VECTOR_DB, ours;

	if (db)
		ours = (d->dr6 & DR6_HIT) || (c->run == GDB_STEP && (d->dr6 & DR6_BS));
	else
		ours = find_soft(t, d->pc);
	if (!ours) {
		set_debug(t, vcpu->id, db ? KVM_GUESTDBG_INJECT_DB : KVM_GUESTDBG_INJECT_BP);
		return false;
	}
	c->hit = true;
	c->exception = d->exception;
	c->pc = d->pc;
	c->dr6 = d->dr6;
	return true;
}
