// SPDX-License-Identifier: GPL-2.0-or-later
/* The network device: packets both ways, filters, control commands, limits, state. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../virtio-backends/limit.h"
#include "net_toy.h"
#include "unit_log.h"
#include "unit_test.h"
#include "virtio_driver.h"

#define QSIZE	16
#define HDR	((uint32_t)sizeof(struct net_header))
#define DATA	DRV_BUFFERS
#define CTRL	(DRV_BUFFERS + 0x20000)
#define ACK	(DRV_BUFFERS + 0x21000)

enum { RX, TX };

static const uint8_t mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };
static struct virtio_net_config cfg;
static struct virtio_dev *dev;
static struct drv drv;
static unsigned int ctrl;	/* index of the control queue */

static void create(unsigned int pairs)
{
	struct hv_err err = { 0 };

	cfg.id = "net0";
	memcpy(cfg.mac, mac, sizeof(mac));
	cfg.pairs = pairs;
	cfg.queue_size = QSIZE;
	cfg.create_port = toy_port_create;
	CHECK_EQ(virtio_net_create(&cfg, &dev, &err), 0);
	drv_init(&drv, dev);
	test_catch_log();
}

static void start(uint64_t features)
{
	bool mq = features & dev->host_features & 1ULL << VIRTIO_NET_F_MQ;

	ctrl = mq ? dev->nr_queues - 1 : 2;
	drv_start(&drv, features & dev->host_features, ctrl + 1, QSIZE);
}

static void set_up(unsigned int pairs, uint64_t features)
{
	cfg = (struct virtio_net_config){ 0 };
	create(pairs);
	start(features);
}

static void tear_down(void)
{
	virtio_dev_destroy(dev);
	drv_fini(&drv);
}

struct stat_find {
	const char *name;
	uint64_t value;
};

static void find_stat(void *opaque, const char *name, uint64_t value)
{
	struct stat_find *f = opaque;

	if (!strcmp(name, f->name))
		f->value = value;
}

static uint64_t stat_of(const char *name)
{
	struct stat_find f = { name, ~0ULL };

	virtio_dev_stats(dev, find_stat, &f);
	return f.value;
}

/* ---- From the guest ---- */

static void send_parts(unsigned int q, const struct drv_buf *b, unsigned int n)
{
	drv_avail(&drv, q, drv_chain(&drv, q, b, n));
	drv_kick(&drv, q);
}

static void send_packet(unsigned int q, uint32_t frame)
{
	const struct drv_buf b[] = {{ DATA, HDR + frame, false }};

	send_parts(q, b, 1);
}

static void test_transmit(void)
{
	const struct drv_buf parts[] = {
		{ DATA, 5, false }, { DATA + 5, 20, false }, { DATA + 25, 87, false },
	};
	uint8_t got[2000], *p;

	set_up(1, ~0ULL);
	p = drv_ptr(&drv, DATA);
	for (unsigned int i = 0; i < 2000; i++)
		p[i] = (uint8_t)i;
	send_packet(TX, 1000);
	CHECK_EQ(toy_take(0, got, sizeof(got)), HDR + 1000);
	CHECK(!memcmp(got, p, HDR + 1000));
	CHECK(drv_wait_used(&drv, TX, NULL, NULL));
	send_parts(TX, parts, 3);
	CHECK_EQ(toy_take(0, got, sizeof(got)), 112);
	CHECK(!memcmp(got, p, 112));
	CHECK(drv_wait_used(&drv, TX, NULL, NULL));
	CHECK_EQ(stat_of("tx_packets"), 2);
	CHECK_EQ(stat_of("tx_bytes"), 1100);
	tear_down();
}

