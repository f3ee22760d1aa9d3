// SPDX-License-Identifier: GPL-2.0-or-later
/* irqfd (edge, resample), ioeventfd (PIO, MMIO, datamatch), coalesced MMIO and PIO. */
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "irq_guest.h"

#define MMIO	0xd0000000UL
#define PORT	0xc100

static struct ut_vm vm;

static int new_eventfd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	NEED(fd >= 0);
	return fd;
}

static uint64_t take(int fd)
{
	uint64_t value;

	return read(fd, &value, sizeof(value)) == sizeof(value) ? value : 0;
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	NEED(write(fd, &one, sizeof(one)) == sizeof(one));
}

/* ---- irqfd --------------------------------------------------------------------------------- */

static int irqfd(int fd, uint32_t gsi, uint32_t flags, int resample)
{
	struct kvm_irqfd args = {
		.fd = (uint32_t)fd, .gsi = gsi, .flags = flags, .resamplefd = (uint32_t)resample,
	};

	return ioctl(vm.fd, KVM_IRQFD, &args);
}

static void test_irqfd_errors(void)
{
	int fd = new_eventfd(), other = new_eventfd(), file = open("/dev/null", O_RDWR);

	ut_vm_create(&vm, 1);
	CHECK_ERRNO(irqfd(fd, 5, 0, 0), EINVAL);	/* no irqchip */
	ut_vm_destroy(&vm);

	ig_vm_create(&vm, 1);
	CHECK_ERRNO(irqfd(fd, 5, 0x80, 0), EINVAL);
	CHECK_ERRNO(irqfd(9999, 5, 0, 0), EBADF);
	CHECK_ERRNO(irqfd(file, 5, 0, 0), EINVAL);
	CHECK_ERRNO(irqfd(fd, 5, KVM_IRQFD_FLAG_RESAMPLE, 9999), EBADF);
	CHECK_ERRNO(irqfd(fd, 5, KVM_IRQFD_FLAG_RESAMPLE, file), EINVAL);
	CHECK_EQ(irqfd(fd, 5, 0, 0), 0);
	CHECK_ERRNO(irqfd(fd, 5, 0, 0), EBUSY);
	CHECK_ERRNO(irqfd(fd, 6, 0, 0), EBUSY);
	CHECK_EQ(irqfd(other, 5, 0, 0), 0);
	CHECK_EQ(irqfd(fd, 6, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);	/* another GSI: nothing */
	CHECK_ERRNO(irqfd(fd, 5, 0, 0), EBUSY);
	CHECK_EQ(irqfd(fd, 5, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	CHECK_EQ(irqfd(fd, 5, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	CHECK_EQ(irqfd(fd, 5, 0, 0), 0);
	CHECK_ERRNO(irqfd(9999, 5, KVM_IRQFD_FLAG_DEASSIGN, 0), EBADF);
	ut_vm_destroy(&vm);
	close(fd);
	close(other);
	close(file);
}

static void run_until(uint32_t vector, uint32_t want)
{
	ig_start(&vm.vcpu[0], ig_guest_wait);
	ig_wait_for(&vm.vcpu[0], vector, want);
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 1);
}

static void test_irqfd_msi(void)
{
	int fd = new_eventfd();

	ig_vm_create(&vm, 1);
	run_until(0x50, 0);
	CHECK_EQ(ig_route_msi(&vm, 40, IG_APIC, 0x51), 0);
	CHECK_EQ(irqfd(fd, 40, 0, 0), 0);
	signal_fd(fd);
	CHECK_EQ(take(fd), 0);			/* the irqfd has consumed it */
	run_until(0x51, 1);
	/* A new route takes effect at once. */
	CHECK_EQ(ig_route_msi(&vm, 40, IG_APIC, 0x52), 0);
	signal_fd(fd);
	run_until(0x52, 1);
	CHECK_EQ(ig_counts(&vm)[0x51], 1);
	CHECK_EQ(irqfd(fd, 40, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	signal_fd(fd);
	CHECK_EQ(take(fd), 1);
	/* Signalled before it is assigned: not lost. */
	signal_fd(fd);
	CHECK_EQ(irqfd(fd, 40, 0, 0), 0);
	run_until(0x52, 2);
	CHECK_EQ(ig_counts(&vm)[0x52], 2);
	ut_vm_destroy(&vm);
	close(fd);
}

static void test_irqfd_ioapic(void)
{
	int fd = new_eventfd();

	ig_vm_create(&vm, 1);
	run_until(0x50, 0);
	ig_ioapic_pin(&vm, 20, 0x51);
	CHECK_EQ(irqfd(fd, 20, 0, 0), 0);
	signal_fd(fd);
	run_until(0x51, 1);
	signal_fd(fd);
	run_until(0x51, 2);
	/* The last close of the eventfd is the end of the irqfd. */
	close(fd);
	fd = new_eventfd();
	CHECK_EQ(irqfd(fd, 20, 0, 0), 0);
	signal_fd(fd);
	run_until(0x51, 3);
	close(fd);
	ut_vm_destroy(&vm);
}

static void test_irqfd_resample(void)
{
	int fd = new_eventfd(), resample = new_eventfd();
	struct pollfd p = { .fd = resample, .events = POLLIN };

	ig_vm_create(&vm, 1);
	run_until(0x50, 0);
	ig_ioapic_pin(&vm, 9, 0x53 | 0x8000);
	CHECK_EQ(irqfd(fd, 9, KVM_IRQFD_FLAG_RESAMPLE, resample), 0);
	signal_fd(fd);
	CHECK_EQ(poll(&p, 1, 0), 0);
	run_until(0x53, 1);
	CHECK_EQ(poll(&p, 1, 1000), 1);
	CHECK_EQ(take(resample), 1);
	/* The line is down again: once only, until the next signal. */
	signal_fd(fd);
	run_until(0x53, 2);
	CHECK_EQ(take(resample), 1);
	CHECK_EQ(ig_counts(&vm)[0x53], 2);
	CHECK_EQ(irqfd(fd, 9, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	ut_vm_destroy(&vm);
	close(fd);
	close(resample);
}

struct writer {
	int fd;
	unsigned int n;
};

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	unsigned int i;

	for (i = 0; i < w->n; i++)
		signal_fd(w->fd);
	return NULL;
}

/* Assigning, signalling and closing all at once leaves nothing behind and breaks nothing. */
static void test_irqfd_race(void)
{
	struct writer w = { .n = 20 };
	pthread_t thread;
	unsigned int i;

	ig_vm_create(&vm, 1);
	run_until(0x50, 0);
	ig_ioapic_pin(&vm, 20, 0x51);
	for (i = 0; i < 100; i++) {
		w.fd = new_eventfd();
		NEED(pthread_create(&thread, NULL, writer_main, &w) == 0);
		CHECK_EQ(irqfd(w.fd, 20, 0, 0), 0);
		if (i & 1)
			CHECK_EQ(irqfd(w.fd, 20, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
		pthread_join(thread, NULL);
		close(w.fd);
	}
	w.fd = new_eventfd();
	CHECK_EQ(irqfd(w.fd, 20, 0, 0), 0);
	ut_vm_destroy(&vm);		/* the VM goes first */
	signal_fd(w.fd);
	CHECK_EQ(take(w.fd), 1);
	close(w.fd);
}

/* ---- ioeventfd ----------------------------------------------------------------------------- */

static int ioeventfd(int fd, uint64_t addr, uint32_t len, uint32_t flags, uint64_t match)
{
	struct kvm_ioeventfd args = {
		.fd = fd, .addr = addr, .len = len, .flags = flags, .datamatch = match,
	};

	return ioctl(vm.fd, KVM_IOEVENTFD, &args);
}

#define PIO	KVM_IOEVENTFD_FLAG_PIO
#define MATCH	KVM_IOEVENTFD_FLAG_DATAMATCH
#define DEL	KVM_IOEVENTFD_FLAG_DEASSIGN

static void test_ioeventfd_errors(void)
{
	int fd = new_eventfd(), other = new_eventfd();

	ut_vm_create(&vm, 0);
	CHECK_ERRNO(ioeventfd(fd, MMIO, 4, 0x100, 0), EINVAL);
	CHECK_ERRNO(ioeventfd(fd, MMIO, 3, 0, 0), EINVAL);
	CHECK_ERRNO(ioeventfd(fd, MMIO, 16, 0, 0), EINVAL);
	CHECK_ERRNO(ioeventfd(fd, ~0ULL - 1, 4, 0, 0), EINVAL);
	CHECK_ERRNO(ioeventfd(fd, MMIO, 0, MATCH, 0), EINVAL);
	CHECK_ERRNO(ioeventfd(9999, MMIO, 4, 0, 0), EBADF);
	CHECK_ERRNO(ioeventfd(0, MMIO, 4, 0, 0), EINVAL);	/* not an eventfd */
	CHECK_EQ(ioeventfd(fd, MMIO, 4, 0, 0), 0);
	CHECK_ERRNO(ioeventfd(other, MMIO, 4, 0, 0), EEXIST);
	CHECK_ERRNO(ioeventfd(other, MMIO, 4, MATCH, 7), EEXIST);
	CHECK_ERRNO(ioeventfd(other, MMIO, 0, 0, 0), EEXIST);
	CHECK_EQ(ioeventfd(other, MMIO, 2, 0, 0), 0);
	CHECK_EQ(ioeventfd(other, MMIO, 4, PIO, 0), 0);
	CHECK_ERRNO(ioeventfd(other, MMIO, 4, DEL, 0), ENOENT);
	CHECK_ERRNO(ioeventfd(fd, MMIO, 4, DEL | MATCH, 0), ENOENT);
	CHECK_EQ(ioeventfd(fd, MMIO, 4, DEL, 0), 0);
	CHECK_ERRNO(ioeventfd(fd, MMIO, 4, DEL, 0), ENOENT);
	CHECK_EQ(ioeventfd(fd, MMIO, 4, MATCH, 1), 0);
	CHECK_EQ(ioeventfd(other, MMIO, 4, MATCH, 2), 0);
	CHECK_ERRNO(ioeventfd(other, MMIO, 4, MATCH, 1), EEXIST);
	ut_vm_destroy(&vm);
	close(fd);
	close(other);
}

struct access {
	uint64_t addr;
	uint32_t size, value, count;
	uint32_t pio;
};

UT_GUEST static void guest_write(void *args)
{
	volatile struct access *a = args;
	uint32_t i;

	for (i = 0; i < a->count; i++) {
		if (a->pio) {
			uint16_t port = (uint16_t)a->addr;

			if (a->size == 1)
				__asm__ volatile("outb %b0, %1" : : "a"(a->value), "Nd"(port));
			else if (a->size == 2)
				__asm__ volatile("outw %w0, %1" : : "a"(a->value), "Nd"(port));
			else
				__asm__ volatile("outl %0, %1" : : "a"(a->value), "Nd"(port));
		} else if (a->size == 1) {
			*(volatile uint8_t *)a->addr = (uint8_t)a->value;
		} else if (a->size == 2) {
			*(volatile uint16_t *)a->addr = (uint16_t)a->value;
		} else if (a->size == 4) {
			*(volatile uint32_t *)a->addr = a->value;
		} else {
			*(volatile uint64_t *)a->addr = a->value;
		}
	}
	ut_done(7);
}

/* Let the guest write; how many of the writes came to user space. */
static unsigned int guest_writes(uint64_t addr, uint32_t size, uint32_t value, uint32_t count,
				 bool pio)
{
	struct ut_vcpu *v = &vm.vcpu[0];
	struct access *a = ut_args(v);
	unsigned int exits = 0;
	enum ut_result r;
	uint32_t done;

	ut_start(v, guest_write);
	*a = (struct access){
		.addr = addr, .size = size, .value = value, .count = count, .pio = pio};
	while ((r = ut_run(v, &done)) == UT_EXIT) {
		CHECK_EQ(v->run->exit_reason, pio ? KVM_EXIT_IO : KVM_EXIT_MMIO);
		exits++;
		if (exits > count)
			break;
	}
	CHECK_EQ(r, UT_DONE);
	return exits;
}

static void test_ioeventfd_pio(void)
{
	int any = new_eventfd(), one = new_eventfd();

	ut_vm_create(&vm, 1);
	CHECK_EQ(ioeventfd(any, PORT, 2, PIO, 0), 0);
	CHECK_EQ(ioeventfd(one, PORT + 4, 1, PIO | MATCH, 0x5a), 0);
	CHECK_EQ(guest_writes(PORT, 2, 0x1234, 3, true), 0);
	CHECK_EQ(take(any), 3);
	CHECK_EQ(guest_writes(PORT, 1, 0x12, 1, true), 1);
	CHECK_EQ(guest_writes(PORT, 4, 0x12, 1, true), 1);
	CHECK_EQ(guest_writes(PORT + 1, 1, 0x12, 1, true), 1);
	CHECK_EQ(take(any), 0);
	CHECK_EQ(guest_writes(PORT + 4, 1, 0x5a, 2, true), 0);
	CHECK_EQ(guest_writes(PORT + 4, 1, 0x5b, 1, true), 1);
	CHECK_EQ(take(one), 2);
	CHECK_EQ(ioeventfd(any, PORT, 2, PIO | DEL, 0), 0);
	CHECK_EQ(guest_writes(PORT, 2, 0x1234, 1, true), 1);
	CHECK_EQ(take(any), 0);
	ut_vm_destroy(&vm);
	close(any);
	close(one);
}

static void test_ioeventfd_mmio(void)
{
	int any = new_eventfd(), one = new_eventfd(), two = new_eventfd();

	ut_vm_create(&vm, 1);
	CHECK_EQ(ioeventfd(any, MMIO, 0, 0, 0), 0);
	CHECK_EQ(ioeventfd(one, MMIO + 0x10, 4, MATCH, 1), 0);
	CHECK_EQ(ioeventfd(two, MMIO + 0x10, 4, MATCH, 2), 0);
	CHECK_EQ(guest_writes(MMIO, 1, 1, 1, false), 0);
	CHECK_EQ(guest_writes(MMIO, 2, 1, 1, false), 0);
	CHECK_EQ(guest_writes(MMIO, 4, 1, 1, false), 0);
	CHECK_EQ(take(any), 3);
	CHECK_EQ(guest_writes(MMIO + 0x10, 4, 1, 2, false), 0);
	CHECK_EQ(guest_writes(MMIO + 0x10, 4, 2, 3, false), 0);
	CHECK_EQ(guest_writes(MMIO + 0x10, 4, 3, 1, false), 1);
	CHECK_EQ(guest_writes(MMIO + 0x10, 2, 1, 1, false), 1);
	CHECK_EQ(take(one), 2);
	CHECK_EQ(take(two), 3);
	ut_vm_destroy(&vm);
	close(any);
	close(one);
	close(two);
}

/* An ioeventfd that is an irqfd: a doorbell that interrupts. */
static void test_ioeventfd_to_irqfd(void)
{
	int fd = new_eventfd();

	ig_vm_create(&vm, 1);
	run_until(0x50, 0);
	CHECK_EQ(ig_route_msi(&vm, 40, IG_APIC, 0x51), 0);
	CHECK_EQ(irqfd(fd, 40, 0, 0), 0);
	CHECK_EQ(ioeventfd(fd, PORT, 2, PIO, 0), 0);
	CHECK_EQ(guest_writes(PORT, 2, 1, 1, true), 0);
	run_until(0x51, 1);
	CHECK_EQ(ig_counts(&vm)[0x51], 1);
	ut_vm_destroy(&vm);
	close(fd);
}

/* ---- coalesced MMIO ------------------------------------------------------------------------ */

static int coalesce(unsigned long request, uint64_t addr, uint32_t size, uint32_t pio)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = addr, .size = size, .pio = pio };

	return ioctl(vm.fd, request, &zone);
}

static void test_coalesced(void)
{
	struct kvm_coalesced_mmio_ring *ring;
	unsigned int room, exits;
	int page;

	ut_vm_create(&vm, 1);
	page = ioctl(vm.dev, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_MMIO);
	NEED(page > 0);
	ring = (void *)((uint8_t *)vm.vcpu[0].run + page * UT_PAGE);
	room = (UT_PAGE - sizeof(*ring)) / sizeof(ring->coalesced_mmio[0]) - 1;
	CHECK_EQ(coalesce(KVM_REGISTER_COALESCED_MMIO, MMIO, 0x100, 0), 0);
	CHECK_EQ(guest_writes(MMIO + 0x20, 4, 0x12345678, 3, false), 0);
	CHECK_EQ(ring->first, 0);
	CHECK_EQ(ring->last, 3);
	CHECK_EQ(ring->coalesced_mmio[2].phys_addr, MMIO + 0x20);
	CHECK_EQ(ring->coalesced_mmio[2].len, 4);
	CHECK_EQ(ring->coalesced_mmio[2].pio, 0);
	CHECK_EQ(*(uint32_t *)ring->coalesced_mmio[2].data, 0x12345678);
	CHECK_EQ(guest_writes(MMIO + 0x100, 4, 1, 1, false), 1);
	CHECK_EQ(guest_writes(MMIO + 0xfe, 4, 1, 1, false), 1);
	/*
	 * A full ring: the write that finds it so comes to user space. Old KVM miscounts the room.
	 */
	exits = guest_writes(MMIO, 1, 1, room, false);
	if (!ig_old_kvm())
		CHECK_EQ(exits, 3);
	ring->first = ring->last;
	CHECK_EQ(guest_writes(MMIO, 1, 1, 1, false), 0);
	CHECK_EQ(coalesce(KVM_UNREGISTER_COALESCED_MMIO, MMIO, 0x100, 0), 0);
	CHECK_EQ(guest_writes(MMIO, 1, 1, 1, false), 1);
	CHECK_EQ(coalesce(KVM_UNREGISTER_COALESCED_MMIO, MMIO, 0x100, 0), 0);
	CHECK_ERRNO(coalesce(KVM_REGISTER_COALESCED_MMIO, MMIO, 0x100, 2), EINVAL);
	ut_vm_destroy(&vm);
}

static void test_coalesced_pio(void)
{
	struct kvm_coalesced_mmio_ring *ring;
	int page;

	ut_vm_create(&vm, 1);
	if (ioctl(vm.dev, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_PIO) <= 0) {
		ut_vm_destroy(&vm);
		ut_skip("no coalesced PIO");
	}
	page = ioctl(vm.dev, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_MMIO);
	ring = (void *)((uint8_t *)vm.vcpu[0].run + page * UT_PAGE);
	CHECK_EQ(coalesce(KVM_REGISTER_COALESCED_MMIO, PORT, 4, 1), 0);
	CHECK_EQ(guest_writes(PORT, 2, 0xabcd, 2, true), 0);
	CHECK_EQ(ring->last, 2);
	CHECK_EQ(ring->coalesced_mmio[1].phys_addr, PORT);
	CHECK_EQ(ring->coalesced_mmio[1].len, 2);
	CHECK_EQ(ring->coalesced_mmio[1].pio, 1);
	CHECK_EQ(coalesce(KVM_UNREGISTER_COALESCED_MMIO, PORT, 4, 1), 0);
	CHECK_EQ(guest_writes(PORT, 2, 0xabcd, 1, true), 1);
	ut_vm_destroy(&vm);
}

int main(int argc, char **argv)
{
	static const struct ut_test tests[] = {
		{ "irqfd-errors", test_irqfd_errors },
		{ "irqfd-msi", test_irqfd_msi },
		{ "irqfd-ioapic", test_irqfd_ioapic },
		{ "irqfd-resample", test_irqfd_resample },
		{ "irqfd-race", test_irqfd_race },
		{ "ioeventfd-errors", test_ioeventfd_errors },
		{ "ioeventfd-pio", test_ioeventfd_pio },
		{ "ioeventfd-mmio", test_ioeventfd_mmio },
		{ "ioeventfd-to-irqfd", test_ioeventfd_to_irqfd },
		{ "coalesced-mmio", test_coalesced },
		{ "coalesced-pio", test_coalesced_pio },
	};

	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
