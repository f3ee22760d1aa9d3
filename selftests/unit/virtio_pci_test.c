// SPDX-License-Identifier: GPL-2.0-or-later
/* Virtio over PCI, as a driver sees it: through configuration space and BAR 0. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../virtio-backends/transport/pci.h"
#include "pci_fake_vm.h"
#include "unit_log.h"
#include "unit_test.h"
#include "virtio_driver.h"

#define ECAM		0xe0000000ULL
#define SLOT		(ECAM + 0x8000)
#define BAR0		0xc0000000ULL
#define MSI_ADDR	0xfee00000ULL

/* A device whose queues the test works on. */
static struct virtio_dev toy;
static unsigned int toy_starts, toy_stops, toy_destroyed;
static uint8_t toy_config[8];

static int toy_start(struct virtio_dev *dev)
{
	toy_starts++;
	return 0;
}

static void toy_stop(struct virtio_dev *dev)
{
	toy_stops++;
}

static void toy_config_read(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	memcpy(buf, toy_config + off, len);
}

static void toy_config_write(struct virtio_dev *dev, uint32_t off, const void *buf, uint32_t len)
{
	memcpy(toy_config + off, buf, len);
}

static void toy_destroy(struct virtio_dev *dev)
{
	toy_destroyed++;
	virtio_dev_fini(dev);
}

static const struct virtio_dev_ops toy_ops = {
	.name = "toy", .device_id = 42, .config_len = sizeof(toy_config),
	.config_read = toy_config_read, .config_write = toy_config_write,
	.start = toy_start, .stop = toy_stop, .destroy = toy_destroy,
};

#define QUEUES	2
#define VECTORS	(QUEUES + 1)

static struct drv drv;	/* guest memory only */
static struct pci_host *host;
static struct bus *pio, *mmio;
static struct pci_dev *pci;
static uint64_t common, notify, isr, device, pci_cfg;
static uint32_t stride;

static uint64_t cfg_read(unsigned int reg, unsigned int size)
{
	return bus_read(mmio, SLOT + reg, size);
}

static void cfg_write(unsigned int reg, unsigned int size, uint32_t v)
{
	bus_write(mmio, SLOT + reg, size, v);
}

/* What a driver does: walk the list of capabilities. */
static void find_structures(void)
{
	common = notify = isr = device = pci_cfg = 0;
	for (unsigned int at = cfg_read(PCI_CAPABILITY_LIST, 1); at; at = cfg_read(at + 1, 1)) {
		uint64_t where = BAR0 + cfg_read(at + 8, 4);

		if (cfg_read(at, 1) != PCI_CAP_ID_VNDR)
			continue;
		switch (cfg_read(at + 3, 1)) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			common = where;
			CHECK(cfg_read(at + 12, 4) >= 56);
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			notify = where;
			stride = (uint32_t)cfg_read(at + 16, 4);
			break;
		case VIRTIO_PCI_CAP_ISR_CFG:
			isr = where;
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			device = where;
			CHECK_EQ(cfg_read(at + 12, 4), sizeof(toy_config));
			break;
		case VIRTIO_PCI_CAP_PCI_CFG:
			pci_cfg = at;
			break;
		}
	}
	CHECK(common && notify && isr && device && pci_cfg);
}

static uint64_t cr(unsigned int off, unsigned int size)
{
	return bus_read(mmio, common + off, size);
}

static void cw(unsigned int off, unsigned int size, uint64_t v)
{
	bus_write(mmio, common + off, size, v);
}

static void create(void)
{
	struct pci_host_config cfg = {
		.vm = fake_vm_init(),
		.pio = pio = bus_create(BUS_PIO),
		.mmio = mmio = bus_create(BUS_MMIO),
		.ecam_base = ECAM, .mmio_base = BAR0, .mmio_size = 0x1000000,
		.intx_gsi = { 16, 17, 18, 19 },
	};
	struct virtio_pci_config vcfg = { .vm = cfg.vm, .mem = &drv.mem, .dev = &toy, .slot = -1 };
	struct hv_err err;

	test_catch_log();
	drv_init(&drv, NULL);
	memset(&toy, 0, sizeof(toy));
	CHECK_EQ(virtio_dev_init(&toy, &toy_ops, "toy0", 1, QUEUES, 64, &err), 0);
	CHECK_EQ(pci_host_create(&cfg, &host, &err), 0);
	vcfg.host = host;
	CHECK_EQ(virtio_pci_create(&vcfg, &pci, &err), 0);
	pci_host_reset(host);
}

