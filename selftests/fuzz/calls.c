// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The calls of programs. op_ioctl() makes any ioctl of the ABI's table with any argument; the
 * others know enough of an argument to get past its first checks.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"
#include "linux/kvm_later.h"

enum abi_kind { ABI_DEV, ABI_VM, ABI_VCPU, ABI_CAP };
enum abi_mode { ABI_IS, ABI_AT_LEAST, ABI_HOST, ABI_NOT_TRIED };

static const struct abi_row {
	const char *name;
	enum abi_kind kind;
	unsigned long nr;
	enum abi_mode mode;
	long value;
	bool refused;
} rows[] = {
#include "abi_table.h"
};

#define ARG_SIZE 16384

/* An argument; one for each thread, as large as the largest with its list. */
static __thread union {
	uint8_t byte[ARG_SIZE];
	uint32_t word[ARG_SIZE / 4];
	uint64_t quad[ARG_SIZE / 8];
	struct kvm_cpuid2 cpuid;
	struct kvm_msrs msrs;
	struct kvm_irq_routing routing;
} arg;

static int event(struct context *c)
{
	return rng_one_in(&c->rng, 32) ? (int)rng_number(&c->rng)
	                               : c->world->event[rng_below(&c->rng, WORLD_EVENTS)];
}

/* A place in the memory that guests have. */
static uint8_t *place(struct context *c, size_t size)
{
	return c->world->mem +
	       rng_below(&c->rng, (uint32_t)(WORLD_MEM - size) / FUZZ_PAGE + 1) * FUZZ_PAGE;
}

static void keep_fd(struct context *c, int fd)
{
	int *slot = &c->world->fd[rng_below(&c->rng, WORLD_FDS)];
	int old = __atomic_exchange_n(slot, fd, __ATOMIC_RELAXED);

	if (old >= 0)
		close(old);
}

/* ---- any ioctl ----------------------------------------------------------------------------- */

static int target(struct context *c, enum abi_kind kind)
{
	/* Sometimes the wrong kind of file. */
	if (rng_one_in(&c->rng, 64))
		return c->world->fd[rng_below(&c->rng, WORLD_FDS)];
	switch (kind) {
	case ABI_DEV:
		return c->world->dev;
	case ABI_VM:
		return pick_vm(c)->fd;
	default:
		return pick_vcpu(c)->fd;
	}
}

/* Change a few fields of the first @size bytes. */
static void change(struct rng *r, size_t size)
{
	unsigned int n = 1 + rng_below(r, 4);
	uint32_t at;

	while (n-- && size) {
		at = rng_below(r, (uint32_t)size);
		switch (rng_below(r, 4)) {
		case 0:
			arg.byte[at] ^= (uint8_t)(1u << rng_below(r, 8));
			break;
		case 1:
			arg.byte[at] = (uint8_t)rng_number(r);
			break;
		case 2:
			arg.word[at / 4] = (uint32_t)rng_number(r);
			break;
		case 3:
			arg.quad[at / 8] = rng_number(r);
			break;
		}
	}
}

/* The ioctl that gets what this one sets; 0: none. */
static unsigned long getter(const struct abi_row *row)
{
	const char *set = strstr(row->name, "SET_");
	unsigned int i;

	if (!set)
		return 0;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].kind == row->kind && strlen(rows[i].name) == strlen(row->name) &&
		    !strncmp(rows[i].name, row->name, (size_t)(set - row->name)) &&
		    !strncmp(rows[i].name + (set - row->name), "GET_", 4) &&
		    !strcmp(rows[i].name + (set - row->name) + 4, set + 4))
			return rows[i].nr;
	return 0;
}

static void *random_pointer(struct context *c)
{
	switch (rng_below(&c->rng, 5)) {
	case 0:
		return NULL;
	case 1: /* of the kernel's half */
		return (void *)(uintptr_t)(0xffff888000000000ULL + rng_next(&c->rng) % (1u << 30));
	case 2: /* ends before the argument does */
		return c->world->mem + WORLD_MEM - rng_below(&c->rng, 64);
	case 3:
		return c->world->mem + rng_below(&c->rng, WORLD_MEM);
	default:
		return (void *)(uintptr_t)rng_number(&c->rng);
	}
}