/* What cannot be a packet is lost, and nothing else is. */
static void test_transmit_nonsense(void)
{
	const struct drv_buf in = { DATA, 100, true };
	uint8_t got[100];

	set_up(1, ~0ULL);
	send_packet(TX, 13);
	send_packet(TX, 0);
	send_parts(TX, &in, 1);
	send_packet(TX, NET_MAX_PACKET);
	for (unsigned int i = 0; i < 4; i++)
		CHECK(drv_wait_used(&drv, TX, NULL, NULL));
	CHECK_EQ(stat_of("tx_dropped"), 4);
	send_packet(TX, 14);
	CHECK_EQ(toy_take(0, got, sizeof(got)), HDR + 14);
	CHECK(!virtio_dev_is_broken(dev));
	tear_down();
}

static void test_transmit_host_full(void)
{
	uint8_t got[100];

	set_up(1, ~0ULL);
	toy_set_full(0, true);
	send_packet(TX, 50);
	send_packet(TX, 60);
	usleep(50000);
	CHECK(!drv_used(&drv, TX, NULL, NULL));
	/* A device that stops meanwhile must send it later, once. */
	virtio_dev_pause(dev);
	virtio_dev_resume(dev);
	usleep(20000);
	CHECK(toy_empty(0));
	toy_set_full(0, false);
	CHECK_EQ(toy_take(0, got, sizeof(got)), HDR + 50);
	CHECK_EQ(toy_take(0, got, sizeof(got)), HDR + 60);
	CHECK(drv_wait_used(&drv, TX, NULL, NULL));
	CHECK(drv_wait_used(&drv, TX, NULL, NULL));
	CHECK(toy_empty(0));
	tear_down();
}

/* ---- To the guest ---- */

static uint8_t packet[NET_MAX_PACKET];

/* A frame to @to, with a pattern; returns the packet's length. */
static size_t make_packet(const uint8_t to[6], size_t frame)
{
	for (size_t i = 0; i < sizeof(packet); i++)
		packet[i] = (uint8_t)(i * 7);
	memset(packet, 0, HDR);
	memcpy(packet + HDR, to, 6);
	packet[HDR + 12] = 8;	/* IPv4 */
	packet[HDR + 13] = 0;
	return HDR + frame;
}

static void give_buffers(unsigned int q, unsigned int n, uint32_t len)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct drv_buf b = { DATA + i * len, len, true };

		drv_avail(&drv, q, drv_chain(&drv, q, &b, 1));
	}
	drv_kick(&drv, q);
}

static void test_receive(void)
{
	size_t len = make_packet(mac, 100);
	struct net_header *h;
	uint32_t used;

	set_up(1, ~0ULL);
	toy_give(0, packet, len);	/* before there are buffers */
	usleep(10000);
	give_buffers(RX, 2, 2048);
	CHECK(drv_wait_used(&drv, RX, NULL, &used));
	CHECK_EQ(used, len);
	h = drv_ptr(&drv, DATA);
	CHECK_EQ(h->num_buffers, 1);
	CHECK(!memcmp((uint8_t *)h + HDR, packet + HDR, 100));
	toy_give(0, packet, len);
	CHECK(drv_wait_used(&drv, RX, NULL, &used));
	CHECK_EQ(stat_of("rx_packets"), 2);
	CHECK_EQ(stat_of("rx_bytes"), 200);
	CHECK(atomic_load(&drv.interrupts[RX]) >= 1);
	tear_down();
}

static void test_receive_merged(void)
{
	size_t len = make_packet(mac, 5000), at = 0;
	struct net_header *h;
	uint32_t used;

	set_up(1, ~0ULL);
	give_buffers(RX, 8, 1000);
	toy_give(0, packet, len);
	for (unsigned int i = 0; i < 6; i++) {
		CHECK(drv_wait_used(&drv, RX, NULL, &used));
		CHECK_EQ(used, i < 5 ? 1000 : 12);
		CHECK(!memcmp((uint8_t *)drv_ptr(&drv, DATA + i * 1000) + (i ? 0 : HDR),
			      packet + at + (i ? 0 : HDR), used - (i ? 0 : HDR)));
		at += used;
	}
	CHECK_EQ(at, len);
	h = drv_ptr(&drv, DATA);
	CHECK_EQ(h->num_buffers, 6);
	/* Two are left: too few for the next one, which is lost, and enough for a small one. */
	toy_give(0, packet, len);
	toy_give(0, packet, HDR + 60);
	CHECK(drv_wait_used(&drv, RX, NULL, &used));
	CHECK_EQ(used, HDR + 60);
	CHECK_EQ(stat_of("rx_dropped"), 1);
	tear_down();
}

