// SPDX-License-Identifier: GPL-2.0-or-later
/* A VM; see vm.h. */
#include "vm.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpuid.h"
#include "memory/layout.h"
#include "vcpu.h"

/* ---- Creation ---- */

static int vm_failed(struct hvm_vm *vm, int ret, const char *what, struct hv_err *err)
{
	return hv_err_set(err, ret, "%s: cannot %s: %s", vm->accel.path, what, strerror(-ret));
}

static int vm_add_memory(struct hvm_vm *vm, struct hv_err *err)
{
	for (unsigned int i = 0; i < vm->ram.mem.nr; i++) {
		const struct guest_mem_region *r = &vm->ram.mem.region[i];
		struct kvm_userspace_memory_region slot = {
			.slot = i,
			.guest_phys_addr = r->gpa,
			.memory_size = r->size,
			.userspace_addr = (uintptr_t)r->hva,
		};
		int ret = hvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot);

		if (ret)
			return vm_failed(vm, ret, "give memory to the guest", err);
	}
	return 0;
}

int hvm_vm_set_rom(struct hvm_vm *vm, unsigned int slot, uint64_t gpa, uint64_t size, void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = size ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return hvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static int vm_add_irqchips(struct hvm_vm *vm, struct hv_err *err)
{
	/* GRUB and SeaBIOS take time from the PIT's third counter, gated at the speaker's port. */
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t identity = HVM_IDENTITY_MAP;
	int ret = 0;

	/* Where Intel processors without unrestricted guests keep pages of their own. */
	if (hvm_accel_cap(&vm->accel, KVM_CAP_SET_TSS_ADDR))
		ret = hvm_ioctl_val(vm->fd, KVM_SET_TSS_ADDR, HVM_TSS_ADDR);
	if (!ret && hvm_accel_cap(&vm->accel, KVM_CAP_SET_IDENTITY_MAP_ADDR))
		ret = hvm_ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (ret)
		return vm_failed(vm, ret, "reserve pages for the processor", err);
	ret = hvm_ioctl_val(vm->fd, KVM_CREATE_IRQCHIP, 0);
	if (ret)
		return vm_failed(vm, ret, "create the interrupt controllers", err);
	ret = hvm_ioctl(vm->fd, KVM_CREATE_PIT2, &pit);
	if (ret)
		return vm_failed(vm, ret, "create the timer (PIT)", err);
	return hvm_irq_init(vm, err);
}

static int vm_check_size(struct hvm_vm *vm, const struct hvm_vm_config *cfg,
			 const struct hvm_cpuid *cpuid, struct hv_err *err)
{
	unsigned int max = vm->accel.max_vcpus < HVM_MAX_CPUS ? vm->accel.max_vcpus : HVM_MAX_CPUS;

	if (!cfg->cpus || cfg->cpus > max)
		return hv_err_set(err, -EINVAL, "%u processors: %s gives a guest 1 to %u",
				  cfg->cpus, vm->accel.path, max);
	/* Room for the PCI window above RAM, with its alignment, belongs to it. */
	if (hvm_ram_end(cfg->mem) + HVM_PCI_MMIO64_SIZE + HVM_PCI_MMIO64_ALIGN >
	    1ULL << cpuid->phys_bits)
		return hv_err_set(err, -EINVAL, "%llu MiB of memory: too much for the processor's "
				  "%u address bits", (unsigned long long)cfg->mem >> 20,
				  cpuid->phys_bits);
	return 0;
}

static int vm_add_vcpus(struct hvm_vm *vm, struct hvm_cpuid *cpuid, struct hv_err *err)
{
	int ret = 0;

	vm->vcpu = calloc(cpuid->cpus, sizeof(struct hvm_vcpu *));
	if (!vm->vcpu)
		return hv_err_set(err, -ENOMEM, "vCPUs: out of memory");
	for (unsigned int i = 0; i < cpuid->cpus && !ret; i++) {
		hvm_cpuid_for_vcpu(cpuid, i);
		ret = hvm_vcpu_create(vm, i, cpuid->table, &vm->vcpu[i], err);
		if (!ret)
			vm->nr_vcpus++;
	}
	return ret;
}

static int vm_capture(struct hvm_vm *vm, struct hv_err *err)
{
	int ret = 0;

	for (unsigned int i = 0; i < HVM_NR_CHIPS && !ret; i++) {
		vm->chip[i].chip_id = i;
		ret = hvm_ioctl(vm->fd, KVM_GET_IRQCHIP, &vm->chip[i]);
	}
	if (!ret)
		ret = hvm_ioctl(vm->fd, KVM_GET_PIT2, &vm->pit);
	return ret ? vm_failed(vm, ret, "read the interrupt controllers", err) : 0;
}

/* Everything behind the open device. */
static int vm_populate(struct hvm_vm *vm, const struct hvm_vm_config *cfg, struct hvm_cpuid *cpuid,
		       struct hv_err *err)
{
	int ret = vm_check_size(vm, cfg, cpuid, err);

	if (ret)
		return ret;
	vm->fd = hvm_ioctl_val(vm->accel.fd, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		return vm_failed(vm, vm->fd, "create a VM", err);
	vm->pio = bus_create(BUS_PIO);
	vm->mmio = bus_create(BUS_MMIO);
	if (!vm->pio || !vm->mmio)
		return hv_err_set(err, -ENOMEM, "buses: out of memory");
	ret = hvm_ram_create(&vm->ram, cfg->mem, cfg->shared_mem, err);
	if (!ret)
		ret = vm_add_memory(vm, err);
	if (!ret)
		ret = vm_add_irqchips(vm, err);
	if (!ret)
		ret = vm_add_vcpus(vm, cpuid, err);
	return ret ? ret : vm_capture(vm, err);
}

int hvm_vm_create(struct hvm_vm *vm, const struct hvm_vm_config *cfg, struct hv_err *err)
{
	struct hvm_cpuid cpuid;
	int ret;

	memset(vm, 0, sizeof(*vm));
	vm->fd = vm->accel.fd = -1;
	vm->event = cfg->event;
	vm->opaque = cfg->opaque;
	atomic_init(&vm->pause, true);
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->changed, NULL);
	ret = hvm_accel_open(&vm->accel, cfg->accel, err);
	if (!ret)
		ret = hvm_cpuid_init(&cpuid, &vm->accel, cfg->cpus, err);
	if (!ret) {
		ret = vm_populate(vm, cfg, &cpuid, err);
		hvm_cpuid_fini(&cpuid);
	}
	if (ret)
		hvm_vm_destroy(vm);
	return ret;
}

void hvm_vm_destroy(struct hvm_vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		hvm_vcpu_destroy(vm->vcpu[i]);
	free(vm->vcpu);
	hvm_irq_fini(vm);
	bus_destroy(vm->pio);
	bus_destroy(vm->mmio);
	if (vm->fd >= 0)
		close(vm->fd);
	hvm_ram_destroy(&vm->ram);
	hvm_accel_close(&vm->accel);
	pthread_cond_destroy(&vm->changed);
	pthread_mutex_destroy(&vm->lock);
	memset(vm, 0, sizeof(*vm));
	vm->fd = vm->accel.fd = -1;
}

int hvm_vm_reset(struct hvm_vm *vm, struct hv_err *err)
{
	int ret = 0;

	for (unsigned int i = 0; i < HVM_NR_CHIPS && !ret; i++)
		ret = hvm_ioctl(vm->fd, KVM_SET_IRQCHIP, &vm->chip[i]);
	if (!ret)
		ret = hvm_ioctl(vm->fd, KVM_SET_PIT2, &vm->pit);
	if (ret)
		return vm_failed(vm, ret, "reset the interrupt controllers", err);
	for (unsigned int i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = hvm_vcpu_reset(vm->vcpu[i], err);
	return ret;
}

/* ---- Threads ---- */

int hvm_vm_start(struct hvm_vm *vm, struct hv_err *err)
{
	int ret = 0;

	for (unsigned int i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = hvm_vcpu_start(vm->vcpu[i], err);
	return ret;
}

static void vm_request_pause(struct hvm_vm *vm)
{
	atomic_store(&vm->pause, true);
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		hvm_vcpu_kick(vm->vcpu[i]);
}

static unsigned int vm_threads(struct hvm_vm *vm)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		n += vm->vcpu[i]->threaded;
	return n;
}

void hvm_vm_pause(struct hvm_vm *vm)
{
	unsigned int threads = vm_threads(vm);

	vm_request_pause(vm);
	pthread_mutex_lock(&vm->lock);
	while (vm->parked < threads)
		pthread_cond_wait(&vm->changed, &vm->lock);
	pthread_mutex_unlock(&vm->lock);
}

void hvm_vm_resume(struct hvm_vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	atomic_store(&vm->pause, false);
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
}

void hvm_vm_stop(struct hvm_vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->quit = true;
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
	vm_request_pause(vm);
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		hvm_vcpu_join(vm->vcpu[i]);
}

bool hvm_vm_park(struct hvm_vcpu *vcpu)
{
	struct hvm_vm *vm = vcpu->vm;
	bool quit;

	pthread_mutex_lock(&vm->lock);
	vm->parked++;
	pthread_cond_broadcast(&vm->changed);
	while ((atomic_load(&vm->pause) || atomic_load(&vcpu->hold)) && !vm->quit)
		pthread_cond_wait(&vm->changed, &vm->lock);
	vm->parked--;
	quit = vm->quit;
	pthread_mutex_unlock(&vm->lock);
	return !quit;
}

void hvm_vm_notify(struct hvm_vm *vm, enum hvm_event event, const char *fmt, ...)
{
	char msg[512];
	va_list ap;

	if (fmt) {
		va_start(ap, fmt);
		vsnprintf(msg, sizeof(msg), fmt, ap);
		va_end(ap);
	}
	vm_request_pause(vm);
	vm->event(vm->opaque, event, fmt ? msg : NULL);
}
