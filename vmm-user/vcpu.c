// SPDX-License-Identifier: GPL-2.0-or-later
/* A vCPU's thread and its exits; see vcpu.h. The state of a vCPU is in vcpu_state.c. */
#include "vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gdb/target.h"

#define KICK_SIGNAL	SIGUSR1

/* ---- Life ---- */

static void kick_handler(int sig)
{
	/* Its only effect is that KVM_RUN returns. */
}

static void kick_signal_init(void)
{
	struct sigaction sa = { .sa_handler = kick_handler };

	sigemptyset(&sa.sa_mask);
	sigaction(KICK_SIGNAL, &sa, NULL);
}

int hvm_vcpu_create(struct hvm_vm *vm, unsigned int id, const struct kvm_cpuid2 *cpuid,
		    struct hvm_vcpu **res, struct hv_err *err)
{
	struct hvm_vcpu *vcpu = calloc(1, sizeof(*vcpu));
	int ret;

	if (!vcpu)
		return hv_err_set(err, -ENOMEM, "vCPU %u: out of memory", id);
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->fd = hvm_ioctl_val(vm->fd, KVM_CREATE_VCPU, id);
	if (vcpu->fd < 0) {
		ret = hv_err_set(err, vcpu->fd, "%s: cannot create vCPU %u: %s", vm->accel.path, id,
				 strerror(-vcpu->fd));
		goto fail;
	}
	vcpu->run = mmap(NULL, (size_t)vm->accel.vcpu_map_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		ret = hv_err_set(err, -errno, "%s: cannot map vCPU %u: %s", vm->accel.path, id,
				 strerror(errno));
		goto fail;
	}
	ret = hvm_ioctl(vcpu->fd, KVM_SET_CPUID2, (void *)cpuid);
	if (ret) {
		hv_err_set(err, ret, "%s: cannot set CPUID of vCPU %u: %s", vm->accel.path, id,
			   strerror(-ret));
		goto fail;
	}
	ret = hvm_vcpu_capture(vcpu, err);
	if (ret)
		goto fail;
	*res = vcpu;
	return 0;
fail:
	hvm_vcpu_destroy(vcpu);
	return ret;
}

void hvm_vcpu_destroy(struct hvm_vcpu *vcpu)
{
	if (!vcpu)
		return;
	if (vcpu->run)
		munmap(vcpu->run, (size_t)vcpu->vm->accel.vcpu_map_size);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	hvm_vcpu_state_free(vcpu->reset);
	free(vcpu);
}

void hvm_vcpu_kick(struct hvm_vcpu *vcpu)
{
	/* The flag makes a KVM_RUN return that has not begun, the signal one that has. */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (vcpu->threaded)
		pthread_kill(vcpu->thread, KICK_SIGNAL);
}

/* ---- Exits ---- */

static void vcpu_fail(struct hvm_vcpu *vcpu, enum hvm_event event, const char *what)
{
	char state[320];

	hvm_vcpu_describe(vcpu, state, sizeof(state));
	hvm_vm_notify(vcpu->vm, event, "vCPU %u: %s; %s", vcpu->id, what, state);
}

static void vcpu_exit_io(struct hvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	unsigned int size = run->io.size;
	char *data = (char *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += size) {
		uint64_t value = 0;

		if (run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&value, data, size);
			bus_write(vcpu->vm->pio, run->io.port, size, value);
		} else {
			value = bus_read(vcpu->vm->pio, run->io.port, size);
			memcpy(data, &value, size);
		}
	}
}

/* Lengths other than 1, 2, 4 and 8 come from accesses that cross a page: byte by byte. */
static void vcpu_exit_mmio(struct hvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint64_t addr = run->mmio.phys_addr;
	unsigned int len = run->mmio.len, step;
	uint64_t value;

	if (len > sizeof(run->mmio.data))
		return;
	step = len && !(len & (len - 1)) ? len : 1;
	for (unsigned int i = 0; i < len; i += step) {
		value = 0;
		if (run->mmio.is_write) {
			memcpy(&value, run->mmio.data + i, step);
			bus_write(vcpu->vm->mmio, addr + i, step, value);
		} else {
			value = bus_read(vcpu->vm->mmio, addr + i, step);
			memcpy(run->mmio.data + i, &value, step);
		}
	}
}

static void vcpu_exit_system_event(struct hvm_vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		hvm_vm_notify(vcpu->vm, HVM_EVENT_POWEROFF, NULL);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		hvm_vm_notify(vcpu->vm, HVM_EVENT_RESET, NULL);
		break;
	default:
		vcpu_fail(vcpu, HVM_EVENT_CRASH, "the guest reported a crash");
	}
}