static void op_ioctl(struct context *c)
{
	struct rng *r = &c->rng;
	const struct abi_row *row = &rows[rng_below(r, ARRAY_SIZE(rows))];
	unsigned long nr = row->nr, get;
	size_t size = _IOC_SIZE(nr);
	void *pointer = &arg;
	int fd, result;
	uint32_t i;

	if (row->kind == ABI_CAP) {
		ioctl(target(c, ABI_VM), KVM_CHECK_EXTENSION, row->nr);
		return;
	}
	/* KVM_RUN has a call of its own; a VM that is kept only takes memory. */
	if (nr == KVM_RUN)
		return;
	fd = target(c, row->kind);
	memset(&arg, 0, sizeof(arg));
	get = getter(row);
	if (get && !rng_one_in(r, 4))
		ioctl(fd, get, &arg);
	else
		for (i = 0; i < size && i < ARG_SIZE; i += 8)
			arg.quad[i / 8] = rng_one_in(r, 3) ? rng_number(r) : 0;
	if (size && !rng_one_in(r, 4))
		change(r, size < ARG_SIZE ? size : ARG_SIZE);
	if (rng_one_in(r, 16))
		pointer = random_pointer(c);
	if (_IOC_DIR(nr) == _IOC_NONE)
		pointer = (void *)(uintptr_t)rng_number(r);
	result = ioctl(fd, nr, pointer);
	/* Results that are file descriptors. */
	if (result > 2 && (nr == KVM_CREATE_VM || nr == KVM_CREATE_VCPU || nr == KVM_GET_STATS_FD))
		keep_fd(c, result);
}

/* ---- making things ------------------------------------------------------------------------- */

static void op_chips(struct context *c)
{
	int fd = pick_vm(c)->fd;
	struct kvm_pit_config pit = {.flags = rng_one_in(&c->rng, 8) ? 1 : 0};
	struct kvm_enable_cap split = {
		.cap = KVM_CAP_SPLIT_IRQCHIP,
		.args[0] = rng_one_in(&c->rng, 4) ? rng_number(&c->rng) : 24,
	};

	if (rng_one_in(&c->rng, 4)) {
		ioctl(fd, KVM_ENABLE_CAP, &split);
		return;
	}
	ioctl(fd, KVM_CREATE_IRQCHIP, 0);
	if (!rng_one_in(&c->rng, 3))
		ioctl(fd, KVM_CREATE_PIT2, &pit);
}

static void op_vcpu(struct context *c)
{
	struct fuzz_vm *vm = pick_vm(c);
	unsigned int index = rng_below(&c->rng, WORLD_VCPUS);
	uint32_t id = rng_one_in(&c->rng, 8) ? (uint32_t)rng_number(&c->rng) : index;

	if (vm->vcpu[index].fd < 0)
		vcpu_open(c->world, vm, index, id);
}

static void op_close(struct context *c)
{
	struct fuzz_vm *vm = pick_vm(c);
	int *event = &c->world->event[rng_below(&c->rng, WORLD_EVENTS)];
	int fd;

	switch (rng_below(&c->rng, 4)) {
	case 0:
		vcpu_close(&vm->vcpu[rng_below(&c->rng, WORLD_VCPUS)]);
		break;
	case 1:
		fd = vm->fd;
		vm->fd = -1;
		close(fd);
		break;
	case 2:
		fd = *event;
		*event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		close(fd);
		break;
	case 3:
		keep_fd(c, -1);
		break;
	}
}

static void op_slot(struct context *c)
{
	struct rng *r = &c->rng;
	struct kvm_userspace_memory_region slot = {
		.slot = 1 + rng_below(r, 6),
		.flags = rng_below(r, 4),
		.guest_phys_addr = rng_one_in(r, 2) ? rng_below(r, 1024) * FUZZ_PAGE
	                                            : pick_address(r) & ~(FUZZ_PAGE - 1),
		.memory_size = (1 + rng_below(r, 256)) * FUZZ_PAGE,
	};

	slot.userspace_addr = (uintptr_t)place(c, slot.memory_size);
	if (rng_one_in(r, 4))
		slot.memory_size = 0;
	if (rng_one_in(r, 8))
		slot.memory_size = rng_number(r) & ~(FUZZ_PAGE - 1) & 0x3fffffff;
	if (rng_one_in(r, 16))
		slot.slot = (uint32_t)rng_number(r);
	if (rng_one_in(r, 16))
		slot.userspace_addr = rng_number(r);
	ioctl(pick_vm(c)->fd, KVM_SET_USER_MEMORY_REGION, &slot);
}

