// SPDX-License-Identifier: GPL-2.0-or-later
/* Saving and loading a vCPU; see machine_state.h. Its structures are those of <linux/kvm.h>. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../cpuid.h"
#include "../vcpu.h"
#include "machine_state.h"

#define VCPU_STATE_VERSION	1

#define MAX_CPUID	256	/* entries */
#define MAX_MSRS	1024
#define MAX_XSAVE	(1u << 20)	/* bytes; AMX needs 11 KiB */
#define MAX_NESTED	(1u << 16)

#define MSR_IA32_TSC		0x10
#define MSR_IA32_APICBASE	0x1b
#define MSR_IA32_MTRR_PHYSBASE0	0x200	/* eight pairs (AMD APM volume 2, 7.7) */
#define MSR_IA32_MTRR_LAST	0x20f
#define MSR_IA32_TSC_DEADLINE	0x6e0

/* What the kernel does not list, because it is memory typing that it does not act on. */
static const uint32_t mtrr_msrs[] = {
	0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f, 0x2ff,
};
#define NR_MTRRS (MSR_IA32_MTRR_LAST - MSR_IA32_MTRR_PHYSBASE0 + 1 + \
		  sizeof(mtrr_msrs) / sizeof(mtrr_msrs[0]))

struct hvm_vcpu_saved {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	bool pdptrs_valid;
	uint64_t pdptrs[4];
	struct kvm_xcrs xcrs;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp;
	struct kvm_vcpu_events events;
	struct kvm_debugregs debug;
	uint32_t tsc_khz;
	uint64_t tsc;		/* at hvm_vcpu_save()'s tsc_ns */
	uint64_t tsc_ns;	/* CLOCK_REALTIME */
	bool tsc_offset_valid;
	uint64_t tsc_offset;
	struct kvm_cpuid2 *cpuid;
	struct kvm_msrs *msrs;
	void *xsave;
	uint32_t xsave_len;
	void *nested;
	uint32_t nested_len;	/* 0: none */
};

static int vcpu_failed(struct hvm_vcpu *vcpu, int ret, const char *what, struct hv_err *err)
{
	return hv_err_set(err, ret, "%s: vCPU %u: %s: %s", vcpu->vm->accel.path, vcpu->id, what,
			  strerror(-ret));
}

static int no_memory(struct hvm_vcpu *vcpu, struct hv_err *err)
{
	return hv_err_set(err, -ENOMEM, "vCPU %u: out of memory", vcpu->id);
}

void hvm_vcpu_saved_free(struct hvm_vcpu_saved *st)
{
	if (!st)
		return;
	free(st->cpuid);
	free(st->msrs);
	free(st->xsave);
	free(st->nested);
	free(st);
}

/* ---- MSRs ---- */

static bool get_msr(struct hvm_vcpu *vcpu, uint32_t index, uint64_t *value)
{
	struct {
		struct kvm_msrs hdr;
		struct kvm_msr_entry entry;
	} one = { .hdr.nmsrs = 1, .entry.index = index };

	if (hvm_ioctl(vcpu->fd, KVM_GET_MSRS, &one) != 1)
		return false;
	*value = one.entry.data;
	return true;
}

static bool set_msr(struct hvm_vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct {
		struct kvm_msrs hdr;
		struct kvm_msr_entry entry;
	} one = { .hdr.nmsrs = 1, .entry = { .index = index, .data = value } };

	return hvm_ioctl(vcpu->fd, KVM_SET_MSRS, &one) == 1;
}

static void take_msr(struct hvm_vcpu *vcpu, struct kvm_msrs *msrs, uint32_t index)
{
	uint64_t value;

	/* The list has registers that this vCPU's CPUID hides. */
	if (msrs->nmsrs < MAX_MSRS && get_msr(vcpu, index, &value))
		msrs->entries[msrs->nmsrs++] = (struct kvm_msr_entry){ .index = index,
								      .data = value };
}

