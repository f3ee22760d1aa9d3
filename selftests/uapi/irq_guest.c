// SPDX-License-Identifier: GPL-2.0-or-later
#include <sys/utsname.h>

#include "irq_guest.h"

bool ig_old_kvm(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname u;

	if (strcmp(ut_device(), "/dev/kvm") || uname(&u) < 0)
		return false;
	sscanf(u.release, "%u.%u", &major, &minor);
	return major < 6 || (major == 6 && minor < 12);
}

void ig_vm_create(struct ut_vm *vm, unsigned int vcpus)
{
	unsigned int i;

	ut_vm_create(vm, 0);
	NEED(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) == 0);
	for (i = 0; i < vcpus; i++)
		ut_vcpu_create(vm);
	ig_set_handlers(vm, IG_EOI_APIC);
}

/* ---- handlers ------------------------------------------------------------------------------ */

static uint8_t *emit(uint8_t *p, const void *bytes, size_t n)
{
	memcpy(p, bytes, n);
	return p + n;
}
#define EMIT(p, ...)							\
	do {								\
		const uint8_t bytes_[] = { __VA_ARGS__ };		\
		p = emit(p, bytes_, sizeof(bytes_));			\
	} while (0)

static void emit_handler(uint8_t *p, unsigned int vector, enum ig_eoi eoi)
{
	uint32_t count = IG_COUNTS + vector * 4;

	EMIT(p, 0x50);							/* push %rax */
	EMIT(p, 0xf0, 0xff, 0x04, 0x25, count & 0xff, count >> 8 & 0xff, count >> 16 & 0xff, 0);
	switch (eoi) {							/* lock incl count */
	case IG_EOI_APIC:
		EMIT(p, 0xb8, 0xb0, 0x00, 0xe0, 0xfe);			/* mov $0xfee000b0, %eax */
		EMIT(p, 0xc7, 0x00, 0, 0, 0, 0);			/* movl $0, (%rax) */
		break;
	case IG_EOI_X2APIC:
		EMIT(p, 0x51, 0x52, 0x31, 0xc0, 0x31, 0xd2);	/* push rcx, rdx; clear eax, edx */
		EMIT(p, 0xb9, 0x0b, 0x08, 0, 0, 0x0f, 0x30);	/* mov $0x80b, %ecx; wrmsr */
		EMIT(p, 0x5a, 0x59);
		break;
	case IG_EOI_PIC:
		EMIT(p, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20);	/* mov $0x20, %al; out to both */
		break;
	}
	EMIT(p, 0x58, 0x48, 0xcf);					/* pop %rax; iretq */
}

static void set_gate(struct ut_vm *vm, unsigned int vector, uint64_t addr)
{
	uint64_t *gate = (void *)(vm->low + IG_IDT + vector * 16);

	gate[0] = (addr & 0xffff) | 0x08 << 16 | 0x8eULL << 40 | (addr >> 16 & 0xffff) << 48;
	gate[1] = addr >> 32;
}

extern const uint8_t __start_ut_guest[];

void ig_set_gate(struct ut_vm *vm, unsigned int vector, void (*handler)(void))
{
	const uint8_t *code = (const uint8_t *)(uintptr_t)handler;

	set_gate(vm, vector, UT_CODE + (uint64_t)(code - __start_ut_guest));
}

void ig_set_handlers(struct ut_vm *vm, enum ig_eoi eoi)
{
	uint64_t *gdt = (void *)(vm->low + IG_GDT);
	unsigned int i;

	gdt[1] = 0x00af9b000000ffffULL;
	gdt[2] = 0x00cf93000000ffffULL;
	for (i = 0; i < 256; i++) {
		uint64_t addr = IG_STUBS + i * 32;

		set_gate(vm, i, addr);
		emit_handler(vm->low + addr, i, eoi);
	}
}