static void op_cap(struct context *c)
{
	struct rng *r = &c->rng;
	const struct abi_row *row;
	struct kvm_enable_cap cap = {0};
	unsigned int i;

	do
		row = &rows[rng_below(r, ARRAY_SIZE(rows))];
	while (row->kind != ABI_CAP);
	cap.cap = (uint32_t)row->nr;
	cap.flags = rng_one_in(r, 16) ? 1 : 0;
	for (i = 0; i < 4; i++)
		cap.args[i] = rng_one_in(r, 2) ? rng_number(r) : 0;
	ioctl(rng_one_in(r, 2) ? pick_vm(c)->fd : pick_vcpu(c)->fd, KVM_ENABLE_CAP, &cap);
}

/* ---- vCPUs --------------------------------------------------------------------------------- */

static void op_setup(struct context *c)
{
	struct fuzz_vcpu *vcpu = pick_vcpu(c);

	if (vcpu->fd >= 0)
		guest_setup(c, vcpu);
}

/* Change the page that is shared with the kernel: it may not trust it. */
static void change_run(struct context *c, struct kvm_run *run)
{
	uint64_t *p = (uint64_t *)run;
	uint32_t at;

	switch (rng_below(&c->rng, 4)) {
	case 0:
		at = rng_below(&c->rng, 512);
		p[at] = rng_number(&c->rng);
		break;
	case 1:
		run->kvm_valid_regs = rng_below(&c->rng, 8);
		run->kvm_dirty_regs = rng_below(&c->rng, 8);
		break;
	case 2:
		run->request_interrupt_window = (uint8_t)rng_below(&c->rng, 2);
		run->cr8 = rng_below(&c->rng, 17);
		break;
	case 3:
		run->s.regs.regs.rip = rng_number(&c->rng);
		run->kvm_dirty_regs = 7;
		break;
	}
	run->immediate_exit = rng_one_in(&c->rng, 16);
}

static void op_run(struct context *c)
{
	struct fuzz_vcpu *vcpu = pick_vcpu(c);
	unsigned int n = 1 + rng_below(&c->rng, 12);
	struct kvm_run *run = vcpu->run;

	if (vcpu->fd < 0)
		return;
	if (!rng_one_in(&c->rng, 4))
		guest_setup(c, vcpu);
	while (n--) {
		if (run && rng_one_in(&c->rng, 4))
			change_run(c, run);
		ioctl(vcpu->fd, KVM_RUN, 0);
	}
}

static void op_cpuid(struct context *c)
{
	struct rng *r = &c->rng;
	struct kvm_cpuid_entry2 *entry;
	unsigned int n = rng_below(r, 4);

	memset(&arg, 0, sizeof(arg));
	arg.cpuid.nent = 200;
	if (ioctl(c->world->dev,
	          rng_one_in(r, 8) ? KVM_GET_SUPPORTED_HV_CPUID : KVM_GET_SUPPORTED_CPUID,
	          &arg) != 0)
		return;
	while (n-- && arg.cpuid.nent) {
		entry = &arg.cpuid.entries[rng_below(r,
		                                     arg.cpuid.nent < 256 ? arg.cpuid.nent : 256)];
		((uint32_t *)entry)[rng_below(r, 7)] ^= (uint32_t)rng_number(r);
	}
	if (rng_one_in(r, 16))
		arg.cpuid.nent = (uint32_t)rng_number(r);
	ioctl(pick_vcpu(c)->fd, KVM_SET_CPUID2, &arg);
}

static void op_msrs(struct context *c)
{
	struct rng *r = &c->rng;
	unsigned int i, n = 1 + rng_below(r, 8);

	memset(&arg, 0, sizeof(arg));
	arg.msrs.nmsrs = rng_one_in(r, 32) ? (uint32_t)rng_number(r) : n;
	for (i = 0; i < n; i++) {
		arg.msrs.entries[i].index = pick_msr(r);
		/* Enabled, with an address in memory: what turns most of them on. */
		arg.msrs.entries[i].data =
			rng_one_in(r, 2) ? rng_number(r)
					 : rng_below(r, WORLD_LOW / 64) * 64UL + rng_below(r, 64);
	}
	ioctl(pick_vcpu(c)->fd, rng_one_in(r, 4) ? KVM_GET_MSRS : KVM_SET_MSRS, &arg);
}

static void op_inject(struct context *c)
{
	struct kvm_interrupt irq = {.irq = rng_below(&c->rng, 260)};
	struct fuzz_vcpu *vcpu = pick_vcpu(c);

	switch (rng_below(&c->rng, 3)) {
	case 0:
		ioctl(vcpu->fd, KVM_INTERRUPT, &irq);
		break;
	case 1:
		ioctl(vcpu->fd, KVM_NMI, 0);
		break;
	case 2:
		ioctl(vcpu->fd, KVM_SMI, 0);
		break;
	}
}