static void set_up(void)
{
	create();
	cfg_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	find_structures();
}

static void tear_down(void)
{
	toy_destroyed = 0;
	pci_host_destroy(host);
	CHECK_EQ(toy_destroyed, 1);
	CHECK_EQ(fake_vm.doorbells, 0);
	CHECK_EQ(fake_ranges(mmio), 0);
	bus_destroy(pio);
	bus_destroy(mmio);
	drv_fini(&drv);
}

static void set_queue(unsigned int n)
{
	cw(VIRTIO_PCI_COMMON_Q_SELECT, 2, n);
	cw(VIRTIO_PCI_COMMON_Q_SIZE, 2, 16);
	cw(VIRTIO_PCI_COMMON_Q_DESCLO, 4, (uint32_t)DRV_DESC(n));
	cw(VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0);
	cw(VIRTIO_PCI_COMMON_Q_AVAILLO, 8, DRV_AVAIL(n));
	cw(VIRTIO_PCI_COMMON_Q_USEDLO, 4, (uint32_t)DRV_USED(n));
	cw(VIRTIO_PCI_COMMON_Q_USEDHI, 4, 0);
	cw(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static void negotiate(void)
{
	cw(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	cw(VIRTIO_PCI_COMMON_STATUS, 1, 3);
	cw(VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	cw(VIRTIO_PCI_COMMON_GF, 4, 1);
	cw(VIRTIO_PCI_COMMON_STATUS, 1, 0xb);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_STATUS, 1), 0xb);
}

static void driver_ok(void)
{
	negotiate();
	set_queue(0);
	set_queue(1);
	cw(VIRTIO_PCI_COMMON_STATUS, 1, 0xf);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_STATUS, 1), 0xf);
}

static void test_identity(void)
{
	set_up();
	CHECK_EQ(cfg_read(PCI_VENDOR_ID, 4), (0x1040u + 42) << 16 | 0x1af4);
	CHECK(cfg_read(PCI_REVISION_ID, 1) >= 1);
	CHECK(cfg_read(PCI_SUBSYSTEM_ID, 2) >= 0x40);
	CHECK_EQ(cfg_read(PCI_INTERRUPT_PIN, 1), 1);
	CHECK_EQ(stride, 4);
	tear_down();
}

static void test_features(void)
{
	set_up();
	cw(VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_DF, 4), 1u << 28 | 1u << 29 | 1);
	cw(VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_DF, 4), 1);
	cw(VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_DF, 4), 0);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_DFSELECT, 4), 2);
	cw(VIRTIO_PCI_COMMON_DF, 4, 0xffffffff);	/* read-only */
	cw(VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	cw(VIRTIO_PCI_COMMON_GF, 4, 3);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_GF, 4), 3);
	cw(VIRTIO_PCI_COMMON_STATUS, 1, 0xb);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_STATUS, 1), 3);	/* bit 33 is not offered */
	cw(VIRTIO_PCI_COMMON_GF, 4, 1);
	cw(VIRTIO_PCI_COMMON_STATUS, 1, 0xb);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_STATUS, 1), 0xb);
	tear_down();
}