static int take_msrs(struct hvm_vcpu *vcpu, struct hvm_vcpu_saved *st, struct hv_err *err)
{
	struct kvm_msr_list *list = hvm_vcpu_msr_list(vcpu, err);

	if (!list)
		return -EIO;
	st->msrs = calloc(1, sizeof(*st->msrs) + MAX_MSRS * sizeof(st->msrs->entries[0]));
	if (!st->msrs || list->nmsrs + NR_MTRRS > MAX_MSRS) {
		free(list);
		return no_memory(vcpu, err);
	}
	/* Those two are elsewhere: with TSCs of all vCPUs, and with the segments. */
	for (uint32_t i = 0; i < list->nmsrs; i++)
		if (list->indices[i] != MSR_IA32_TSC && list->indices[i] != MSR_IA32_APICBASE)
			take_msr(vcpu, st->msrs, list->indices[i]);
	free(list);
	for (uint32_t i = MSR_IA32_MTRR_PHYSBASE0; i <= MSR_IA32_MTRR_LAST; i++)
		take_msr(vcpu, st->msrs, i);
	for (size_t i = 0; i < sizeof(mtrr_msrs) / sizeof(mtrr_msrs[0]); i++)
		take_msr(vcpu, st->msrs, mtrr_msrs[i]);
	return 0;
}

/* A register that cannot be set, or is not there, is right if it has the value already. */
static int put_msr(struct hvm_vcpu *vcpu, const struct kvm_msr_entry *e, struct hv_err *err)
{
	uint64_t now;

	if (set_msr(vcpu, e->index, e->data))
		return 0;
	if (get_msr(vcpu, e->index, &now) ? now == e->data : !e->data)
		return 0;
	return hv_err_set(err, -ENOTSUP, "%s: vCPU %u: register (MSR) 0x%x cannot be 0x%llx",
			  vcpu->vm->accel.path, vcpu->id, e->index, (unsigned long long)e->data);
}

static int put_msrs(struct hvm_vcpu *vcpu, const struct hvm_vcpu_saved *st, struct hv_err *err)
{
	int ret = 0;

	/* A deadline means something once the TSC is right. */
	for (uint32_t i = 0; i < st->msrs->nmsrs && !ret; i++)
		if (st->msrs->entries[i].index != MSR_IA32_TSC_DEADLINE)
			ret = put_msr(vcpu, &st->msrs->entries[i], err);
	return ret;
}

/* ---- Time ---- */

static int tsc_offset(struct hvm_vcpu *vcpu, unsigned long request, uint64_t *offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};

	return hvm_ioctl(vcpu->fd, request, &attr);
}

/* The TSC and the host's time at the same moment, or close to it on a busy machine. */
static bool read_tsc(struct hvm_vcpu *vcpu, uint64_t *tsc, uint64_t *ns)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 5; i++) {
		uint64_t before = hvm_realtime_ns(), v, after;

		if (!get_msr(vcpu, MSR_IA32_TSC, &v))
			return false;
		after = hvm_realtime_ns();
		if (after - before < best) {
			best = after - before;
			*tsc = v;
			*ns = before + best / 2;
		}
	}
	return best != UINT64_MAX;
}

static uint64_t tsc_ticks(uint64_t ns, uint32_t khz)
{
	return (uint64_t)((unsigned __int128)ns * khz / 1000000);
}

static int take_time(struct hvm_vcpu *vcpu, struct hvm_vcpu_saved *st, struct hv_err *err)
{
	int khz = hvm_ioctl_val(vcpu->fd, KVM_GET_TSC_KHZ, 0);

	if (khz <= 0)
		return vcpu_failed(vcpu, khz ? khz : -EIO, "KVM_GET_TSC_KHZ", err);
	st->tsc_khz = (uint32_t)khz;
	if (!read_tsc(vcpu, &st->tsc, &st->tsc_ns))
		return vcpu_failed(vcpu, -EIO, "the TSC cannot be read", err);
	st->tsc_offset_valid = !tsc_offset(vcpu, KVM_GET_DEVICE_ATTR, &st->tsc_offset);
	return 0;
}