static void test_receive_unmerged(void)
{
	uint32_t used;

	set_up(1, ~(1ULL << VIRTIO_NET_F_MRG_RXBUF));
	give_buffers(RX, 4, 1000);
	toy_give(0, packet, make_packet(mac, 1000));
	toy_give(0, packet, make_packet(mac, 1000 - HDR));
	CHECK(drv_wait_used(&drv, RX, NULL, &used));
	CHECK_EQ(used, 1000);
	CHECK_EQ(stat_of("rx_dropped"), 1);
	tear_down();
}

static void test_receive_bad_buffer(void)
{
	set_up(1, ~0ULL);
	give_buffers(RX, 1, HDR - 1);
	WAIT_FOR(virtio_dev_is_broken(dev));
	CHECK(test_log_has("receive buffer"));
	tear_down();
}

/* ---- Control ---- */

/* Returns the acknowledgement; 0xee: none came. */
static uint8_t command_raw(const void *data, uint32_t len)
{
	const struct drv_buf b[] = {{ CTRL, len, false }, { ACK, 1, true }};
	uint8_t *ack = drv_ptr(&drv, ACK);

	memcpy(drv_ptr(&drv, CTRL), data, len);
	*ack = 0xee;
	drv_avail(&drv, ctrl, drv_chain(&drv, ctrl, b, 2));
	drv_kick(&drv, ctrl);
	CHECK(drv_wait_used(&drv, ctrl, NULL, NULL));
	return *ack;
}

static uint8_t command(uint8_t class, uint8_t cmd, const void *data, uint32_t len)
{
	uint8_t buf[2000] = { class, cmd };

	if (len)
		memcpy(buf + 2, data, len);
	return command_raw(buf, len + 2);
}

static uint8_t set_mode(uint8_t mode, uint8_t on)
{
	return command(VIRTIO_NET_CTRL_RX, mode, &on, 1);
}

/* Does the device let a frame to @to through? A frame to @mac, of another length, follows it. */
static bool passes(const uint8_t to[6], unsigned int vlan)
{
	uint64_t before = stat_of("rx_filtered");
	size_t len = make_packet(to, 64);
	uint32_t used = 0;

	if (vlan) {
		packet[HDR + 12] = 0x81;
		packet[HDR + 14] = (uint8_t)(vlan >> 8);
		packet[HDR + 15] = (uint8_t)vlan;
	}
	give_buffers(RX, 1, 2048);
	toy_give(0, packet, len);
	for (unsigned int i = 0; i < 50000 && stat_of("rx_filtered") == before; i++) {
		if (drv_used(&drv, RX, NULL, &used))
			return true;
		usleep(100);
	}
	/* Take the buffer that is left. */
	set_mode(RX_PROMISC, 1);
	toy_give(0, packet, make_packet(mac, 100));
	CHECK(drv_wait_used(&drv, RX, NULL, &used));
	CHECK_EQ(used, HDR + 100);
	set_mode(RX_PROMISC, 0);
	return false;
}