static void vcpu_exit_internal_error(struct hvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	char what[200];
	int n;

	n = snprintf(what, sizeof(what), "%s gave up (internal error %u%s", vcpu->vm->accel.path,
		     run->internal.suberror,
		     run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION ?
		     ": an instruction it cannot emulate" : "");
	for (uint32_t i = 0; i < run->internal.ndata && i < 4; i++)
		n += snprintf(what + n, sizeof(what) - (size_t)n, " 0x%llx",
			      (unsigned long long)run->internal.data[i]);
	snprintf(what + n, sizeof(what) - (size_t)n, ")");
	vcpu_fail(vcpu, HVM_EVENT_ERROR, what);
}

static void vcpu_exit_fail_entry(struct hvm_vcpu *vcpu)
{
	char what[120];

	snprintf(what, sizeof(what), "the processor refused to enter the guest (reason 0x%llx)",
		 (unsigned long long)vcpu->run->fail_entry.hardware_entry_failure_reason);
	vcpu_fail(vcpu, HVM_EVENT_ERROR, what);
}

static void vcpu_exit_unknown(struct hvm_vcpu *vcpu)
{
	char what[80];

	snprintf(what, sizeof(what), "unexpected exit %u from the guest", vcpu->run->exit_reason);
	vcpu_fail(vcpu, HVM_EVENT_ERROR, what);
}

/* ---- The run loop ---- */

static void vcpu_handle_exit(struct hvm_vcpu *vcpu)
{
	vcpu->unfinished = false;
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		vcpu->unfinished = true;
		vcpu_exit_io(vcpu);
		break;
	case KVM_EXIT_MMIO:
		vcpu->unfinished = true;
		vcpu_exit_mmio(vcpu);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_HLT:		/* the kernel halts; this is only a wake-up */
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SET_TPR:
		break;
	case KVM_EXIT_DEBUG:
		if (!vcpu->vm->debug)
			vcpu_exit_unknown(vcpu);
		else if (gdb_target_exit(vcpu->vm->debug, vcpu))
			hvm_vm_notify(vcpu->vm, HVM_EVENT_DEBUG, NULL);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		vcpu_exit_system_event(vcpu);
		break;
	case KVM_EXIT_SHUTDOWN:
		/* The processor has forgotten where it was. */
		hvm_vm_notify(vcpu->vm, HVM_EVENT_CRASH, "the guest crashed: triple fault on vCPU %u",
			      vcpu->id);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		vcpu_exit_internal_error(vcpu);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		vcpu_exit_fail_entry(vcpu);
		break;
	default:
		vcpu_exit_unknown(vcpu);
	}
}

/*
 * An instruction that left for I/O is only complete when the vCPU has been entered again. Before
 * its state may be read or replaced, enter with immediate_exit set, which does just that.
 */
static void vcpu_complete_io(struct hvm_vcpu *vcpu)
{
	if (!vcpu->unfinished)
		return;
	vcpu->unfinished = false;
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	while (!ioctl(vcpu->fd, KVM_RUN, 0) && (vcpu->run->exit_reason == KVM_EXIT_IO ||
						vcpu->run->exit_reason == KVM_EXIT_MMIO))
		vcpu_handle_exit(vcpu);
	vcpu->unfinished = false;
}

static void vcpu_run_once(struct hvm_vcpu *vcpu)
{
	if (!ioctl(vcpu->fd, KVM_RUN, 0)) {
		vcpu_handle_exit(vcpu);
		return;
	}
	vcpu->unfinished = false;
	if (errno == EINTR || errno == EAGAIN)
		return;
	/* This pauses the VM, so that the error comes once. */
	hvm_vm_notify(vcpu->vm, HVM_EVENT_ERROR, "vCPU %u: %s: KVM_RUN: %s", vcpu->id,
		      vcpu->vm->accel.path, strerror(errno));
}

static void *vcpu_thread(void *opaque)
{
	struct hvm_vcpu *vcpu = opaque;
	struct hvm_vm *vm = vcpu->vm;
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	atomic_store(&vcpu->tid, gettid());
	for (;;) {
		if (atomic_load(&vm->pause) || atomic_load(&vcpu->hold)) {
			vcpu_complete_io(vcpu);
			if (!hvm_vm_park(vcpu))
				return NULL;
			/* Before the look at pause, so that a new request is not lost. */
			__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
			continue;
		}
		vcpu_run_once(vcpu);
	}
}

int hvm_vcpu_start(struct hvm_vcpu *vcpu, struct hv_err *err)
{
	sigset_t all, old;
	char name[16];
	int ret;

	if (vcpu->id == 0)
		kick_signal_init();
	/* Signals to the process are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	ret = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret)
		return hv_err_set(err, -ret, "vCPU %u: no thread: %s", vcpu->id, strerror(ret));
	vcpu->threaded = true;
	snprintf(name, sizeof(name), "vcpu%u", vcpu->id);
	pthread_setname_np(vcpu->thread, name);
	return 0;
}

void hvm_vcpu_join(struct hvm_vcpu *vcpu)
{
	if (!vcpu->threaded)
		return;
	pthread_join(vcpu->thread, NULL);
	vcpu->threaded = false;
}
