// SPDX-License-Identifier: GPL-2.0-or-later
/* The state of a whole machine, in the order of Documentation/state.rst; see machine_state.h. */
#include <errno.h>
#include <stdlib.h>

#include "machine_state.h"

#define MEMORY_STATE_VERSION	1

/* ---- Where RAM is ---- */

static void save_memory(const struct hvm_vm *vm, struct hv_state_writer *w)
{
	const struct guest_mem *mem = &vm->ram.mem;

	hv_state_begin(w, "memory", MEMORY_STATE_VERSION);
	hv_state_put_u32(w, mem->nr);
	for (unsigned int i = 0; i < mem->nr; i++) {
		const char *hva = mem->region[i].hva;

		hv_state_put_u64(w, mem->region[i].gpa);
		hv_state_put_u64(w, mem->region[i].size);
		hv_state_put_u64(w, (uint64_t)(hva - (const char *)vm->ram.map));
	}
	hv_state_end(w);
}

/* This hvm puts RAM where it always does: the state must have it there, too. */
static int load_memory(const struct hvm_vm *vm, struct hv_state_reader *r, struct hv_err *err)
{
	const struct guest_mem *mem = &vm->ram.mem;
	int ret = hv_state_open(r, "memory", MEMORY_STATE_VERSION, err);
	bool same;

	if (ret < 0)
		return ret;
	same = hv_state_get_u32(r) == mem->nr;
	for (unsigned int i = 0; i < mem->nr && same; i++) {
		const char *hva = mem->region[i].hva;

		same = hv_state_get_u64(r) == mem->region[i].gpa &&
		       hv_state_get_u64(r) == mem->region[i].size &&
		       hv_state_get_u64(r) == (uint64_t)(hva - (const char *)vm->ram.map);
	}
	if (!same)
		return hv_err_set(err, -ENOTSUP, "the guest's memory lies at other addresses than this "
				  "hvm puts it");
	return hv_state_close(r, err);
}

/* ---- Saving ---- */

int hvm_state_save(struct hvm_vm *vm, struct hvm_devices *devices, struct hv_state_writer *w,
		   struct hv_err *err)
{
	int ret;

	save_memory(vm, w);
	ret = hvm_devices_freeze(devices, err);
	if (ret)
		return ret;
	/* Interrupts of devices go into the chips, and from there into vCPUs. */
	hvm_devices_save(devices, w);
	ret = hvm_vm_save(vm, w, err);
	for (unsigned int i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = hvm_vcpu_save(vm->vcpu[i], w, err);
	hvm_devices_thaw(devices);
	if (!ret && w->error)
		ret = hv_err_set(err, w->error, "state: out of memory");
	return ret;
}

/* ---- Loading ---- */

static int load_vcpus(struct hvm_vm *vm, struct hvm_vcpu_saved **st, struct hv_state_reader *r,
		      struct hv_err *err)
{
	int ret = 0;

	for (unsigned int i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = hvm_vcpu_read(vm->vcpu[i], r, &st[i], err);
	for (unsigned int i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = hvm_vcpu_load(vm->vcpu[i], st[i], err);
	return ret ? ret : hvm_vcpus_set_tsc(vm, st, err);
}

int hvm_state_load(struct hvm_stream *s, struct hvm_vm *vm, struct hvm_devices *devices,
		   struct hv_err *err)
{
	struct hvm_vcpu_saved **st = calloc(vm->nr_vcpus, sizeof(struct hvm_vcpu_saved *));
	uint64_t now = hvm_realtime_ns();
	uint64_t elapsed = now > s->saved_ns ? now - s->saved_ns : 0;
	int ret;

	if (!st)
		return hv_err_set(err, -ENOMEM, "out of memory");
	ret = load_memory(vm, &s->r, err);
	if (!ret)
		ret = hvm_stream_map_ram(s, vm->ram.map, vm->ram.size, err);
	if (!ret)
		ret = hvm_devices_load(devices, &s->r, elapsed, err);
	if (!ret) {
		ret = hvm_vm_load(vm, &s->r, err);
		if (!ret)
			ret = load_vcpus(vm, st, &s->r, err);
		hvm_devices_thaw(devices);
	}
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		hvm_vcpu_saved_free(st[i]);
	free(st);
	return ret ? hv_err_prefix(err, "%s", s->path) : 0;
}
