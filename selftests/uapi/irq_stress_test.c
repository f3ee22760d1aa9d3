// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Interrupts, routing, irqfds and ioeventfds change while two vCPUs send each other messages and
 * ring doorbells. Nothing may be lost between the vCPUs, hang, or upset the host.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <time.h>

#include "irq_guest.h"

#define SECONDS		3
#define DOORBELL	0xd0000000UL
#define PORT		0xc100

static struct ut_vm vm;
static atomic_bool done;
static atomic_uint errors;

struct shared {
	uint32_t rounds;
};

/* vCPU @me: ring the doorbells, wake the other, wait for it; until the host says stop. */
UT_GUEST static void guest_loop(void *args)
{
	volatile struct shared *mine = args;
	volatile uint32_t *stop = (volatile uint32_t *)0x8ff0;
	uint32_t me = ig_apic_read(0x20) >> 24, i = 0;

	ig_apic_write(0xf0, 0x1ff);
	ut_done(1);
	for (;;) {
		i++;
		*(volatile uint32_t *)DOORBELL = i;
		__asm__ volatile("outw %w0, %1" : : "a"(i), "Nd"((uint16_t)PORT));
		if (me)
			ig_halt_until(0x51, i);
		ig_apic_write(0x310, !me << 24);
		ig_apic_write(0x300, 0x4000 | (0x50 + !me));
		if (!me)
			ig_halt_until(0x50, i);
		mine->rounds = i;
		if (*stop && !me && i >= *stop)
			ut_done(2);
		if (*stop && me && i >= *stop)
			ut_done(2);
	}
}

static void *vcpu_main(void *arg)
{
	struct ut_vcpu *v = arg;
	enum ut_result r;
	uint32_t value = 0;

	/* Doorbells that nobody has registered at the moment come here. */
	while ((r = ut_run(v, &value)) == UT_EXIT) {
		uint32_t why = v->run->exit_reason;

		if (why != KVM_EXIT_MMIO && why != KVM_EXIT_IO) {
			printf("# vCPU %u: exit %u\n", v->index, why);
			break;
		}
	}
	if (r != UT_DONE || value != 2)
		errors++;
	return NULL;
}

static void *routing_main(void *arg)
{
	unsigned int i = 0;

	while (!done) {
		if (ig_route_msi(&vm, 40, IG_APIC | (i & 1) << 12, 0x60 + (i & 7)))
			errors++;
		i++;
		usleep(500);
	}
	return NULL;
}

static void *signals_main(void *arg)
{
	struct kvm_msi msi = { .address_lo = IG_APIC, .data = 0x70 };
	unsigned int i = 0;

	while (!done) {
		msi.address_lo = IG_APIC | (i & 1) << 12;
		if (ioctl(vm.fd, KVM_SIGNAL_MSI, &msi) < 0)
			errors++;
		if (ig_irq_line(&vm, 40, i++ & 1))
			errors++;
		usleep(200);
	}
	return NULL;
}

static void *irqfd_main(void *arg)
{
	uint64_t one = 1;

	while (!done) {
		int fd = eventfd(0, EFD_NONBLOCK);
		struct kvm_irqfd args = { .fd = (uint32_t)fd, .gsi = 40 };

		if (ioctl(vm.fd, KVM_IRQFD, &args))
			errors++;
		if (write(fd, &one, sizeof(one)) != sizeof(one))
			errors++;
		args.flags = KVM_IRQFD_FLAG_DEASSIGN;
		if ((rand() & 1) && ioctl(vm.fd, KVM_IRQFD, &args))
			errors++;
		close(fd);
		usleep(300);
	}
	return NULL;
}

static void *doorbell_main(void *arg)
{
	while (!done) {
		int fd = eventfd(0, EFD_NONBLOCK);
		struct kvm_ioeventfd mmio = { .fd = fd, .addr = DOORBELL, .len = 4 };
		struct kvm_ioeventfd pio = {
			.fd = fd, .addr = PORT, .len = 2, .flags = KVM_IOEVENTFD_FLAG_PIO,
		};

		if (ioctl(vm.fd, KVM_IOEVENTFD, &mmio) || ioctl(vm.fd, KVM_IOEVENTFD, &pio))
			errors++;
		usleep(2000);
		mmio.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
		pio.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
		if (ioctl(vm.fd, KVM_IOEVENTFD, &mmio) || ioctl(vm.fd, KVM_IOEVENTFD, &pio))
			errors++;
		close(fd);
	}
	return NULL;
}

static void test_stress(void)
{
	void *(*const mains[])(void *) = { routing_main, signals_main, irqfd_main, doorbell_main };
	pthread_t threads[ARRAY_SIZE(mains)], vcpus[2];
	struct timespec pause = { .tv_sec = SECONDS };
	volatile uint32_t *stop;
	struct shared *shared[2];
	unsigned int i;

	done = false;
	errors = 0;
	ig_vm_create(&vm, 2);
	stop = (volatile uint32_t *)(vm.low + 0x8ff0);
	CHECK_EQ(ig_route_msi(&vm, 40, IG_APIC, 0x60), 0);
	for (i = 0; i < 2; i++) {
		shared[i] = ut_args(&vm.vcpu[i]);
		ig_start(&vm.vcpu[i], guest_loop);
		CHECK_EQ(ig_finish(&vm.vcpu[i]), 1);
	}
	for (i = 0; i < 2; i++)
		NEED(pthread_create(&vcpus[i], NULL, vcpu_main, &vm.vcpu[i]) == 0);
	for (i = 0; i < ARRAY_SIZE(mains); i++)
		NEED(pthread_create(&threads[i], NULL, mains[i], NULL) == 0);
	nanosleep(&pause, NULL);
	done = true;
	for (i = 0; i < ARRAY_SIZE(mains); i++)
		pthread_join(threads[i], NULL);
	/* Each message is answered, so they end in the same round; both are there or before it. */
	*stop = shared[0]->rounds + 50;
	for (i = 0; i < 2; i++)
		pthread_join(vcpus[i], NULL);
	CHECK_EQ(errors, 0);
	CHECK(shared[0]->rounds >= *stop && shared[1]->rounds >= *stop);
	CHECK_EQ(ig_counts(&vm)[0x51], shared[1]->rounds);
	CHECK(ig_counts(&vm)[0x70] > 0);
	ut_vm_destroy(&vm);
}

int main(int argc, char **argv)
{
	static const struct ut_test tests[] = {
		{ "irq-stress", test_stress },
	};

	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