/* ---- interrupts and events ----------------------------------------------------------------- */

static void op_routing(struct context *c)
{
	struct rng *r = &c->rng;
	struct kvm_irq_routing_entry *e = arg.routing.entries;
	uint32_t i, n = rng_below(r, 64);

	memset(&arg, 0, sizeof(arg));
	arg.routing.nr = rng_one_in(r, 32) ? (uint32_t)rng_number(r) : n;
	for (i = 0; i < n; i++, e++) {
		e->gsi = rng_one_in(r, 16) ? (uint32_t)rng_number(r) : rng_below(r, 48);
		e->type = rng_one_in(r, 16) ? rng_below(r, 6) : 1 + rng_below(r, 2);
		if (e->type == KVM_IRQ_ROUTING_MSI) {
			e->u.msi.address_lo =
				0xfee00000 | (rng_below(r, 16) << 12) | (rng_below(r, 4) << 2);
			e->u.msi.data = (uint32_t)rng_number(r);
		} else {
			e->u.irqchip.irqchip = rng_below(r, 4);
			e->u.irqchip.pin = rng_below(r, 25);
		}
	}
	ioctl(pick_vm(c)->fd, KVM_SET_GSI_ROUTING, &arg);
}

static void op_irqfd(struct context *c)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)event(c),
		.gsi = rng_below(&c->rng, 48),
		.flags = rng_below(&c->rng, 4),
		.resamplefd = (uint32_t)event(c),
	};

	ioctl(pick_vm(c)->fd, KVM_IRQFD, &irqfd);
}

static void op_ioeventfd(struct context *c)
{
	struct rng *r = &c->rng;
	struct kvm_ioeventfd e = {
		.datamatch = rng_below(r, 4),
		.addr = pick_address(r),
		.len = rng_one_in(r, 16) ? (uint32_t)rng_number(r)
	                                 : (1u << rng_below(r, 4)) & ~(rng_below(r, 2)),
		.fd = event(c),
		.flags = rng_below(r, 8),
	};

	ioctl(pick_vm(c)->fd, KVM_IOEVENTFD, &e);
}

static void op_coalesced(struct context *c)
{
	struct kvm_coalesced_mmio_zone zone = {
		.addr = pick_address(&c->rng),
		.size = 1 + rng_below(&c->rng, 8192),
		.pio = rng_below(&c->rng, 2),
	};

	ioctl(pick_vm(c)->fd,
	      rng_one_in(&c->rng, 3) ? KVM_UNREGISTER_COALESCED_MMIO : KVM_REGISTER_COALESCED_MMIO,
	      &zone);
}

static void op_hyperv_eventfd(struct context *c)
{
	struct kvm_hyperv_eventfd e = {
		.conn_id = rng_below(&c->rng, 4),
		.fd = event(c),
		.flags = rng_below(&c->rng, 2),
	};

	ioctl(pick_vm(c)->fd, KVM_HYPERV_EVENTFD, &e);
}

static void op_xen_vm(struct context *c)
{
	struct rng *r = &c->rng;
	struct kvm_xen_hvm_config config = {
		.flags = rng_one_in(r, 8) ? (uint32_t)rng_number(r) : (rng_below(r, 2) ? 0x22 : 0),
		.msr = 0x40000000 + 0x200 * rng_below(r, 2),
	};
	struct kvm_xen_hvm_attr attr = {
		.type = rng_below(r, 8), .u.shared_info.gfn = pick_address(r) >> 12,
	};
	struct kvm_irq_routing_xen_evtchn send = {
		.port = rng_below(r, 5000), .vcpu = rng_below(r, 3), .priority = 0xffffffff,
	};

	if (attr.type == KVM_XEN_ATTR_TYPE_EVTCHN) {
		attr.u.evtchn.send_port = rng_below(r, 6);
		attr.u.evtchn.type = rng_one_in(r, 3) ? 5 : 2;
		attr.u.evtchn.flags = rng_one_in(r, 3) ? 1 << rng_below(r, 3) : 0;
		attr.u.evtchn.deliver.port.port = rng_below(r, 6);
		attr.u.evtchn.deliver.port.priority = 0xffffffff;
		if (!attr.u.evtchn.deliver.port.port)
			attr.u.evtchn.deliver.eventfd.fd = event(c);
	} else if (attr.type == 6) {
		attr.u.shared_info.gfn <<= 12;
	}
	switch (rng_below(r, 4)) {
	case 0:
		ioctl(pick_vm(c)->fd, KVM_XEN_HVM_CONFIG, &config);
		break;
	case 1:
		ioctl(pick_vm(c)->fd, KVM_XEN_HVM_EVTCHN_SEND, &send);
		break;
	case 2:
		ioctl(pick_vm(c)->fd, KVM_XEN_HVM_GET_ATTR, &attr);
		break;
	default:
		ioctl(pick_vm(c)->fd, KVM_XEN_HVM_SET_ATTR, &attr);
	}
}