/* How far the first vCPU's offset is from where its TSC shows the time of now. */
static int tsc_set_first(struct hvm_vcpu *vcpu, const struct hvm_vcpu_saved *st, uint64_t *offset)
{
	uint64_t tsc, ns, target;
	int ret;

	if (!read_tsc(vcpu, &tsc, &ns))
		return -EIO;
	target = st->tsc + (ns > st->tsc_ns ? tsc_ticks(ns - st->tsc_ns, st->tsc_khz) : 0);
	ret = tsc_offset(vcpu, KVM_GET_DEVICE_ATTR, offset);
	*offset += target - tsc;
	return ret ? ret : tsc_offset(vcpu, KVM_SET_DEVICE_ATTR, offset);
}

static int tsc_set_offsets(struct hvm_vm *vm, struct hvm_vcpu_saved *const *st)
{
	uint64_t first, offset;
	int ret = tsc_set_first(vm->vcpu[0], st[0], &first);

	for (unsigned int i = 1; i < vm->nr_vcpus && !ret; i++) {
		offset = first + (st[i]->tsc_offset - st[0]->tsc_offset);
		ret = tsc_offset(vm->vcpu[i], KVM_SET_DEVICE_ATTR, &offset);
	}
	return ret;
}

/* Without offsets: values that are close to each other mean the same clock to the kernel. */
static int tsc_set_values(struct hvm_vm *vm, struct hvm_vcpu_saved *const *st)
{
	for (unsigned int i = 0; i < vm->nr_vcpus; i++) {
		uint64_t now = hvm_realtime_ns();
		uint64_t passed = now > st[i]->tsc_ns ? now - st[i]->tsc_ns : 0;

		if (!set_msr(vm->vcpu[i], MSR_IA32_TSC,
			     st[i]->tsc + tsc_ticks(passed, st[i]->tsc_khz)))
			return -EIO;
	}
	return 0;
}

int hvm_vcpus_set_tsc(struct hvm_vm *vm, struct hvm_vcpu_saved *const *st, struct hv_err *err)
{
	bool offsets = !tsc_offset(vm->vcpu[0], KVM_HAS_DEVICE_ATTR, NULL);
	int ret;

	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		offsets &= st[i]->tsc_offset_valid;
	ret = offsets ? tsc_set_offsets(vm, st) : tsc_set_values(vm, st);
	if (ret)
		return vcpu_failed(vm->vcpu[0], ret, "setting the TSC", err);
	for (unsigned int i = 0; i < vm->nr_vcpus && !ret; i++) {
		const struct kvm_msrs *msrs = st[i]->msrs;

		for (uint32_t n = 0; n < msrs->nmsrs && !ret; n++)
			if (msrs->entries[n].index == MSR_IA32_TSC_DEADLINE)
				ret = put_msr(vm->vcpu[i], &msrs->entries[n], err);
		/* The guest's watchdogs are not to bark at the gap; EINVAL: it has none. */
		hvm_ioctl_val(vm->vcpu[i]->fd, KVM_KVMCLOCK_CTRL, 0);
	}
	return ret;
}

/* ---- What has a size of its own ---- */

static int take_cpuid(struct hvm_vcpu *vcpu, struct hvm_vcpu_saved *st, struct hv_err *err)
{
	int ret;

	st->cpuid = calloc(1, sizeof(*st->cpuid) + MAX_CPUID * sizeof(st->cpuid->entries[0]));
	if (!st->cpuid)
		return no_memory(vcpu, err);
	st->cpuid->nent = MAX_CPUID;
	ret = hvm_ioctl(vcpu->fd, KVM_GET_CPUID2, st->cpuid);
	return ret ? vcpu_failed(vcpu, ret, "KVM_GET_CPUID2", err) : 0;
}

