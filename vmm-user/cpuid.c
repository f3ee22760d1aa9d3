// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CPUID of the guest; see cpuid.h. Leaves are described in AMD APM volume 3, appendix E, and Intel
 * SDM volume 2, CPUID.
 */
#include "cpuid.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LEAF_MAX		0x0u
#define LEAF_FEATURES		0x1u
#define LEAF_CACHE		0x4u
#define LEAF_TOPOLOGY		0xbu
#define LEAF_TOPOLOGY_V2	0x1fu
#define LEAF_HYPERVISOR		0x40000000u
#define LEAF_EXT_FEATURES	0x80000001u
#define LEAF_EXT_SIZES		0x80000008u
#define LEAF_EXT_CACHE		0x8000001du
#define LEAF_EXT_TOPOLOGY	0x8000001eu

#define ECX1_TSC_DEADLINE	(1u << 24)
#define ECX1_HYPERVISOR		(1u << 31)
#define EDX1_HTT		(1u << 28)
#define ECX81_CMP_LEGACY	(1u << 1)	/* AMD: HTT means cores, not threads */

#define EBX0_AMD		0x68747541u	/* "Auth" */
#define EBX0_HYGON		0x6f677948u	/* "Hygo" */

#define LEVEL_THREAD		1u
#define LEVEL_CORE		2u

#define EXTRA_ENTRIES		8	/* leaves that we may add */
#define MAX_ENTRIES		1024
#define DEFAULT_PHYS_BITS	36

static struct kvm_cpuid_entry2 *cpuid_find(struct hvm_cpuid *c, uint32_t leaf, uint32_t index)
{
	for (uint32_t i = 0; i < c->table->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->table->entries[i];

		if (e->function == leaf && (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) ||
					    e->index == index))
			return e;
	}
	return NULL;
}

static void cpuid_drop(struct hvm_cpuid *c, uint32_t leaf)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->table->nent; i++)
		if (c->table->entries[i].function != leaf)
			c->table->entries[n++] = c->table->entries[i];
	c->table->nent = n;
}

static void cpuid_add(struct hvm_cpuid *c, const struct kvm_cpuid_entry2 *e)
{
	if (c->table->nent < c->cap)
		c->table->entries[c->table->nent++] = *e;
}

static bool cpuid_is_amd(struct hvm_cpuid *c)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(c, LEAF_MAX, 0);

	return e && (e->ebx == EBX0_AMD || e->ebx == EBX0_HYGON);
}

static uint32_t cpuid_max(struct hvm_cpuid *c, uint32_t range)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(c, range, 0);

	return e ? e->eax : 0;
}

/* ---- Topology ---- */

/* Extended topology: threads, then cores, then the end (Intel SDM, leaf 0BH). */
static void cpuid_set_topology(struct hvm_cpuid *c, uint32_t leaf)
{
	const struct kvm_cpuid_entry2 level[] = {
		{ .index = 0, .eax = 0, .ebx = 1, .ecx = LEVEL_THREAD << 8 },
		{ .index = 1, .eax = c->id_bits, .ebx = c->cpus, .ecx = 1 | LEVEL_CORE << 8 },
		{ .index = 2, .ecx = 2 },
	};

	if (cpuid_max(c, LEAF_MAX) < leaf)
		return;
	cpuid_drop(c, leaf);
	for (size_t i = 0; i < sizeof(level) / sizeof(level[0]); i++) {
		struct kvm_cpuid_entry2 e = level[i];

		e.function = leaf;
		e.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		cpuid_add(c, &e);
	}
}

/*
 * Caches (Intel leaf 4, AMD leaf 8000001DH): levels 1 and 2 belong to a core, the others to all.
 * Leaf 4 also has the number of cores.
 */
static void cpuid_set_caches(struct hvm_cpuid *c)
{
	uint32_t cores = (1u << c->id_bits) - 1;

	for (uint32_t i = 0; i < c->table->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->table->entries[i];
		uint32_t sharing;

		if ((e->function != LEAF_CACHE && e->function != LEAF_EXT_CACHE) ||
		    !(e->eax & 0x1f))
			continue;
		sharing = ((e->eax >> 5) & 7) >= 3 ? c->cpus - 1 : 0;
		e->eax = (e->eax & 0x3fff) | sharing << 14;
		if (e->function == LEAF_CACHE)
			e->eax |= (cores & 0x3f) << 26;
	}
}