static void test_queue_registers(void)
{
	set_up();
	negotiate();
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_NUMQ, 2), QUEUES);
	cw(VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_SIZE, 2), 64);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_NOFF, 2), 1);
	cw(VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x11223344);
	cw(VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0x55);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0x5511223344);
	cw(VIRTIO_PCI_COMMON_Q_USEDLO, 8, 0x6677889900);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_USEDLO, 4), 0x77889900);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_USEDHI, 4), 0x66);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_AVAILLO, 8), 0);
	set_queue(1);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	/* An enabled queue is fixed. */
	cw(VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
	cw(VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0);
	cw(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_SIZE, 2), 16);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_DESCLO, 4), DRV_DESC(1));
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	/* One that does not exist reads as zero and takes nothing. */
	cw(VIRTIO_PCI_COMMON_Q_SELECT, 2, QUEUES);
	cw(VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
	cw(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	cw(VIRTIO_PCI_COMMON_Q_SELECT, 2, 0xffff);
	cw(VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	/* After DRIVER_OK nothing can be enabled. */
	cw(VIRTIO_PCI_COMMON_STATUS, 1, 0xf);
	set_queue(0);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	tear_down();
}

static void test_bad_queue_size(void)
{
	static const uint16_t bad[] = { 0, 3, 128, 0xffff };

	for (unsigned int i = 0; i < 4; i++) {
		set_up();
		negotiate();
		cw(VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
		cw(VIRTIO_PCI_COMMON_Q_SIZE, 2, bad[i]);
		CHECK(virtio_dev_is_broken(&toy));
		CHECK(test_log_has("bad size"));
		CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_SIZE, 2), 64);
		tear_down();
	}
}

static void test_wrong_widths(void)
{
	set_up();
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_STATUS, 4), 0);
	cw(VIRTIO_PCI_COMMON_STATUS, 4, 3);
	cw(VIRTIO_PCI_COMMON_STATUS, 2, 3);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_STATUS, 1), 0);
	cw(VIRTIO_PCI_COMMON_DFSELECT, 1, 1);
	cw(VIRTIO_PCI_COMMON_DFSELECT + 1, 4, 1);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_DFSELECT, 4), 0);
	CHECK_EQ(cr(53, 4), 0);
	CHECK_EQ(cr(52, 8), 0);
	CHECK_EQ(cr(56, 4), 0);
	CHECK_EQ(cr(0xfff, 8), 0);
	cw(56, 4, ~0u);
	cw(0xffc, 4, ~0u);
	tear_down();
}

static void test_life_cycle(void)
{
	unsigned int starts, stops;

	set_up();
	starts = toy_starts;
	stops = toy_stops;
	driver_ok();
	CHECK_EQ(toy_starts, starts + 1);
	CHECK(toy.vqs[0].started && toy.vqs[1].started);
	cw(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	CHECK_EQ(toy_stops, stops + 1);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_STATUS, 1), 0);
	cw(VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_SIZE, 2), 64);
	driver_ok();
	pci_host_reset(host);	/* a reset of the machine is one of the device, too */
	CHECK_EQ(toy_stops, stops + 2);
	CHECK_EQ(virtio_dev_get_status(&toy), 0);
	tear_down();
}

/* A device that is not bus master rests, and goes on where it was. */
static void test_bus_master(void)
{
	unsigned int starts, stops;

	set_up();
	starts = toy_starts;
	stops = toy_stops;
	cfg_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	driver_ok();
	CHECK_EQ(toy_starts, starts);
	cfg_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	CHECK_EQ(toy_starts, starts + 1);
	toy.vqs[0].used_idx = 5;
	cfg_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	CHECK_EQ(toy_stops, stops + 1);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_STATUS, 1), 0xf);
	cfg_write(PCI_COMMAND, 1, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	CHECK_EQ(toy_starts, starts + 2);
	CHECK_EQ(toy.vqs[0].used_idx, 5);
	tear_down();
}

static bool kicked(unsigned int q)
{
	uint64_t n;

	return read(toy.vqs[q].kick_fd, &n, sizeof(n)) == sizeof(n);
}