static int take_xsave(struct hvm_vcpu *vcpu, struct hvm_vcpu_saved *st, struct hv_err *err)
{
	int size = hvm_accel_cap(&vcpu->vm->accel, KVM_CAP_XSAVE2), ret;

	st->xsave_len = sizeof(struct kvm_xsave);
	if (size > (int)st->xsave_len && size <= (int)MAX_XSAVE)
		st->xsave_len = (uint32_t)size;
	st->xsave = calloc(1, st->xsave_len);
	if (!st->xsave)
		return no_memory(vcpu, err);
	if (!vcpu->vm->accel.xsave)
		ret = hvm_ioctl(vcpu->fd, KVM_GET_FPU, st->xsave);
	else if (st->xsave_len > sizeof(struct kvm_xsave))
		ret = hvm_ioctl(vcpu->fd, KVM_GET_XSAVE2, st->xsave);
	else
		ret = hvm_ioctl(vcpu->fd, KVM_GET_XSAVE, st->xsave);
	return ret ? vcpu_failed(vcpu, ret, "KVM_GET_XSAVE", err) : 0;
}

static int take_nested(struct hvm_vcpu *vcpu, struct hvm_vcpu_saved *st, struct hv_err *err)
{
	int size = hvm_accel_cap(&vcpu->vm->accel, KVM_CAP_NESTED_STATE), ret;
	struct kvm_nested_state *n;

	if (size < (int)sizeof(*n) || size > (int)MAX_NESTED)
		return 0;
	n = st->nested = calloc(1, (size_t)size);
	if (!n)
		return no_memory(vcpu, err);
	n->size = (uint32_t)size;
	ret = hvm_ioctl(vcpu->fd, KVM_GET_NESTED_STATE, n);
	if (ret)
		return vcpu_failed(vcpu, ret, "KVM_GET_NESTED_STATE", err);
	st->nested_len = n->size;
	return 0;
}

/* PDPTEs that are in the processor can differ from those in memory. */
static int take_sregs(struct hvm_vcpu *vcpu, struct hvm_vcpu_saved *st, struct hv_err *err)
{
	struct kvm_sregs2 s2;
	int ret = hvm_ioctl(vcpu->fd, KVM_GET_SREGS, &st->sregs);

	if (ret)
		return vcpu_failed(vcpu, ret, "KVM_GET_SREGS", err);
	if (!hvm_accel_cap(&vcpu->vm->accel, KVM_CAP_SREGS2))
		return 0;
	ret = hvm_ioctl(vcpu->fd, KVM_GET_SREGS2, &s2);
	if (ret)
		return vcpu_failed(vcpu, ret, "KVM_GET_SREGS2", err);
	st->pdptrs_valid = s2.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
	memcpy(st->pdptrs, s2.pdptrs, sizeof(st->pdptrs));
	return 0;
}

static int put_sregs(struct hvm_vcpu *vcpu, const struct hvm_vcpu_saved *st, struct hv_err *err)
{
	struct kvm_sregs2 s2 = { .flags = KVM_SREGS2_FLAGS_PDPTRS_VALID };
	int ret = hvm_ioctl(vcpu->fd, KVM_SET_SREGS, (void *)&st->sregs);

	if (ret)
		return vcpu_failed(vcpu, ret, "KVM_SET_SREGS", err);
	if (!st->pdptrs_valid || !hvm_accel_cap(&vcpu->vm->accel, KVM_CAP_SREGS2))
		return 0;
	/* All but the last field are those of struct kvm_sregs. */
	memcpy(&s2, &st->sregs, offsetof(struct kvm_sregs, interrupt_bitmap));
	memcpy(s2.pdptrs, st->pdptrs, sizeof(s2.pdptrs));
	ret = hvm_ioctl(vcpu->fd, KVM_SET_SREGS2, &s2);
	return ret ? vcpu_failed(vcpu, ret, "KVM_SET_SREGS2", err) : 0;
}

_Static_assert(offsetof(struct kvm_sregs, interrupt_bitmap) == offsetof(struct kvm_sregs2, flags),
	       "the same fields before");

/* ---- Saving ---- */