static void cpuid_set_counts(struct hvm_cpuid *c)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(c, LEAF_FEATURES, 0);

	if (e) {
		e->ebx = (e->ebx & 0xff00ffff) | c->cpus << 16;
		e->edx = c->cpus > 1 ? e->edx | EDX1_HTT : e->edx & ~EDX1_HTT;
	}
	e = cpuid_find(c, LEAF_EXT_FEATURES, 0);
	if (e && cpuid_is_amd(c))
		e->ecx = c->cpus > 1 ? e->ecx | ECX81_CMP_LEGACY : e->ecx & ~ECX81_CMP_LEGACY;
	e = cpuid_find(c, LEAF_EXT_SIZES, 0);
	if (e)
		e->ecx = (e->ecx & ~0xf0ffu) | (c->cpus - 1) | c->id_bits << 12;
}

/* ---- The rest ---- */

static void cpuid_set_features(struct hvm_cpuid *c, bool tsc_deadline)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(c, LEAF_FEATURES, 0);

	if (e) {
		e->ecx |= ECX1_HYPERVISOR;
		/* The kernel's APIC does it, though the leaf reports the processor's own. */
		if (tsc_deadline)
			e->ecx |= ECX1_TSC_DEADLINE;
	}
	/* An old convention of KVM's: a maximum of 0 means that the next leaf is the last. */
	e = cpuid_find(c, LEAF_HYPERVISOR, 0);
	if (e && !e->eax)
		e->eax = LEAF_HYPERVISOR + 1;
	e = cpuid_find(c, LEAF_EXT_SIZES, 0);
	c->phys_bits = e && (e->eax & 0xff) ? e->eax & 0xff : DEFAULT_PHYS_BITS;
	/* AMD: a guest's own limit, when the host gives one. */
	if (e && ((e->eax >> 16) & 0xff))
		c->phys_bits = (e->eax >> 16) & 0xff;
	if (c->phys_bits > 52)
		c->phys_bits = 52;
}

int hvm_cpuid_build(struct hvm_cpuid *c, const struct kvm_cpuid2 *supported, unsigned int cpus,
		    bool tsc_deadline, struct hv_err *err)
{
	memset(c, 0, sizeof(*c));
	c->cpus = cpus;
	while ((1u << c->id_bits) < cpus)
		c->id_bits++;
	c->cap = supported->nent + EXTRA_ENTRIES;
	c->table = calloc(1, sizeof(*c->table) + c->cap * sizeof(c->table->entries[0]));
	if (!c->table)
		return hv_err_set(err, -ENOMEM, "CPUID: out of memory");
	memcpy(c->table, supported,
	       sizeof(*supported) + supported->nent * sizeof(supported->entries[0]));
	cpuid_set_features(c, tsc_deadline);
	cpuid_set_counts(c);
	cpuid_set_caches(c);
	cpuid_set_topology(c, LEAF_TOPOLOGY);
	cpuid_set_topology(c, LEAF_TOPOLOGY_V2);
	hvm_cpuid_for_vcpu(c, 0);
	return 0;
}

int hvm_cpuid_init(struct hvm_cpuid *c, const struct hvm_accel *accel, unsigned int cpus,
		   struct hv_err *err)
{
	struct kvm_cpuid2 *t = NULL;
	int ret = -E2BIG;

	memset(c, 0, sizeof(*c));
	for (uint32_t n = 64; n <= MAX_ENTRIES && ret == -E2BIG; n *= 2) {
		free(t);
		t = calloc(1, sizeof(*t) + n * sizeof(t->entries[0]));
		if (!t)
			return hv_err_set(err, -ENOMEM, "CPUID: out of memory");
		t->nent = n;
		ret = hvm_ioctl(accel->fd, KVM_GET_SUPPORTED_CPUID, t);
	}
	if (ret)
		hv_err_set(err, ret, "%s: KVM_GET_SUPPORTED_CPUID: %s", accel->path,
			   strerror(-ret));
	else
		ret = hvm_cpuid_build(c, t, cpus, accel->tsc_deadline, err);
	free(t);
	return ret;
}

void hvm_cpuid_for_vcpu(struct hvm_cpuid *c, unsigned int id)
{
	for (uint32_t i = 0; i < c->table->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->table->entries[i];

		switch (e->function) {
		case LEAF_FEATURES:
			e->ebx = (e->ebx & 0x00ffffff) | id << 24;
			break;
		case LEAF_TOPOLOGY:
		case LEAF_TOPOLOGY_V2:
			e->edx = id;
			break;
		case LEAF_EXT_TOPOLOGY:
			e->eax = id;
			e->ebx = id & 0xff;	/* one thread per core */
			e->ecx = 0;		/* one node */
			break;
		}
	}
}

void hvm_cpuid_fini(struct hvm_cpuid *c)
{
	free(c->table);
	c->table = NULL;
}