static void test_doorbells(void)
{
	create();
	CHECK_EQ(fake_vm.doorbells, 0);
	cfg_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	find_structures();
	CHECK_EQ(fake_vm.doorbells, QUEUES);
	for (unsigned int i = 0; i < QUEUES; i++) {
		CHECK_EQ(fake_vm.doorbell[i].addr, notify + i * stride);
		CHECK_EQ(fake_vm.doorbell[i].len, 0);
		CHECK_EQ(fake_vm.doorbell[i].eventfd, toy.vqs[i].kick_fd);
	}
	/* They move with the BAR. */
	cfg_write(PCI_BASE_ADDRESS_0, 4, 0xc0800000);
	CHECK_EQ(fake_vm.doorbells, QUEUES);
	CHECK_EQ(fake_vm.doorbell[0].addr, notify + 0x800000);
	cfg_write(PCI_BASE_ADDRESS_0, 4, BAR0);
	/* Where the kernel does not take them, the write itself works. */
	driver_ok();
	CHECK(kicked(0) && kicked(1));		/* the start's own signal */
	bus_write(mmio, notify + stride, 2, 1);
	CHECK(!kicked(0) && kicked(1));
	bus_write(mmio, notify + QUEUES * stride, 2, 1);
	CHECK(!kicked(0) && !kicked(1));
	cfg_write(PCI_COMMAND, 2, 0);
	CHECK_EQ(fake_vm.doorbells, 0);
	/* A kernel that wants a length. */
	fake_vm.refuse_any_length = true;
	cfg_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	CHECK_EQ(fake_vm.doorbells, QUEUES);
	CHECK_EQ(fake_vm.doorbell[1].len, 2);
	tear_down();
}

static void msix_set(unsigned int n, uint32_t data)
{
	uint64_t at = BAR0 + 0x4000 + 16 * n;

	bus_write(mmio, at, 8, MSI_ADDR);
	bus_write(mmio, at + 8, 8, data);	/* and unmask */
}

static void enable_msix(void)
{
	for (unsigned int at = cfg_read(PCI_CAPABILITY_LIST, 1); at; at = cfg_read(at + 1, 1)) {
		if (cfg_read(at, 1) != PCI_CAP_ID_MSIX)
			continue;
		CHECK_EQ(cfg_read(at + 2, 2), VECTORS - 1);
		CHECK_EQ(cfg_read(at + 4, 4), 0x4000);
		CHECK_EQ(cfg_read(at + 8, 4), 0x6000);
		cfg_write(at + 2, 2, PCI_MSIX_FLAGS_ENABLE);
	}
}

static void test_msix(void)
{
	struct fake_route *r[VECTORS];

	set_up();
	enable_msix();
	for (unsigned int i = 0; i < VECTORS; i++) {
		msix_set(i, 0x40 + i);
		r[i] = fake_route_find(MSI_ADDR, 0x40 + i);
		CHECK(r[i]);
	}
	negotiate();
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	cw(VIRTIO_PCI_COMMON_MSIX, 2, 0);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_MSIX, 2), 0);
	set_queue(0);
	set_queue(1);
	cw(VIRTIO_PCI_COMMON_Q_MSIX, 2, VECTORS);	/* one too many */
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	cw(VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_MSIX, 2), 2);
	cw(VIRTIO_PCI_COMMON_STATUS, 1, 0xf);
	toy.host_ops->queue_interrupt(toy.host, 1);
	CHECK(!fake_route_fired(r[0]) && !fake_route_fired(r[1]) && fake_route_fired(r[2]));
	toy.host_ops->queue_interrupt(toy.host, 0);	/* has no vector */
	CHECK(!fake_route_fired(r[0]) && !fake_route_fired(r[1]) && !fake_route_fired(r[2]));
	virtio_dev_config_changed(&toy);
	CHECK(fake_route_fired(r[0]));
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_CFGGENERATION, 1), 1);
	virtio_dev_fail(&toy, "on purpose");
	CHECK(fake_route_fired(r[0]));
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_STATUS, 1), 0x4f);
	CHECK_EQ(bus_read(mmio, isr, 1), 0);
	CHECK(!fake_vm.line[17]);
	/* A reset of the device takes the vectors away. */
	cw(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	tear_down();
}