static int take_all(struct hvm_vcpu *vcpu, struct hvm_vcpu_saved *st, struct hv_err *err)
{
	const struct {
		unsigned long request;
		void *arg;
		bool wanted;
		const char *name;
	} step[] = {
		{ KVM_GET_MP_STATE, &st->mp, true, "KVM_GET_MP_STATE" },
		{ KVM_GET_REGS, &st->regs, true, "KVM_GET_REGS" },
		{ KVM_GET_XCRS, &st->xcrs, vcpu->vm->accel.xcrs, "KVM_GET_XCRS" },
		{ KVM_GET_LAPIC, &st->lapic, true, "KVM_GET_LAPIC" },
		{ KVM_GET_VCPU_EVENTS, &st->events, true, "KVM_GET_VCPU_EVENTS" },
		{ KVM_GET_DEBUGREGS, &st->debug, true, "KVM_GET_DEBUGREGS" },
	};
	int ret = 0;

	for (size_t i = 0; i < sizeof(step) / sizeof(step[0]) && !ret; i++) {
		ret = step[i].wanted ? hvm_ioctl(vcpu->fd, step[i].request, step[i].arg) : 0;
		if (ret)
			vcpu_failed(vcpu, ret, step[i].name, err);
	}
	if (!ret)
		ret = take_sregs(vcpu, st, err);
	if (!ret)
		ret = take_xsave(vcpu, st, err);
	if (!ret)
		ret = take_nested(vcpu, st, err);
	if (!ret)
		ret = take_cpuid(vcpu, st, err);
	if (!ret)
		ret = take_msrs(vcpu, st, err);
	return ret ? ret : take_time(vcpu, st, err);
}

static void put_blob(struct hv_state_writer *w, const void *p, uint32_t len)
{
	hv_state_put_u32(w, len);
	hv_state_put(w, p, len);
}

static void write_saved(const struct hvm_vcpu_saved *st, unsigned int id, struct hv_state_writer *w)
{
	hv_state_begin(w, "vcpu", VCPU_STATE_VERSION);
	hv_state_put_u32(w, id);
	hv_state_put_u32(w, st->mp.mp_state);
	hv_state_put(w, &st->regs, sizeof(st->regs));
	hv_state_put(w, &st->sregs, sizeof(st->sregs));
	hv_state_put_u8(w, st->pdptrs_valid);
	hv_state_put(w, st->pdptrs, sizeof(st->pdptrs));
	hv_state_put(w, &st->xcrs, sizeof(st->xcrs));
	hv_state_put(w, &st->lapic, sizeof(st->lapic));
	hv_state_put(w, &st->events, sizeof(st->events));
	hv_state_put(w, &st->debug, sizeof(st->debug));
	put_blob(w, st->xsave, st->xsave_len);
	put_blob(w, st->nested, st->nested_len);
	hv_state_put_u32(w, st->tsc_khz);
	hv_state_put_u64(w, st->tsc);
	hv_state_put_u64(w, st->tsc_ns);
	hv_state_put_u8(w, st->tsc_offset_valid);
	hv_state_put_u64(w, st->tsc_offset);
	hv_state_put_u32(w, st->cpuid->nent);
	hv_state_put(w, st->cpuid->entries, st->cpuid->nent * sizeof(st->cpuid->entries[0]));
	hv_state_put_u32(w, st->msrs->nmsrs);
	for (uint32_t i = 0; i < st->msrs->nmsrs; i++) {
		hv_state_put_u32(w, st->msrs->entries[i].index);
		hv_state_put_u64(w, st->msrs->entries[i].data);
	}
	hv_state_end(w);
}

int hvm_vcpu_save(struct hvm_vcpu *vcpu, struct hv_state_writer *w, struct hv_err *err)
{
	struct hvm_vcpu_saved *st = calloc(1, sizeof(*st));
	int ret = st ? take_all(vcpu, st, err) : no_memory(vcpu, err);

	if (!ret)
		write_saved(st, vcpu->id, w);
	hvm_vcpu_saved_free(st);
	return ret;
}

/* ---- Loading ---- */

/* NULL and *len 0 for an empty one; false: too long, or no memory. */
static bool get_blob(struct hv_state_reader *r, uint32_t max, void **p, uint32_t *len)
{
	*len = hv_state_get_u32(r);
	if (*len > max)
		return false;
	*p = *len ? calloc(1, *len) : NULL;
	if (*len && !*p)
		return false;
	hv_state_get(r, *p, *len);
	return true;
}