static const uint8_t other[6] = { 0x52, 0x54, 0, 9, 9, 9 };
static const uint8_t group[6] = { 0x01, 0x00, 0x5e, 0, 0, 1 };
static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static void test_filter_modes(void)
{
	set_up(1, ~(1ULL << VIRTIO_NET_F_CTRL_VLAN));
	CHECK(passes(other, 0) && passes(group, 0) && passes(all, 0));
	CHECK_EQ(set_mode(RX_PROMISC, 0), VIRTIO_NET_OK);
	CHECK(passes(mac, 0) && passes(all, 0) && !passes(other, 0) && !passes(group, 0));
	CHECK_EQ(set_mode(RX_ALLMULTI, 1), VIRTIO_NET_OK);
	CHECK(passes(group, 0) && !passes(other, 0));
	CHECK_EQ(set_mode(RX_NOMULTI, 1), VIRTIO_NET_OK);
	CHECK(!passes(group, 0) && passes(all, 0));
	CHECK_EQ(set_mode(RX_NOBCAST, 1), VIRTIO_NET_OK);
	CHECK(!passes(all, 0));
	CHECK_EQ(set_mode(RX_ALLUNI, 1), VIRTIO_NET_OK);
	CHECK(passes(other, 0));
	CHECK_EQ(set_mode(RX_NOUNI, 1), VIRTIO_NET_OK);
	CHECK(!passes(other, 0) && !passes(mac, 0));
	/* VLANs are not looked at if the driver did not ask for it. */
	CHECK_EQ(set_mode(RX_NOUNI, 0), VIRTIO_NET_OK);
	CHECK(passes(mac, 5));
	tear_down();
}

static uint8_t set_macs(uint32_t nr_uni, const uint8_t *uni, uint32_t nr_multi,
			const uint8_t *multi, uint32_t cut)
{
	uint8_t buf[1900];
	uint32_t len = 0;

	memcpy(buf, &nr_uni, 4);
	len += 4;
	for (uint32_t i = 0; i < nr_uni; i++, len += 6)
		memcpy(buf + len, uni, 6);
	memcpy(buf + len, &nr_multi, 4);
	len += 4;
	for (uint32_t i = 0; i < nr_multi; i++, len += 6)
		memcpy(buf + len, multi, 6);
	return command(VIRTIO_NET_CTRL_MAC, MAC_TABLE_SET, buf, len - cut);
}

static void test_filter_addresses(void)
{
	static const uint8_t multi_claim[12] = { 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff };
	uint8_t config[6];
	uint16_t vlan = 5, bad = 4096;

	set_up(1, ~0ULL);
	set_mode(RX_PROMISC, 0);
	CHECK_EQ(set_macs(1, other, 1, group, 0), VIRTIO_NET_OK);
	CHECK(passes(other, 0) && passes(group, 0) && passes(mac, 0));
	CHECK_EQ(set_macs(0, NULL, 0, NULL, 0), VIRTIO_NET_OK);
	CHECK(!passes(other, 0) && !passes(group, 0));
	/* More than the table holds: everything of that kind. */
	CHECK_EQ(set_macs(65, mac, 100, mac, 0), VIRTIO_NET_OK);
	CHECK(passes(other, 0) && passes(group, 0));
	/* Tables that are not there. */
	CHECK_EQ(set_macs(1, other, 1, group, 1), VIRTIO_NET_ERR);
	CHECK_EQ(set_macs(65, other, 0, group, 9), VIRTIO_NET_ERR);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, MAC_TABLE_SET, multi_claim, 12), VIRTIO_NET_ERR);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, MAC_TABLE_SET, NULL, 0), VIRTIO_NET_ERR);
	CHECK(passes(other, 0));
	CHECK_EQ(set_macs(0, NULL, 0, NULL, 0), VIRTIO_NET_OK);

	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, MAC_ADDR_SET, other, 6), VIRTIO_NET_OK);
	virtio_dev_config_read(dev, 0, config, 6);
	CHECK(!memcmp(config, other, 6));
	CHECK(passes(other, 0) && !passes(mac, 0));
	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, MAC_ADDR_SET, other, 5), VIRTIO_NET_ERR);

	CHECK(!passes(other, 5));
	CHECK_EQ(command(VIRTIO_NET_CTRL_VLAN, VLAN_ADD, &vlan, 2), VIRTIO_NET_OK);
	CHECK(passes(other, 5) && !passes(other, 6));
	CHECK_EQ(command(VIRTIO_NET_CTRL_VLAN, VLAN_DEL, &vlan, 2), VIRTIO_NET_OK);
	CHECK(!passes(other, 5));
	CHECK_EQ(command(VIRTIO_NET_CTRL_VLAN, VLAN_ADD, &bad, 2), VIRTIO_NET_ERR);

	start(~0ULL);	/* a reset forgets it all */
	virtio_dev_config_read(dev, 0, config, 6);
	CHECK(!memcmp(config, mac, 6));
	tear_down();
}

