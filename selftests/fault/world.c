// SPDX-License-Identifier: GPL-2.0-or-later
#include "world.h"

#include <sys/eventfd.h>

struct ut_vm vm;
struct ut_vcpu *vcpu;
uint8_t *mem;
int event, other_event;

UT_GUEST static void guest_answer(void *args)
{
	ut_done(ANSWER);
}

static void world_memory(void)
{
	mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(mem != MAP_FAILED);
	madvise(mem, MEM_SIZE, MADV_NOHUGEPAGE);
	event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	other_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	NEED(event >= 0 && other_event >= 0);
}

void world_bare(void)
{
	ut_vm_create(&vm, 0);
	vcpu = NULL;
	world_memory();
}

void world_chip(void)
{
	world_bare();
	NEED(ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0) == 0);
}

void world_full(void)
{
	struct kvm_pit_config pit = {0};

	world_chip();
	NEED(ioctl(vm.fd, KVM_CREATE_PIT2, &pit) == 0);
	vcpu = ut_vcpu_create(&vm);
	NEED(ut_slot(&vm, 1, MEM_GPA, MEM_SIZE, mem, KVM_MEM_LOG_DIRTY_PAGES) == 0);
}

void world_end(void)
{
	ut_vm_destroy(&vm);
	munmap(mem, MEM_SIZE);
	close(event);
	close(other_event);
}

void world_check_alive(void)
{
	if (!vcpu)
		vcpu = ut_vcpu_create(&vm);
	CHECK_EQ(ut_call(vcpu, guest_answer), ANSWER);
}