static int read_tables(struct hv_state_reader *r, struct hvm_vcpu_saved *st)
{
	uint32_t n = hv_state_get_u32(r);

	if (n > MAX_CPUID)
		return -EBADMSG;
	st->cpuid = calloc(1, sizeof(*st->cpuid) + n * sizeof(st->cpuid->entries[0]));
	if (!st->cpuid)
		return -ENOMEM;
	st->cpuid->nent = n;
	hv_state_get(r, st->cpuid->entries, n * sizeof(st->cpuid->entries[0]));
	n = hv_state_get_u32(r);
	if (n > MAX_MSRS)
		return -EBADMSG;
	st->msrs = calloc(1, sizeof(*st->msrs) + n * sizeof(st->msrs->entries[0]));
	if (!st->msrs)
		return -ENOMEM;
	st->msrs->nmsrs = n;
	for (uint32_t i = 0; i < n; i++) {
		st->msrs->entries[i].index = hv_state_get_u32(r);
		st->msrs->entries[i].data = hv_state_get_u64(r);
	}
	return 0;
}

static int read_saved(struct hv_state_reader *r, struct hvm_vcpu_saved *st, uint32_t *id)
{
	*id = hv_state_get_u32(r);
	st->mp.mp_state = hv_state_get_u32(r);
	hv_state_get(r, &st->regs, sizeof(st->regs));
	hv_state_get(r, &st->sregs, sizeof(st->sregs));
	st->pdptrs_valid = hv_state_get_u8(r) & 1;
	hv_state_get(r, st->pdptrs, sizeof(st->pdptrs));
	hv_state_get(r, &st->xcrs, sizeof(st->xcrs));
	hv_state_get(r, &st->lapic, sizeof(st->lapic));
	hv_state_get(r, &st->events, sizeof(st->events));
	hv_state_get(r, &st->debug, sizeof(st->debug));
	if (!get_blob(r, MAX_XSAVE, &st->xsave, &st->xsave_len) ||
	    !get_blob(r, MAX_NESTED, &st->nested, &st->nested_len))
		return -EBADMSG;
	st->tsc_khz = hv_state_get_u32(r);
	st->tsc = hv_state_get_u64(r);
	st->tsc_ns = hv_state_get_u64(r);
	st->tsc_offset_valid = hv_state_get_u8(r) & 1;
	st->tsc_offset = hv_state_get_u64(r);
	return read_tables(r, st);
}

/* What the kernel takes as it is must be what the structures say. */
static int check_saved(struct hvm_vcpu *vcpu, const struct hvm_vcpu_saved *st, uint32_t id,
		       struct hv_err *err)
{
	const struct hvm_accel *accel = &vcpu->vm->accel;
	const struct kvm_nested_state *n = st->nested;
	uint32_t max = sizeof(struct kvm_xsave);
	int size = hvm_accel_cap(accel, KVM_CAP_XSAVE2);

	if (size > (int)max)
		max = (uint32_t)size;
	if (id != vcpu->id || st->xsave_len < sizeof(struct kvm_xsave) || !st->tsc_khz ||
	    (st->nested_len && (st->nested_len < sizeof(*n) || n->size != st->nested_len)))
		return hv_err_set(err, -EBADMSG, "vCPU %u: the state is damaged", vcpu->id);
	if (st->xsave_len > max)
		return hv_err_set(err, -ENOTSUP, "vCPU %u: the guest uses more registers than this host "
				  "saves (%u bytes of %u)", vcpu->id, st->xsave_len, max);
	if (st->nested_len && !hvm_accel_cap(accel, KVM_CAP_NESTED_STATE) &&
	    n->size > sizeof(*n))
		return hv_err_set(err, -ENOTSUP, "vCPU %u: the guest is a hypervisor with guests, which "
				  "%s does not support", vcpu->id, accel->path);
	return 0;
}