static void op_xen_vcpu(struct context *c)
{
	struct rng *r = &c->rng;
	struct kvm_xen_vcpu_attr attr = { .type = rng_below(r, 11) };

	switch (attr.type) {
	case KVM_XEN_VCPU_ATTR_TYPE_TIMER:
		attr.u.timer.port = rng_below(r, 6);
		attr.u.timer.priority = 0xffffffff;
		attr.u.timer.expires_ns = rng_one_in(r, 2) ? rng_below(r, 1 << 30) : rng_number(r);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT:
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA:
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST:
		attr.u.runstate.state = rng_below(r, 5);
		attr.u.runstate.state_entry_time = attr.u.runstate.time_blocked = rng_below(r, 9);
		break;
	default:
		attr.u.gpa = pick_address(r) + rng_below(r, 64) * 4;
	}
	ioctl(pick_vcpu(c)->fd, rng_one_in(r, 4) ? KVM_XEN_VCPU_GET_ATTR : KVM_XEN_VCPU_SET_ATTR,
	      &attr);
}

static void op_signal(struct context *c)
{
	struct rng *r = &c->rng;
	struct kvm_irq_level line = {.irq = rng_below(r, 48), .level = rng_below(r, 2)};
	struct kvm_msi msi = {
		.address_lo = 0xfee00000 | (rng_below(r, 16) << 12) | (rng_below(r, 4) << 2),
		.address_hi = rng_one_in(r, 8) ? (uint32_t)rng_number(r) : 0,
		.data = (uint32_t)rng_number(r),
	};
	uint64_t one = 1;
	ssize_t done = 0;

	switch (rng_below(r, 4)) {
	case 0:
		ioctl(pick_vm(c)->fd, KVM_IRQ_LINE_STATUS, &line);
		break;
	case 1:
		ioctl(pick_vm(c)->fd, KVM_SIGNAL_MSI, &msi);
		break;
	case 2:
		done = write(event(c), &one, sizeof(one));
		break;
	case 3:
		done = read(c->world->event[rng_below(r, WORLD_EVENTS)], &one, sizeof(one));
		break;
	}
	(void)done;
}

static void op_msr_filter(struct context *c)
{
	struct rng *r = &c->rng;
	struct kvm_msr_filter filter = {.flags = rng_below(r, 2)};
	unsigned int i, n = rng_below(r, 4);

	for (i = 0; i < n; i++) {
		filter.ranges[i] = (struct kvm_msr_filter_range){
			.flags = 1 + rng_below(r, 3),
			.nmsrs = rng_one_in(r, 8) ? (uint32_t)rng_number(r) : 1 + rng_below(r, 256),
			.base = pick_msr(r),
			.bitmap = rng_one_in(r, 16) ? random_pointer(c) : place(c, 8192),
		};
	}
	ioctl(pick_vm(c)->fd, KVM_X86_SET_MSR_FILTER, &filter);
}

/* ---- memory -------------------------------------------------------------------------------- */

static void op_memory(struct context *c)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_MERGEABLE, 20, 21, 25};
	size_t size = (1 + rng_below(&c->rng, 64)) * FUZZ_PAGE;
	uint8_t *at = place(c, size);
	pid_t pid;

	switch (rng_below(&c->rng, 5)) {
	case 0:
		madvise(at, size, advice[rng_below(&c->rng, ARRAY_SIZE(advice))]);
		break;
	case 1:
		mprotect(at, size, rng_one_in(&c->rng, 2) ? PROT_READ : PROT_NONE);
		mprotect(at, size, PROT_READ | PROT_WRITE);
		break;
	case 2:
		mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		     0);
		break;
	case 3:
		pid = fork();
		if (pid == 0)
			_exit(0);
		if (pid > 0)
			while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
				;
		break;
	case 4:
		guest_write_code(c, at, size < 4096 ? size : 4096);
		break;
	}
}