/* Who signals interrupts by itself gets the vector's eventfd, and starts anew when that changes. */
static void test_queue_eventfd(void)
{
	struct fake_route *r[VECTORS];
	uint64_t one = 1;
	int fd;

	set_up();
	CHECK_EQ(toy.host_ops->queue_eventfd(toy.host, 1), -1);
	enable_msix();
	for (unsigned int i = 0; i < VECTORS; i++) {
		msix_set(i, 0x40 + i);
		r[i] = fake_route_find(MSI_ADDR, 0x40 + i);
	}
	negotiate();
	set_queue(0);
	set_queue(1);
	cw(VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	cw(VIRTIO_PCI_COMMON_STATUS, 1, 0xf);
	CHECK_EQ(toy.host_ops->queue_eventfd(toy.host, 0), -1);
	fd = toy.host_ops->queue_eventfd(toy.host, 1);
	CHECK_EQ(write(fd, &one, sizeof(one)), sizeof(one));
	CHECK(fake_route_fired(r[2]) && !fake_route_fired(r[1]));
	toy_starts = toy_stops = 0;
	cw(VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	CHECK(toy_starts == 1 && toy_stops == 1);
	CHECK(toy.host_ops->queue_eventfd(toy.host, 1) >= 0);
	CHECK(toy.host_ops->queue_eventfd(toy.host, 1) != fd);
	cw(VIRTIO_PCI_COMMON_Q_MSIX, 2, VIRTIO_MSI_NO_VECTOR);
	CHECK_EQ(toy.host_ops->queue_eventfd(toy.host, 1), -1);
	tear_down();
}

static void test_intx(void)
{
	set_up();
	driver_ok();
	toy.host_ops->queue_interrupt(toy.host, 1);
	CHECK(fake_vm.line[17]);
	virtio_dev_config_changed(&toy);
	CHECK_EQ(bus_read(mmio, isr, 1), 3);
	CHECK(!fake_vm.line[17]);
	CHECK_EQ(bus_read(mmio, isr, 1), 0);
	toy.host_ops->queue_interrupt(toy.host, 0);
	CHECK(fake_vm.line[17]);
	cw(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	CHECK(!fake_vm.line[17]);
	CHECK_EQ(bus_read(mmio, isr, 1), 0);
	tear_down();
}

static void test_device_config(void)
{
	set_up();
	memcpy(toy_config, "\1\2\3\4\5\6\7\10", 8);
	CHECK_EQ(bus_read(mmio, device, 8), 0x0807060504030201ULL);
	CHECK_EQ(bus_read(mmio, device + 6, 2), 0x0807);
	CHECK_EQ(bus_read(mmio, device + 6, 4), 0x0807);	/* what is past it is zero */
	CHECK_EQ(bus_read(mmio, device + 8, 4), 0);
	CHECK_EQ(bus_read(mmio, device + 0xff8, 8), 0);
	bus_write(mmio, device + 2, 2, 0xaabb);
	CHECK_EQ(bus_read(mmio, device, 4), 0xaabb0201);
	bus_write(mmio, device + 6, 4, 0);			/* would go past the end */
	bus_write(mmio, device + 8, 1, 0);
	CHECK_EQ(bus_read(mmio, device + 4, 4), 0x08070605);
	tear_down();
}

/* A firmware without access to BARs goes through configuration space. */
static void test_config_access(void)
{
	set_up();
	cfg_write(pci_cfg + 8, 4, (uint32_t)(common - BAR0) + VIRTIO_PCI_COMMON_STATUS);
	cfg_write(pci_cfg + 12, 4, 1);
	cfg_write(pci_cfg + 16, 1, 3);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_STATUS, 1), 3);
	CHECK_EQ(cfg_read(pci_cfg + 16, 1), 3);
	cfg_write(pci_cfg + 8, 4, (uint32_t)(common - BAR0) + VIRTIO_PCI_COMMON_NUMQ);
	cfg_write(pci_cfg + 12, 4, 2);
	CHECK_EQ(cfg_read(pci_cfg + 16, 2), QUEUES);
	/* Windows that are nowhere: nothing happens. */
	cfg_write(pci_cfg + 8, 4, 0x8000);
	CHECK_EQ(cfg_read(pci_cfg + 16, 2), QUEUES);
	cfg_write(pci_cfg + 16, 4, 0xffffffff);
	cfg_write(pci_cfg + 8, 4, 0xfffffffe);
	cfg_write(pci_cfg + 16, 4, 0);
	cfg_write(pci_cfg + 8, 4, 0x7fff);
	cfg_write(pci_cfg + 16, 4, 0);
	cfg_write(pci_cfg + 8, 4, 0);
	cfg_write(pci_cfg + 12, 4, 3);
	cfg_write(pci_cfg + 16, 4, 0);
	cfg_write(pci_cfg + 12, 4, 0);
	cfg_write(pci_cfg + 16, 4, 0);
	cfg_write(pci_cfg + 12, 4, 4);
	cfg_write(pci_cfg + 4, 1, 1);		/* another BAR */
	cfg_write(pci_cfg + 16, 4, 7);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_DFSELECT, 4), 0);
	cfg_write(pci_cfg + 4, 1, 0);
	cfg_write(pci_cfg + 16, 4, 7);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_DFSELECT, 4), 7);
	tear_down();
}

