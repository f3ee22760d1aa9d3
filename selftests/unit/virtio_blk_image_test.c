// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The virtio block device over the real block layer: random requests on several queues at a time
 * against a raw file and a qcow2 overlay, compared with a copy of the disk in memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../virtio-backends/blk.h"
#include "../../virtio-backends/blk_defs.h"
#include "unit_log.h"
#include "unit_test.h"
#include "virtio_driver.h"

#define SECTORS		8192u
#define QUEUES		3
#define SLOTS		8	/* requests at a time and queue */
#define MAX_SECTORS	40u
#define ROUNDS		150u

#define HDR(q, i)	(DRV_BUFFERS + 0x1000 * (q) + 0x40 * (i))
#define STATUS(q, i)	(HDR(q, i) + 0x30)
#define DATA(q, i)	(0x60000ULL + ((q) * SLOTS + (i)) * 0x5000ULL)

static uint8_t *model;
static struct drv drv;
static struct virtio_dev *dev;
static char dir[] = "/tmp/virtio_blk_image_test.XXXXXX";

static void run(const char *fmt, const char *a, const char *b)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), fmt, a, b);
	CHECK_EQ(system(cmd), 0);
}

/* Each queue works on its own part of the disk, so that the order between queues is no matter. */
struct op {
	uint32_t type;
	uint64_t sector;
	uint32_t sectors;
	uint8_t value;
};

static bool overlaps(const struct op *ops, unsigned int n, const struct op *o)
{
	for (unsigned int i = 0; i < n; i++)
		if (o->sector < ops[i].sector + ops[i].sectors &&
		    ops[i].sector < o->sector + o->sectors)
			return true;
	return false;
}

static void pick(unsigned int q, const struct op *ops, unsigned int n, struct op *o)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_IN, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_OUT,
		VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_T_DISCARD,
		VIRTIO_BLK_T_FLUSH,
	};

	do {
		o->type = types[random() % 8];
		o->sectors = o->type == VIRTIO_BLK_T_FLUSH ? 0 : 1 + random() % MAX_SECTORS;
		o->sector = q * (SECTORS / QUEUES) +
			    random() % (SECTORS / QUEUES - MAX_SECTORS);
		o->value = (uint8_t)(1 + random() % 255);
	} while (overlaps(ops, n, o));
}

static void send_op(unsigned int q, unsigned int i, const struct op *o)
{
	struct blk_request_header *h = drv_ptr(&drv, HDR(q, i));
	struct drv_buf b[4] = { { HDR(q, i), sizeof(*h), false } };
	uint32_t len = o->sectors * 512, cut = len / 3;
	struct blk_segment *s;
	unsigned int n = 1;

	*h = (struct blk_request_header){ .type = o->type, .sector = o->sector };
	*(uint8_t *)drv_ptr(&drv, STATUS(q, i)) = 0xee;
	if (o->type == VIRTIO_BLK_T_IN || o->type == VIRTIO_BLK_T_OUT) {
		bool in = o->type == VIRTIO_BLK_T_IN;

		memset(drv_ptr(&drv, DATA(q, i)), in ? 0xcc : o->value, len);
		b[n++] = (struct drv_buf){ DATA(q, i), cut, in };
		b[n++] = (struct drv_buf){ DATA(q, i) + cut, len - cut, in };
	} else if (o->type != VIRTIO_BLK_T_FLUSH) {
		h->sector = 0;
		s = drv_ptr(&drv, DATA(q, i));
		*s = (struct blk_segment){ o->sector, o->sectors,
			o->type == VIRTIO_BLK_T_WRITE_ZEROES ? o->value & 1 : 0 };
		b[n++] = (struct drv_buf){ DATA(q, i), sizeof(*s), false };
	}
	b[n++] = (struct drv_buf){ STATUS(q, i), 1, true };
	drv_avail(&drv, q, drv_chain(&drv, q, b, n));
}

/* What was discarded may hold anything from now on: ask the disk what. */
static void adopt(unsigned int q, const struct op *o)
{
	const struct op again = { VIRTIO_BLK_T_IN, o->sector, o->sectors, 0 };

	send_op(q, 0, &again);
	drv_kick(&drv, q);
	CHECK(drv_wait_used(&drv, q, NULL, NULL));
	memcpy(model + o->sector * 512, drv_ptr(&drv, DATA(q, 0)), o->sectors * 512);
}