static void test_bad_commands(void)
{
	static const uint8_t zero[8];

	set_up(1, ~(1ULL << VIRTIO_NET_F_CTRL_RX_EXTRA));
	CHECK_EQ(command(6, 0, zero, 1), VIRTIO_NET_ERR);
	CHECK_EQ(command(255, 255, zero, 0), VIRTIO_NET_ERR);
	CHECK_EQ(set_mode(RX_NR_MODES, 1), VIRTIO_NET_ERR);
	CHECK_EQ(set_mode(RX_NOBCAST, 1), VIRTIO_NET_ERR);	/* not negotiated */
	CHECK_EQ(command(VIRTIO_NET_CTRL_RX, RX_PROMISC, zero, 0), VIRTIO_NET_ERR);
	CHECK_EQ(command(VIRTIO_NET_CTRL_RX, RX_PROMISC, zero, 2), VIRTIO_NET_ERR);
	CHECK_EQ(command(VIRTIO_NET_CTRL_VLAN, 2, zero, 2), VIRTIO_NET_ERR);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MQ, MQ_VQ_PAIRS_SET, zero, 2), VIRTIO_NET_ERR);
	CHECK_EQ(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, zero, 8), VIRTIO_NET_ERR);
	CHECK_EQ(command(VIRTIO_NET_CTRL_ANNOUNCE, 1, zero, 0), VIRTIO_NET_ERR);
	CHECK(!virtio_dev_is_broken(dev));
	tear_down();
}

static void test_command_without_answer(void)
{
	const struct drv_buf b = { CTRL, 3, false };

	set_up(1, ~0ULL);
	drv_avail(&drv, ctrl, drv_chain(&drv, ctrl, &b, 1));
	drv_kick(&drv, ctrl);
	WAIT_FOR(virtio_dev_is_broken(dev));
	CHECK(test_log_has("control command"));
	tear_down();
}

static void test_queues(void)
{
	uint16_t pairs = 2, none = 0, three = 3, config;
	uint8_t got[200];
	uint32_t used;

	set_up(2, ~0ULL);
	virtio_dev_config_read(dev, 8, &config, 2);
	CHECK_EQ(config, 2);
	CHECK(toy_port[0].enabled && !toy_port[1].enabled);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MQ, MQ_VQ_PAIRS_SET, &none, 2), VIRTIO_NET_ERR);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MQ, MQ_VQ_PAIRS_SET, &three, 2), VIRTIO_NET_ERR);
	give_buffers(2, 2, 2048);
	toy_give(1, packet, make_packet(mac, 70));
	usleep(20000);
	CHECK(!drv_used(&drv, 2, NULL, NULL));
	CHECK_EQ(command(VIRTIO_NET_CTRL_MQ, MQ_VQ_PAIRS_SET, &pairs, 2), VIRTIO_NET_OK);
	CHECK(toy_port[1].enabled);
	CHECK(drv_wait_used(&drv, 2, NULL, &used));
	CHECK_EQ(used, HDR + 70);
	send_packet(3, 50);
	CHECK_EQ(toy_take(1, got, sizeof(got)), HDR + 50);
	/* What the host refuses is taken back. */
	toy_port[1].refuse = true;
	pairs = 1;
	CHECK_EQ(command(VIRTIO_NET_CTRL_MQ, MQ_VQ_PAIRS_SET, &pairs, 2), VIRTIO_NET_ERR);
	toy_port[1].refuse = false;
	/* Without MQ, queue 2 is the control queue. */
	start(~(1ULL << VIRTIO_NET_F_MQ));
	CHECK_EQ(set_mode(RX_PROMISC, 1), VIRTIO_NET_OK);
	CHECK(!toy_port[1].enabled);
	tear_down();
}