static void op_dirty(struct context *c)
{
	struct rng *r = &c->rng;
	int fd = pick_vm(c)->fd;
	struct kvm_dirty_log log = {.slot = rng_below(r, 7), .dirty_bitmap = place(c, 65536)};
	struct kvm_clear_dirty_log clear = {
		.slot = rng_below(r, 7),
		.first_page = rng_below(r, 4) * 64,
		.num_pages =
			rng_one_in(r, 4) ? (uint32_t)rng_number(r) : 64 * (1 + rng_below(r, 4)),
		.dirty_bitmap = place(c, 65536),
	};
	struct kvm_enable_cap cap = {
		.cap = rng_one_in(r, 2) ? KVM_CAP_DIRTY_LOG_RING_ACQ_REL
	                                : KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args[0] = 4096u << rng_below(r, 5),
	};

	switch (rng_below(r, 4)) {
	case 0:
		ioctl(fd, KVM_GET_DIRTY_LOG, &log);
		break;
	case 1:
		ioctl(fd, KVM_CLEAR_DIRTY_LOG, &clear);
		break;
	case 2:
		if (cap.cap == KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)
			cap.args[0] = 1 + rng_below(r, 3);
		ioctl(fd, KVM_ENABLE_CAP, &cap);
		break;
	case 3:
		ioctl(fd, KVM_RESET_DIRTY_RINGS, 0);
		break;
	}
}

/* Map a page of a vCPU, among them those of its dirty ring, write to it, and let it go. */
static void op_map(struct context *c)
{
	struct rng *r = &c->rng;
	struct fuzz_vcpu *vcpu = pick_vcpu(c);
	off_t page = rng_one_in(r, 4) ? rng_below(r, 4) : 64 + rng_below(r, 20);
	uint64_t *p = mmap(NULL, FUZZ_PAGE, PROT_READ | (rng_one_in(r, 4) ? 0 : PROT_WRITE),
	                   rng_one_in(r, 8) ? MAP_PRIVATE : MAP_SHARED, vcpu->fd,
	                   page * (off_t)FUZZ_PAGE);

	if (p == MAP_FAILED)
		return;
	/* Through the kernel, which says EFAULT where this program would die. */
	if (pread(c->world->fd[0], p, 64, 0) < 0 && rng_one_in(r, 2))
		ioctl(vcpu->fd, KVM_GET_REGS, p + rng_below(r, 490));
	munmap(p, FUZZ_PAGE);
}

/* What else can be done to a file. */
static void op_file(struct context *c)
{
	struct rng *r = &c->rng;
	struct fuzz_vcpu *vcpu = pick_vcpu(c);
	int fds[] = {c->world->dev, pick_vm(c)->fd, vcpu->fd,
	             c->world->fd[rng_below(r, WORLD_FDS)]};
	int fd = fds[rng_below(r, 4)];
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
	ssize_t done = 0;

	switch (rng_below(r, 5)) {
	case 0:
		done = pread(fd, &arg, rng_below(r, ARG_SIZE), (off_t)(rng_number(r) & 0xffff));
		break;
	case 1:
		done = write(fd, &arg, rng_below(r, 64));
		break;
	case 2:
		poll(&p, 1, 0);
		break;
	case 3:
		keep_fd(c, dup(fd));
		break;
	case 4:
		keep_fd(c,
		        ioctl(rng_one_in(r, 2) ? pick_vm(c)->fd : vcpu->fd, KVM_GET_STATS_FD, 0));
		break;
	}
	(void)done;
}

const struct fuzz_op fuzz_ops[] = {
	{op_ioctl, 30}, {op_run, 30},       {op_setup, 4},     {op_chips, 8},
	{op_vcpu, 4},   {op_close, 3},      {op_slot, 10},     {op_cap, 6},
	{op_cpuid, 6},  {op_msrs, 12},      {op_inject, 6},    {op_routing, 4},
	{op_irqfd, 6},  {op_ioeventfd, 5},  {op_coalesced, 2}, {op_hyperv_eventfd, 2},
	{op_xen_vm, 4}, {op_xen_vcpu, 4},
	{op_signal, 8}, {op_msr_filter, 2}, {op_memory, 8},    {op_dirty, 6},
	{op_map, 3},    {op_file, 4},
};
const unsigned int fuzz_nr_ops = ARRAY_SIZE(fuzz_ops);