void ig_start(struct ut_vcpu *vcpu, ut_guest_fn fn)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs sregs;

	ut_start(vcpu, fn);
	NEED(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) == 0);
	sregs.idt = (struct kvm_dtable){ .base = IG_IDT, .limit = 4095 };
	sregs.gdt = (struct kvm_dtable){ .base = IG_GDT, .limit = 23 };
	NEED(ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) == 0);
	NEED(ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp) == 0);
}

uint32_t ig_finish(struct ut_vcpu *vcpu)
{
	uint32_t value = 0;
	enum ut_result result = ut_run(vcpu, &value);

	if (result != UT_DONE) {
		ut_fail(__FILE__, __LINE__, "the guest ended with result %d, errno %d, exit %u", result,
			errno, vcpu->run->exit_reason);
		ut_abort();
	}
	return value;
}

static void *thread_main(void *arg)
{
	struct ig_thread *t = arg;

	t->result = ut_run(t->vcpu, &t->value);
	return NULL;
}

void ig_thread_start(struct ig_thread *t, struct ut_vcpu *vcpu)
{
	t->vcpu = vcpu;
	t->value = 0;
	NEED(pthread_create(&t->thread, NULL, thread_main, t) == 0);
}

uint32_t ig_thread_join(struct ig_thread *t)
{
	pthread_join(t->thread, NULL);
	if (t->result != UT_DONE)
		ut_fail(__FILE__, __LINE__, "vCPU %u ended with result %d, exit %u", t->vcpu->index,
			t->result, t->vcpu->run->exit_reason);
	return t->value;
}

/* ---- chips --------------------------------------------------------------------------------- */

void ig_ioapic_pin(struct ut_vm *vm, unsigned int pin, uint64_t entry)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	NEED(ioctl(vm->fd, KVM_GET_IRQCHIP, &chip) == 0);
	chip.chip.ioapic.redirtbl[pin].bits = entry;
	NEED(ioctl(vm->fd, KVM_SET_IRQCHIP, &chip) == 0);
}

void ig_pic_open(struct ut_vm *vm, uint16_t mask)
{
	struct kvm_irqchip chip;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		memset(&chip, 0, sizeof(chip));
		chip.chip_id = i;
		NEED(ioctl(vm->fd, KVM_GET_IRQCHIP, &chip) == 0);
		chip.chip.pic.irq_base = 0x20 + i * 8;
		chip.chip.pic.imr = mask >> i * 8;
		chip.chip.pic.init4 = 1;
		NEED(ioctl(vm->fd, KVM_SET_IRQCHIP, &chip) == 0);
	}
}

int ig_irq_line(struct ut_vm *vm, uint32_t gsi, int level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	return ioctl(vm->fd, KVM_IRQ_LINE, &line);
}

int ig_route_msi(struct ut_vm *vm, uint32_t gsi, uint32_t address, uint32_t data)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} table = {
		.head.nr = 1,
		.entry = { .gsi = gsi, .type = KVM_IRQ_ROUTING_MSI,
			   .u.msi = { .address_lo = address, .data = data } },
	};

	return ioctl(vm->fd, KVM_SET_GSI_ROUTING, &table);
}

/* ---- waiting ------------------------------------------------------------------------------- */

UT_GUEST void ig_guest_wait(void *args)
{
	volatile struct ig_wait *w = args;

	ig_apic_write(0xf0, 0x1ff);
	ig_halt_until(w->vector, w->want);
	w->seen = ig_count(w->vector);
	ut_done(1);
}

UT_GUEST void ig_guest_wait_pic(void *args)
{
	volatile struct ig_wait *w = args;

	ig_halt_until(w->vector, w->want);
	w->seen = ig_count(w->vector);
	ut_done(1);
}

struct ig_wait *ig_wait_for(struct ut_vcpu *vcpu, uint32_t vector, uint32_t want)
{
	struct ig_wait *w = ut_args(vcpu);

	*w = (struct ig_wait){ .vector = vector, .want = want };
	return w;
}