static void test_offloads(void)
{
	uint64_t some = 1ULL << VIRTIO_NET_F_GUEST_CSUM;
	uint64_t bad = 1ULL << VIRTIO_NET_F_MAC;

	cfg = (struct virtio_net_config){ .features = VIRTIO_NET_GUEST_OFFLOADS };
	create(1);
	start(~(1ULL << VIRTIO_NET_F_GUEST_ECN));
	CHECK_EQ(toy_port[0].offloads,
		 VIRTIO_NET_GUEST_OFFLOADS & ~(1ULL << VIRTIO_NET_F_GUEST_ECN));
	CHECK_EQ(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &some, 8), VIRTIO_NET_OK);
	CHECK_EQ(toy_port[0].offloads, some);
	CHECK_EQ(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &bad, 8), VIRTIO_NET_ERR);
	bad = 1ULL << VIRTIO_NET_F_GUEST_ECN;
	CHECK_EQ(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &bad, 8), VIRTIO_NET_ERR);
	virtio_dev_pause(dev);
	virtio_dev_resume(dev);
	CHECK_EQ(toy_port[0].offloads, some);
	start(0);
	CHECK_EQ(toy_port[0].offloads, 0);
	tear_down();
}

static void test_link(void)
{
	uint16_t status;

	set_up(1, ~0ULL);
	virtio_dev_config_read(dev, 6, &status, 2);
	CHECK_EQ(status, VIRTIO_NET_S_LINK_UP);
	toy_port[0].port.link(toy_port[0].port.opaque, false);
	virtio_dev_config_read(dev, 6, &status, 2);
	CHECK_EQ(status, 0);
	CHECK_EQ(atomic_load(&drv.config_interrupts), 1);
	tear_down();
}

/* ---- Limits ---- */

static void test_bucket(void)
{
	struct hv_limit l;
	uint64_t now = 1000000000, when;

	hv_limit_init(&l, 0, 0);
	CHECK_EQ(hv_limit_wait(&l, now), 0);
	hv_limit_fini(&l);

	hv_limit_init(&l, 100, 1000000);
	/* A tenth of a second's worth at once, and one that is larger than what is left. */
	CHECK_EQ(hv_limit_wait(&l, now), 0);
	hv_limit_charge(&l, 1, 600000);
	when = hv_limit_wait(&l, now);
	CHECK(when > now + 499000000 && when < now + 501000000);
	CHECK(hv_limit_wait(&l, when - 1000000) >= when - 10);
	CHECK_EQ(hv_limit_wait(&l, when), 0);
	/* The other bucket. */
	now = when + 10000000000;
	CHECK_EQ(hv_limit_wait(&l, now), 0);
	hv_limit_charge(&l, 10, 1);
	when = hv_limit_wait(&l, now);
	CHECK(when > now + 9000000 && when <= now + 10000001);
	/* A clock that seems to go back. */
	CHECK(hv_limit_wait(&l, now - 5000) > 0);
	hv_limit_fini(&l);

	hv_limit_init(&l, HV_LIMIT_MAX * 4, ~0ULL);
	CHECK_EQ(hv_limit_wait(&l, now), 0);
	hv_limit_charge(&l, ~0ULL, ~0ULL);
	CHECK(hv_limit_wait(&l, now) > now);
	CHECK_EQ(hv_limit_wait(&l, now + 2000000000), 0);
	hv_limit_fini(&l);
}

static void test_limit(void)
{
	uint64_t begin = hv_loop_now_ns();
	uint8_t got[2000];

	/* 10000 bytes a second, of which 1000 at once. */
	cfg = (struct virtio_net_config){ .limit_bytes = 10000 };
	create(1);
	start(~0ULL);
	for (unsigned int i = 0; i < 3; i++)
		send_packet(TX, 1500);
	for (unsigned int i = 0; i < 3; i++)
		CHECK_EQ(toy_take(0, got, sizeof(got)), HDR + 1500);
	CHECK(hv_loop_now_ns() - begin > 190000000);
	begin = hv_loop_now_ns();
	give_buffers(RX, 3, 2048);
	for (unsigned int i = 0; i < 3; i++)
		toy_give(0, packet, make_packet(mac, 1500));
	for (unsigned int i = 0; i < 3; i++)
		CHECK(drv_wait_used(&drv, RX, NULL, NULL));
	CHECK(hv_loop_now_ns() - begin > 190000000);
	tear_down();
}