static int check_cpuid(struct hvm_vcpu *vcpu, const struct hvm_vcpu_saved *st, struct hv_err *err)
{
	struct hvm_cpuid have;
	int ret = hvm_cpuid_init(&have, &vcpu->vm->accel, vcpu->vm->nr_vcpus, err);

	if (ret)
		return ret;
	ret = hvm_cpuid_check(have.table, st->cpuid, err);
	hvm_cpuid_fini(&have);
	return ret ? hv_err_prefix(err, "%s", vcpu->vm->accel.path) : 0;
}

int hvm_vcpu_read(struct hvm_vcpu *vcpu, struct hv_state_reader *r, struct hvm_vcpu_saved **res,
		  struct hv_err *err)
{
	struct hvm_vcpu_saved *st;
	uint32_t id;
	int ret = hv_state_open(r, "vcpu", VCPU_STATE_VERSION, err);

	if (ret < 0)
		return ret;
	st = calloc(1, sizeof(*st));
	if (!st)
		return no_memory(vcpu, err);
	ret = read_saved(r, st, &id);
	if (ret)
		hv_err_set(err, ret, "vCPU %u: the state is damaged, or out of memory", vcpu->id);
	if (!ret)
		ret = hv_state_close(r, err);
	if (!ret)
		ret = check_saved(vcpu, st, id, err);
	if (!ret)
		ret = check_cpuid(vcpu, st, err);
	if (ret)
		hvm_vcpu_saved_free(st);
	else
		*res = st;
	return ret;
}

/* The order matters: see vcpu_state.c's reset; a nested guest's needs EFER and CR4. */
int hvm_vcpu_load(struct hvm_vcpu *vcpu, const struct hvm_vcpu_saved *st, struct hv_err *err)
{
	const struct hvm_accel *accel = &vcpu->vm->accel;
	bool nested = st->nested_len && hvm_accel_cap(accel, KVM_CAP_NESTED_STATE);
	const struct {
		unsigned long request;
		const void *arg;
		bool wanted;
		const char *name;
	} step[] = {
		{ KVM_SET_NESTED_STATE, st->nested, nested, "KVM_SET_NESTED_STATE" },
		{ KVM_SET_REGS, &st->regs, true, "KVM_SET_REGS" },
		{ KVM_SET_XCRS, &st->xcrs, accel->xcrs, "KVM_SET_XCRS" },
		{ KVM_SET_XSAVE, st->xsave, accel->xsave, "KVM_SET_XSAVE" },
		{ KVM_SET_FPU, st->xsave, !accel->xsave, "KVM_SET_FPU" },
		{ KVM_SET_LAPIC, &st->lapic, true, "KVM_SET_LAPIC" },
		{ KVM_SET_DEBUGREGS, &st->debug, true, "KVM_SET_DEBUGREGS" },
		{ KVM_SET_VCPU_EVENTS, &st->events, true, "KVM_SET_VCPU_EVENTS" },
		{ KVM_SET_MP_STATE, &st->mp, true, "KVM_SET_MP_STATE" },
	};
	int ret = hvm_ioctl(vcpu->fd, KVM_SET_CPUID2, st->cpuid);

	if (ret)
		return vcpu_failed(vcpu, ret, "KVM_SET_CPUID2", err);
	if (hvm_ioctl_val(vcpu->fd, KVM_GET_TSC_KHZ, 0) != (int)st->tsc_khz &&
	    hvm_ioctl_val(vcpu->fd, KVM_SET_TSC_KHZ, st->tsc_khz) < 0)
		return hv_err_set(err, -ENOTSUP, "%s: the guest's TSC runs at %u kHz, which this host "
				  "cannot do", accel->path, st->tsc_khz);
	ret = put_sregs(vcpu, st, err);
	for (size_t i = 0; i < sizeof(step) / sizeof(step[0]) && !ret; i++) {
		if (step[i].wanted)
			ret = hvm_ioctl(vcpu->fd, step[i].request, (void *)step[i].arg);
		if (ret)
			vcpu_failed(vcpu, ret, step[i].name, err);
	}
	return ret ? ret : put_msrs(vcpu, st, err);
}
