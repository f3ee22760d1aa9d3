// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A disk's back end is killed again and again while a driver keeps its queue full: each request is
 * answered once and well, and the disk has what was written, in the end and at each read.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "../../virtio-backends/blk.h"
#include "../../virtio-backends/blk_defs.h"
#include "../../virtio-backends/util/log.h"
#include "../../virtio-backends/vhost_user.h"
#include "../../virtio-backends/vhost_user_backend.h"
#include "../../virtio-backends/vhost_user_msg.h"
#include "unit_log.h"
#include "unit_test.h"
#include "virtio_driver.h"

#define BLOCK	4096u
#define BLOCKS	64u
#define SLOTS	20u	/* requests at a time, of three descriptors each */
#define QUEUE	64u
#define KILLS	30u

#define HDR(i)		(DRV_BUFFERS + 0x40 * (i))
#define STATUS(i)	(DRV_BUFFERS + 0x40 * (i) + 0x20)
#define DATA(i)		(DRV_BUFFERS + 0x2000 + (uint64_t)BLOCK * (i))

static char file[] = "/tmp/hv-kill-test-XXXXXX";
static _Atomic pid_t backend_pid;
static struct virtio_dev *dev;
static struct drv drv;

/* ---- The back end's process ---- */

static struct hv_loop *child_loop;

static void child_ended(void *opaque)
{
	hv_loop_stop(child_loop);
}

static void child_main(int fd)
{
	const struct blk_open_opts opts = { .filename = file, .format = BLK_FORMAT_RAW };
	struct virtio_blk_config blk = { .id = "back", .queue_size = QUEUE };
	struct vhost_user_backend_config cfg = { .fd = fd, .queue_num = 1, .ended = child_ended };
	struct vhost_user_backend *b;
	struct hv_err err;

	close_range(3, (unsigned int)fd - 1, 0);
	close_range((unsigned int)fd + 1, ~0u, 0);
	hv_log_set_sink(NULL);
	if (hv_loop_create(&child_loop) || blk_open(&opts, &blk.img, &err) ||
	    virtio_blk_create(&blk, &cfg.dev, &err))
		_exit(1);
	cfg.loop = child_loop;
	if (vhost_user_backend_create(&cfg, &b, &err) || hv_loop_run(child_loop))
		_exit(1);
	vhost_user_backend_destroy(b);
	virtio_dev_destroy(cfg.dev);
	_exit(blk_close(blk.img) ? 1 : 0);
}

static int spawn(void *opaque, int *sock, struct hv_err *err)
{
	int sv[2];
	pid_t pid;

	if (atomic_load(&backend_pid))
		waitpid(atomic_load(&backend_pid), NULL, 0);
	CHECK_EQ(vhost_user_socketpair(sv), 0);
	pid = fork();
	if (!pid)
		child_main(sv[0]);
	close(sv[0]);
	atomic_store(&backend_pid, pid);
	*sock = sv[1];
	return 0;
}

/* ---- The driver ---- */

static struct slot {
	bool busy, write;
	unsigned int block;
	uint32_t stamp;
} slots[SLOTS];

static uint32_t disk[BLOCKS];		/* what was written last; 0: zeroes */
static bool block_busy[BLOCKS];
static uint32_t stamp;
static unsigned int answers;

static void fill(uint32_t *p, unsigned int block, uint32_t v)
{
	for (unsigned int i = 0; i < BLOCK / 4; i++)
		p[i] = v ? v + i * block : 0;
}

static bool filled(const uint32_t *p, unsigned int block, uint32_t v)
{
	for (unsigned int i = 0; i < BLOCK / 4; i++)
		if (p[i] != (v ? v + i * block : 0))
			return false;
	return true;
}

static void submit(unsigned int i)
{
	struct slot *s = &slots[i];
	struct blk_request_header *h = drv_ptr(&drv, HDR(i));
	const struct drv_buf b[3] = { { HDR(i), sizeof(*h), false },
				      { DATA(i), BLOCK, false }, { STATUS(i), 1, true } };
	struct drv_buf chain[3];

	do {
		s->block = (unsigned int)rand() % BLOCKS;
	} while (block_busy[s->block]);
	block_busy[s->block] = true;
	s->busy = true;
	s->write = rand() % 4;
	s->stamp = ++stamp;
	*h = (struct blk_request_header){
		.type = s->write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
		.sector = s->block * (BLOCK / 512),
	};
	fill(drv_ptr(&drv, DATA(i)), s->block, s->stamp);
	*(uint8_t *)drv_ptr(&drv, STATUS(i)) = 0xee;
	memcpy(chain, b, sizeof(chain));
	chain[1].write = !s->write;
	drv.q[0].next_desc = (uint16_t)(3 * i);
	drv_avail(&drv, 0, drv_chain(&drv, 0, chain, 3));
}

static void complete(uint32_t head)
{
	unsigned int i = head / 3;
	struct slot *s = &slots[i];

	CHECK(head % 3 == 0 && i < SLOTS);
	if (i >= SLOTS)
		return;
	/* Answered twice, if it is not busy. */
	CHECK(s->busy);
	CHECK_EQ(*(uint8_t *)drv_ptr(&drv, STATUS(i)), VIRTIO_BLK_S_OK);
	if (s->write)
		disk[s->block] = s->stamp;
	else
		CHECK(filled(drv_ptr(&drv, DATA(i)), s->block, disk[s->block]));
	s->busy = false;
	block_busy[s->block] = false;
	answers++;
}