/* ---- State ---- */

static void test_state(void)
{
	struct hv_state_writer w;
	struct hv_state_reader r;
	struct hv_err err = { 0 };
	uint16_t pairs = 2, status, vlan = 7;

	set_up(2, ~0ULL);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MQ, MQ_VQ_PAIRS_SET, &pairs, 2), VIRTIO_NET_OK);
	set_mode(RX_PROMISC, 0);
	set_macs(1, other, 0, NULL, 0);
	command(VIRTIO_NET_CTRL_VLAN, VLAN_ADD, &vlan, 2);
	give_buffers(RX, 1, 2048);
	usleep(10000);
	virtio_dev_pause(dev);
	hv_state_writer_init(&w);
	virtio_dev_save(dev, &w);
	CHECK_EQ(w.error, 0);
	virtio_dev_destroy(dev);

	CHECK_EQ(virtio_net_create(&cfg, &dev, &err), 0);
	drv_attach(&drv, dev);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(virtio_dev_load(dev, &r, &err), 0);
	atomic_store(&drv.config_interrupts, 0);
	virtio_dev_resume(dev);
	CHECK(toy_port[1].enabled);
	virtio_dev_config_read(dev, 6, &status, 2);
	CHECK_EQ(status, VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	CHECK_EQ(atomic_load(&drv.config_interrupts), 1);
	CHECK_EQ(command(VIRTIO_NET_CTRL_ANNOUNCE, ANNOUNCE_ACK, NULL, 0), VIRTIO_NET_OK);
	virtio_dev_config_read(dev, 6, &status, 2);
	CHECK_EQ(status, VIRTIO_NET_S_LINK_UP);
	/* The buffer from before, then the filters. */
	toy_give(0, packet, make_packet(other, 90));
	CHECK(drv_wait_used(&drv, RX, NULL, NULL));
	CHECK(passes(other, 7) && !passes(other, 8) && !passes(group, 0));
	tear_down();
	hv_state_writer_free(&w);
}

static void test_state_bad(void)
{
	struct hv_state_writer w;
	struct hv_state_reader r;
	struct hv_err err = { 0 };
	uint16_t pairs = 2;

	set_up(2, ~0ULL);
	command(VIRTIO_NET_CTRL_MQ, MQ_VQ_PAIRS_SET, &pairs, 2);
	virtio_dev_pause(dev);
	hv_state_writer_init(&w);
	virtio_dev_save(dev, &w);
	tear_down();
	set_up(1, 0);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK(virtio_dev_load(dev, &r, &err) < 0);
	CHECK(strstr(err.msg, "net0"));
	tear_down();
	hv_state_writer_free(&w);
}

int main(void)
{
	TEST_RUN(test_transmit);
	TEST_RUN(test_transmit_nonsense);
	TEST_RUN(test_transmit_host_full);
	TEST_RUN(test_receive);
	TEST_RUN(test_receive_merged);
	TEST_RUN(test_receive_unmerged);
	TEST_RUN(test_receive_bad_buffer);
	TEST_RUN(test_filter_modes);
	TEST_RUN(test_filter_addresses);
	TEST_RUN(test_bad_commands);
	TEST_RUN(test_command_without_answer);
	TEST_RUN(test_queues);
	TEST_RUN(test_offloads);
	TEST_RUN(test_link);
	TEST_RUN(test_bucket);
	TEST_RUN(test_limit);
	TEST_RUN(test_state);
	TEST_RUN(test_state_bad);
	return TEST_EXIT();
}