static void check_op(unsigned int q, unsigned int i, const struct op *o)
{
	CHECK_EQ(*(uint8_t *)drv_ptr(&drv, STATUS(q, i)), 0);
	switch (o->type) {
	case VIRTIO_BLK_T_IN:
		CHECK(!memcmp(drv_ptr(&drv, DATA(q, i)), model + o->sector * 512,
			      o->sectors * 512));
		break;
	case VIRTIO_BLK_T_OUT:
		memset(model + o->sector * 512, o->value, o->sectors * 512);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		memset(model + o->sector * 512, 0, o->sectors * 512);
		break;
	}
}

static void round_of_requests(void)
{
	struct op ops[QUEUES][SLOTS];

	for (unsigned int q = 0; q < QUEUES; q++) {
		for (unsigned int i = 0; i < SLOTS; i++) {
			pick(q, ops[q], i, &ops[q][i]);
			send_op(q, i, &ops[q][i]);
		}
		drv_kick(&drv, q);
	}
	for (unsigned int q = 0; q < QUEUES; q++) {
		for (unsigned int i = 0; i < SLOTS; i++)
			CHECK(drv_wait_used(&drv, q, NULL, NULL));
		for (unsigned int i = 0; i < SLOTS; i++)
			check_op(q, i, &ops[q][i]);
		for (unsigned int i = 0; i < SLOTS; i++)
			if (ops[q][i].type == VIRTIO_BLK_T_DISCARD)
				adopt(q, &ops[q][i]);
	}
}

static void exercise(const char *file, enum blk_format format)
{
	struct blk_open_opts opts = { .filename = file, .format = format };
	struct virtio_blk_config cfg = { .queues = QUEUES, .queue_size = 64, .id = "blk0" };
	struct hv_err err = { 0 };
	struct op all;
	int ret;

	ret = blk_open(&opts, &cfg.img, &err);
	if (ret)
		printf("# %s\n", err.msg);
	CHECK_EQ(ret, 0);
	if (ret)
		return;
	CHECK_EQ(virtio_blk_create(&cfg, &dev, &err), 0);
	drv_init(&drv, dev);
	test_catch_log();
	drv_start(&drv, dev->host_features, QUEUES, 64);
	for (unsigned int i = 0; i < ROUNDS && !test_failures; i++) {
		round_of_requests();
		/* A reset and a pause now and then: nothing is lost by either. */
		if (i % 50 == 49)
			drv_start(&drv, dev->host_features, QUEUES, 64);
		else if (i % 20 == 19) {
			virtio_dev_pause(dev);
			virtio_dev_resume(dev);
		}
	}
	for (all.sector = 0; all.sector < SECTORS && !test_failures; all.sector += 32) {
		all.type = VIRTIO_BLK_T_IN;
		all.sectors = 32;
		send_op(0, 0, &all);
		drv_kick(&drv, 0);
		CHECK(drv_wait_used(&drv, 0, NULL, NULL));
		check_op(0, 0, &all);
	}
	CHECK_EQ(test_log_lines, 0);
	virtio_dev_destroy(dev);
	CHECK_EQ(blk_close(cfg.img), 0);
	drv_fini(&drv);
}

static char raw[64], overlay[64];

static void set_up_disk(void)
{
	FILE *f = fopen(raw, "w");

	for (unsigned int i = 0; i < SECTORS * 512; i++)
		model[i] = (uint8_t)(i / 777);
	CHECK(f && fwrite(model, 512, SECTORS, f) == SECTORS);
	if (f)
		fclose(f);
}

static void check_file(const char *format, const char *file)
{
	char copy[80], option[100];
	FILE *f = NULL;

	snprintf(copy, sizeof(copy), "%s/copy", dir);
	snprintf(option, sizeof(option), "%s -O raw %s", format, file);
	run("qemu-img convert -f %s %s", option, copy);
	f = fopen(copy, "r");
	CHECK(f);
	for (unsigned int i = 0; f && i < SECTORS; i++) {
		uint8_t sector[512];

		CHECK_EQ(fread(sector, 512, 1, f), 1);
		if (memcmp(sector, model + i * 512, 512)) {
			printf("# %s differs at sector %u\n", file, i);
			test_failures++;
			break;
		}
	}
	if (f)
		fclose(f);
}

static void test_raw_file(void)
{
	set_up_disk();
	exercise(raw, BLK_FORMAT_RAW);
	check_file("raw", raw);
}

static void test_qcow2_overlay(void)
{
	set_up_disk();
	run("qemu-img create -q -f qcow2 -F raw -b %s %s", raw, overlay);
	exercise(overlay, BLK_FORMAT_QCOW2);
	run("qemu-img check -q -f qcow2 %s%s", overlay, "");
	check_file("qcow2", overlay);
}

