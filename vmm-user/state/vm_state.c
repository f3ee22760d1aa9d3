// SPDX-License-Identifier: GPL-2.0-or-later
/* The state of what a VM has in the kernel besides vCPUs; see machine_state.h. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "machine_state.h"

#define VM_STATE_VERSION	1

uint64_t hvm_realtime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int vm_state_failed(struct hvm_vm *vm, int ret, const char *what, struct hv_err *err)
{
	return hv_err_set(err, ret, "%s: %s: %s", vm->accel.path, what, strerror(-ret));
}

int hvm_vm_save(struct hvm_vm *vm, struct hv_state_writer *w, struct hv_err *err)
{
	struct kvm_irqchip chip[HVM_NR_CHIPS];
	struct kvm_clock_data clock;
	struct kvm_pit_state2 pit;
	int ret = 0;

	memset(chip, 0, sizeof(chip));
	for (unsigned int i = 0; i < HVM_NR_CHIPS && !ret; i++) {
		chip[i].chip_id = i;
		ret = hvm_ioctl(vm->fd, KVM_GET_IRQCHIP, &chip[i]);
	}
	if (ret)
		return vm_state_failed(vm, ret, "KVM_GET_IRQCHIP", err);
	ret = hvm_ioctl(vm->fd, KVM_GET_PIT2, &pit);
	if (ret)
		return vm_state_failed(vm, ret, "KVM_GET_PIT2", err);
	ret = hvm_ioctl(vm->fd, KVM_GET_CLOCK, &clock);
	if (ret)
		return vm_state_failed(vm, ret, "KVM_GET_CLOCK", err);
	hv_state_begin(w, "vm", VM_STATE_VERSION);
	for (unsigned int i = 0; i < HVM_NR_CHIPS; i++)
		hv_state_put(w, &chip[i].chip, sizeof(chip[i].chip));
	hv_state_put(w, &pit, sizeof(pit));
	hv_state_put_u64(w, clock.clock);
	/* Where the kernel does not say when that was, it was now. */
	hv_state_put_u64(w, clock.flags & KVM_CLOCK_REALTIME ? clock.realtime : hvm_realtime_ns());
	return hv_state_end(w);
}

/* kvm-clock goes on as if it had run since the state was saved. */
static int load_clock(struct hvm_vm *vm, uint64_t clock, uint64_t realtime, struct hv_err *err)
{
	int can = hvm_accel_cap(&vm->accel, KVM_CAP_ADJUST_CLOCK), ret;
	struct kvm_clock_data data = { .clock = clock };
	uint64_t now = hvm_realtime_ns();

	if (can & KVM_CLOCK_REALTIME) {
		data.realtime = realtime;
		data.flags = KVM_CLOCK_REALTIME;
	} else if (now > realtime) {
		data.clock += now - realtime;
	}
	ret = hvm_ioctl(vm->fd, KVM_SET_CLOCK, &data);
	return ret ? vm_state_failed(vm, ret, "KVM_SET_CLOCK", err) : 0;
}

int hvm_vm_load(struct hvm_vm *vm, struct hv_state_reader *r, struct hv_err *err)
{
	struct kvm_irqchip chip[HVM_NR_CHIPS];
	struct kvm_pit_state2 pit;
	uint64_t clock, realtime;
	int ret = hv_state_open(r, "vm", VM_STATE_VERSION, err);

	if (ret < 0)
		return ret;
	memset(chip, 0, sizeof(chip));
	for (unsigned int i = 0; i < HVM_NR_CHIPS; i++) {
		chip[i].chip_id = i;
		hv_state_get(r, &chip[i].chip, sizeof(chip[i].chip));
	}
	hv_state_get(r, &pit, sizeof(pit));
	clock = hv_state_get_u64(r);
	realtime = hv_state_get_u64(r);
	ret = hv_state_close(r, err);
	for (unsigned int i = 0; i < HVM_NR_CHIPS && !ret; i++) {
		ret = hvm_ioctl(vm->fd, KVM_SET_IRQCHIP, &chip[i]);
		if (ret)
			vm_state_failed(vm, ret, "KVM_SET_IRQCHIP", err);
	}
	if (ret)
		return ret;
	ret = hvm_ioctl(vm->fd, KVM_SET_PIT2, &pit);
	if (ret)
		return vm_state_failed(vm, ret, "KVM_SET_PIT2", err);
	return load_clock(vm, clock, realtime, err);
}