/* Keep @want requests going until @until_ns. */
static void drive(unsigned int want, uint64_t until_ns)
{
	uint64_t patience = hv_loop_now_ns() + 60000000000ULL;
	uint32_t head;

	for (;;) {
		unsigned int busy = 0;

		while (drv_used(&drv, 0, &head, NULL))
			complete(head);
		for (unsigned int i = 0; i < SLOTS; i++) {
			if (!slots[i].busy && busy < want && hv_loop_now_ns() < until_ns)
				submit(i);
			busy += slots[i].busy;
		}
		drv_kick(&drv, 0);
		if (!busy && hv_loop_now_ns() >= until_ns)
			return;
		if (hv_loop_now_ns() > patience) {
			CHECK(!"all requests are answered");
			return;
		}
		if (want && hv_loop_now_ns() >= until_ns)
			return;
		usleep(50);
	}
}

static void check_file(void)
{
	static uint32_t buf[BLOCK / 4];
	int fd = open(file, O_RDONLY);

	for (unsigned int b = 0; b < BLOCKS; b++) {
		CHECK_EQ(pread(fd, buf, BLOCK, b * BLOCK), BLOCK);
		CHECK(filled(buf, b, disk[b]));
	}
	close(fd);
}

static void is_killed_under_load(void)
{
	const struct vhost_user_dev_config cfg = { .id = "front", .connect = spawn, .queues = 1 };
	struct hv_err err = { 0 };
	unsigned int before = 0, useful = 0;

	srand(3);
	CHECK_EQ(vhost_user_blk_create(&cfg, &dev, &err), 0);
	CHECK_STR(err.msg, "");
	if (test_failures)
		return;
	test_catch_log();
	drv_init_shared(&drv, dev);
	drv_start(&drv, dev->host_features, 1, QUEUE);
	for (unsigned int k = 0; k < KILLS && !test_failures; k++) {
		/* Not before the next one works, so that what is killed is at work. */
		for (unsigned int i = 0; i < 100 && answers == before; i++)
			drive(SLOTS, hv_loop_now_ns() + 20000000);
		drive(SLOTS, hv_loop_now_ns() + 1000000ULL * (unsigned int)(rand() % 20));
		useful += answers > before;
		kill(atomic_load(&backend_pid), SIGKILL);
		before = answers;
		/* Paused and gone on with, too, while nobody is there. */
		if (k % 5 == 4) {
			virtio_dev_pause(dev);
			virtio_dev_resume(dev);
		}
	}
	drive(0, 0);
	CHECK_EQ(useful, KILLS);
	CHECK(!virtio_dev_is_broken(dev));
	CHECK_EQ(drv.q[0].used->idx, drv.q[0].avail->idx);
	CHECK_EQ((uint16_t)answers, drv.q[0].used->idx);
	check_file();
	printf("# %u requests, %u kills\n", answers, KILLS);
}

/* What was in flight when it was killed goes with the state to another one. */
static void is_restored_after_a_kill(void)
{
	const struct vhost_user_dev_config cfg = { .id = "front", .connect = spawn, .queues = 1 };
	struct hv_state_writer w;
	struct hv_state_reader r;
	struct hv_err err = { 0 };
	struct virtio_dev *second;

	for (unsigned int k = 0; k < 5 && !test_failures; k++) {
		unsigned int before = answers;

		for (unsigned int i = 0; i < 100 && answers == before; i++)
			drive(SLOTS, hv_loop_now_ns() + 20000000);
		kill(atomic_load(&backend_pid), SIGKILL);
		virtio_dev_pause(dev);
		hv_state_writer_init(&w);
		virtio_dev_save(dev, &w);
		virtio_dev_destroy(dev);
		CHECK_EQ(vhost_user_blk_create(&cfg, &second, &err), 0);
		dev = second;
		drv_attach(&drv, dev);
		hv_state_reader_init(&r, w.buf, w.len);
		CHECK_EQ(virtio_dev_load(dev, &r, &err), 0);
		CHECK_STR(err.msg, "");
		hv_state_writer_free(&w);
		virtio_dev_resume(dev);
	}
	drive(0, 0);
	CHECK_EQ((uint16_t)answers, drv.q[0].used->idx);
	check_file();
}

int main(void)
{
	int fd = mkstemp(file);

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (fd < 0 || ftruncate(fd, BLOCKS * BLOCK)) {
		printf("not ok the disk's file: %s\n", strerror(errno));
		return 1;
	}
	close(fd);
	TEST_RUN(is_killed_under_load);
	if (!test_failed) {
		TEST_RUN(is_restored_after_a_kill);
		virtio_dev_destroy(dev);
		drv_fini(&drv);
		/* Its front end is gone: it ends by itself. */
		waitpid(backend_pid, NULL, 0);
	}
	unlink(file);
	return TEST_EXIT();
}