/* The driver is told, and finds the new part there. */
static void test_grow(void)
{
	struct blk_open_opts opts = { .filename = overlay, .format = BLK_FORMAT_QCOW2 };
	struct virtio_blk_config cfg = { .queues = QUEUES, .queue_size = 64, .id = "blk0" };
	const struct op write = { VIRTIO_BLK_T_OUT, SECTORS + 100, 8, 7 };
	struct hv_err err = { 0 };
	uint64_t capacity = 0;

	CHECK_EQ(blk_open(&opts, &cfg.img, &err), 0);
	CHECK_EQ(virtio_blk_create(&cfg, &dev, &err), 0);
	drv_init(&drv, dev);
	drv_start(&drv, dev->host_features, QUEUES, 64);
	send_op(0, 0, &write);
	drv_kick(&drv, 0);
	CHECK(drv_wait_used(&drv, 0, NULL, NULL));
	CHECK_EQ(*(uint8_t *)drv_ptr(&drv, STATUS(0, 0)), VIRTIO_BLK_S_IOERR);
	virtio_dev_pause(dev);
	CHECK_EQ(blk_resize(cfg.img, SECTORS * 1024, &err), 0);
	virtio_blk_resized(dev);
	virtio_dev_resume(dev);
	CHECK_EQ(atomic_load(&drv.config_interrupts), 1);
	virtio_dev_config_read(dev, 0, &capacity, sizeof(capacity));
	CHECK_EQ(capacity, SECTORS * 2);
	send_op(0, 0, &write);
	drv_kick(&drv, 0);
	CHECK(drv_wait_used(&drv, 0, NULL, NULL));
	CHECK_EQ(*(uint8_t *)drv_ptr(&drv, STATUS(0, 0)), VIRTIO_BLK_S_OK);
	virtio_dev_destroy(dev);
	CHECK_EQ(blk_close(cfg.img), 0);
	drv_fini(&drv);
	run("qemu-img check -q -f qcow2 %s%s", overlay, "");
	run("qemu-io -f qcow2 -c 'read -P 7 4146k 4k' %s%s >/dev/null", overlay, "");
}

/* Overlays come on top while the driver writes; each image keeps what it held then. */
static void test_external_snapshots(void)
{
	struct blk_open_opts opts = { .filename = raw, .format = BLK_FORMAT_RAW };
	struct virtio_blk_config cfg = { .queues = QUEUES, .queue_size = 64, .id = "blk0" };
	struct hv_err err = { 0 };
	struct blk_image *img;
	char file[2][80];

	set_up_disk();
	CHECK_EQ(blk_open(&opts, &img, &err), 0);
	cfg.img = img;
	CHECK_EQ(virtio_blk_create(&cfg, &dev, &err), 0);
	drv_init(&drv, dev);
	drv_start(&drv, dev->host_features, QUEUES, 64);
	for (unsigned int i = 0; i < 2; i++) {
		for (unsigned int k = 0; k < 20 && !test_failures; k++)
			round_of_requests();
		snprintf(file[i], sizeof(file[i]), "%s/top%u", dir, i);
		virtio_dev_pause(dev);
		CHECK_EQ(blk_snapshot_external(&img, file[i], &err), 0);
		virtio_blk_set_image(dev, img);
		/* It does not overwrite, and nothing changes. */
		CHECK_EQ(blk_snapshot_external(&img, raw, &err), -EEXIST);
		virtio_dev_resume(dev);
		check_file(i ? "qcow2 -U" : "raw -U", i ? file[0] : raw);
	}
	for (unsigned int k = 0; k < 20 && !test_failures; k++)
		round_of_requests();
	virtio_dev_destroy(dev);
	CHECK_EQ(blk_close(img), 0);
	drv_fini(&drv);
	check_file("qcow2", file[1]);
	run("qemu-img check -q -f qcow2 %s && qemu-img check -q -f qcow2 %s", file[0], file[1]);
}

int main(void)
{
	srandom(4);
	model = malloc(SECTORS * 512);
	if (!model || !mkdtemp(dir))
		return 1;
	snprintf(raw, sizeof(raw), "%s/raw", dir);
	snprintf(overlay, sizeof(overlay), "%s/overlay", dir);
	TEST_RUN(test_raw_file);
	TEST_RUN(test_qcow2_overlay);
	TEST_RUN(test_grow);
	TEST_RUN(test_external_snapshots);
	run("rm -r %s%s", dir, "");
	free(model);
	return TEST_EXIT();
}