static void test_state(void)
{
	struct hv_state_writer w;
	struct hv_state_reader r;
	struct hv_err err;

	set_up();
	enable_msix();
	msix_set(1, 0x51);
	negotiate();
	set_queue(1);
	cw(VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	cw(VIRTIO_PCI_COMMON_STATUS, 1, 0xf);
	toy.vqs[1].used_idx = 9;
	virtio_dev_pause(&toy);
	hv_state_writer_init(&w);
	pci_host_save(host, &w);
	CHECK_EQ(w.error, 0);
	tear_down();

	set_up();
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(pci_host_load(host, &r, &err), 0);
	CHECK(!toy.started);
	virtio_dev_resume(&toy);
	CHECK(toy.started && toy.vqs[1].started && !toy.vqs[0].started);
	CHECK_EQ(toy.vqs[1].used_idx, 9);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_STATUS, 1), 0xf);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_Q_SELECT, 2), 1);
	toy.host_ops->queue_interrupt(toy.host, 1);
	CHECK(fake_route_fired(fake_route_find(MSI_ADDR, 0x51)));
	hv_state_writer_free(&w);
	tear_down();
}

/* A driver that writes anything anywhere in its BAR and its configuration space. */
static void test_random_accesses(void)
{
	srandom(3);
	set_up();
	for (unsigned int i = 0; i < 300000; i++) {
		unsigned int size = 1u << random() % 4;
		uint64_t off = random() % 3 ? (uint64_t)random() % 64 :
					      (uint64_t)random() % 0x8000;
		uint64_t v = random() % 3 ? (uint64_t)random() % 16 :
					    (uint64_t)random() << 32 | (uint64_t)random() << 3;

		switch (random() % 4) {
		case 0:
			bus_read(mmio, BAR0 + off, size);
			break;
		case 1:
			/* Leave the window itself where it is. */
			cfg_write(0x40 + off % 0xc0, size > 4 ? 4 : size, (uint32_t)v);
			break;
		default:
			bus_write(mmio, BAR0 + off, size, v);
			break;
		}
	}
	CHECK_EQ(cfg_read(PCI_VENDOR_ID, 4), (0x1040u + 42) << 16 | 0x1af4);
	cw(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	CHECK_EQ(cr(VIRTIO_PCI_COMMON_STATUS, 1), 0);
	driver_ok();
	tear_down();
}

int main(void)
{
	TEST_RUN(test_identity);
	TEST_RUN(test_features);
	TEST_RUN(test_queue_registers);
	TEST_RUN(test_bad_queue_size);
	TEST_RUN(test_wrong_widths);
	TEST_RUN(test_life_cycle);
	TEST_RUN(test_bus_master);
	TEST_RUN(test_doorbells);
	TEST_RUN(test_msix);
	TEST_RUN(test_queue_eventfd);
	TEST_RUN(test_intx);
	TEST_RUN(test_device_config);
	TEST_RUN(test_config_access);
	TEST_RUN(test_state);
	TEST_RUN(test_random_accesses);
	return TEST_EXIT();
}
