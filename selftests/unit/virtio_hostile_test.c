// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Drivers that change rings, descriptors and requests while the device works on them, and that
 * reset it at any moment. Guest memory comes from malloc: whatever a device touches outside of it,
 * or after a reset had ended its work, the address sanitizer reports. The devices must answer an
 * honest driver right afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../virtio-backends/balloon.h"
#include "../../virtio-backends/blk.h"
#include "../../virtio-backends/blk_defs.h"
#include "../../virtio-backends/console.h"
#include "../../virtio-backends/io_thread.h"
#include "../../virtio-backends/ports.h"
#include "../../virtio-backends/rng.h"
#include "../../virtio-backends/vsock_internal.h"
#include "net_toy.h"
#include "unit_log.h"
#include "unit_test.h"
#include "virtio_driver.h"

#define QSIZE		16
#define RUN_NS		2000000000ULL
#define PATIENCE_NS	60000000000ULL
#define SECTORS		2048

static struct virtio_dev *dev;
static struct drv drv;
static struct hv_io_thread *thread;
static atomic_bool stop;
static unsigned int nr_queues;

static const uint64_t targets[] = {
	DRV_BUFFERS, DRV_BUFFERS + 0x1000, DRV_BUFFERS + 0x10000, DRV_INDIRECT(0), DRV_DESC(0),
	DRV_USED(0), DRV_RAM0_SIZE - 64, DRV_RAM1, DRV_RAM2 - 16, DRV_RAM2 + DRV_RAM2_SIZE - 16,
};

/* Mostly plausible, so that the device gets far before it notices. */
static void random_desc(unsigned int *seed, struct vring_desc *d)
{
	static const uint32_t lens[] = { 1, 16, 512, 513, 4096, 32, 48, 0 };
	uint64_t addr = targets[rand_r(seed) % (rand_r(seed) % 32 ? 4 : 10)];

	d->addr = rand_r(seed) % 256 ? addr : (uint64_t)rand_r(seed) << 20;
	d->len = rand_r(seed) % 64 ? lens[rand_r(seed) % 8] : (uint32_t)rand_r(seed);
	d->flags = (uint16_t)((rand_r(seed) % 2 ? VRING_DESC_F_NEXT : 0) |
			      (rand_r(seed) % 2 ? VRING_DESC_F_WRITE : 0) |
			      (rand_r(seed) % 16 ? 0 : VRING_DESC_F_INDIRECT));
	d->next = (uint16_t)(rand_r(seed) % (rand_r(seed) % 64 ? QSIZE : 70000));
}

static void random_header(unsigned int *seed, struct blk_request_header *h)
{
	static const uint32_t types[] = { 0, 1, 4, 8, 11, 13, 99 };

	h->type = types[rand_r(seed) % 7];
	h->sector = (uint64_t)rand_r(seed) % (SECTORS + 10);
}

/* Guest memory is written racily on purpose. */
static void *mutator(void *opaque)
{
	unsigned int seed = (unsigned int)(uintptr_t)opaque;

	while (!atomic_load(&stop)) {
		unsigned int q = (unsigned int)rand_r(&seed) % nr_queues;
		unsigned int i = (unsigned int)rand_r(&seed) % QSIZE;
		struct vring_avail *avail = drv_ptr(&drv, DRV_AVAIL(q));
		struct vring_desc *desc = drv_ptr(&drv, DRV_DESC(q));
		struct vring_desc *table = drv_ptr(&drv, DRV_INDIRECT(q));

		random_desc(&seed, rand_r(&seed) % 3 ? &desc[i] : &table[i]);
		random_header(&seed, drv_ptr(&drv, targets[rand_r(&seed) % 3]));
		avail->ring[i] = (uint16_t)(rand_r(&seed) % (rand_r(&seed) % 64 ? QSIZE : 70000));
		avail->idx += rand_r(&seed) % 64 ? 1 : (uint16_t)rand_r(&seed);
		avail->ring[QSIZE] = (uint16_t)rand_r(&seed);
		if (!(rand_r(&seed) % 4))
			virtio_dev_notify_queue(dev, q);
	}
	return NULL;
}

static void attack(void)
{
	uint64_t end = hv_loop_now_ns() + RUN_NS;
	unsigned int resets = 0, broken = 0;
	pthread_t t;

	atomic_store(&stop, false);
	drv_start(&drv, dev->host_features, nr_queues, QSIZE);
	pthread_create(&t, NULL, mutator, (void *)(uintptr_t)7);
	/* Longer on a machine that stood still. */
	while (hv_loop_now_ns() < end || (broken <= 10 && hv_loop_now_ns() < end + PATIENCE_NS)) {
		usleep((useconds_t)(resets % 8) * 100);
		broken += virtio_dev_is_broken(dev);
		resets++;
		if (resets % 16 == 0) {
			virtio_dev_pause(dev);
			virtio_dev_resume(dev);
		}
		drv_start(&drv, dev->host_features, nr_queues, QSIZE);
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	printf("# %u resets, the device was broken at %u of them\n", resets, broken);
	CHECK(broken > 10);
	drv_start(&drv, dev->host_features, nr_queues, QSIZE);
}

static void test_blk(void)
{
	const struct drv_buf b[] = {
		{ DRV_BUFFERS, 16, false }, { DRV_BUFFERS + 0x1000, 512, true },
		{ DRV_BUFFERS + 0x40, 1, true },
	};
	struct virtio_blk_config cfg = { .queues = 2, .queue_size = QSIZE, .id = "blk0" };
	struct blk_open_opts opts = { .format = BLK_FORMAT_RAW };
	struct blk_request_header *h;
	struct hv_err err = { 0 };
	char path[64];
	uint8_t *status;
	int fd = memfd_create("disk", 0);

	CHECK_EQ(ftruncate(fd, SECTORS * 512), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	opts.filename = path;
	if (blk_open(&opts, &cfg.img, &err)) {
		printf("# %s\n", err.msg);
		test_failures++;
		return;
	}
	CHECK_EQ(virtio_blk_create(&cfg, &dev, &err), 0);
	drv_init(&drv, dev);
	test_catch_log();
	nr_queues = 2;
	attack();
	h = drv_ptr(&drv, DRV_BUFFERS);
	*h = (struct blk_request_header){ .type = VIRTIO_BLK_T_IN, .sector = 5 };
	status = drv_ptr(&drv, DRV_BUFFERS + 0x40);
	*status = 0xee;
	drv_avail(&drv, 0, drv_chain(&drv, 0, b, 3));
	drv_kick(&drv, 0);
	CHECK(drv_wait_used(&drv, 0, NULL, NULL));
	CHECK_EQ(*status, VIRTIO_BLK_S_OK);
	virtio_dev_destroy(dev);
	CHECK_EQ(blk_close(cfg.img), 0);
	drv_fini(&drv);
	close(fd);
}

static void test_rng(void)
{
	const struct drv_buf b = { DRV_BUFFERS, 64, true };
	struct virtio_rng_config cfg = { .bytes_per_second = 1ULL << 40, .id = "rng0" };
	struct hv_err err;
	uint32_t len = 0;

	CHECK_EQ(hv_io_thread_start("test", &thread), 0);
	cfg.loop = hv_io_thread_loop(thread);
	CHECK_EQ(virtio_rng_create(&cfg, &dev, &err), 0);
	drv_init(&drv, dev);
	test_catch_log();
	nr_queues = 1;
	/* Its queue has 8 entries; a driver may not ask for more, so neither does this one. */
	dev->vqs[0].max_size = QSIZE;
	attack();
	drv_avail(&drv, 0, drv_chain(&drv, 0, &b, 1));
	drv_kick(&drv, 0);
	CHECK(drv_wait_used(&drv, 0, NULL, &len));
	CHECK_EQ(len, 64);
	virtio_dev_destroy(dev);
	hv_io_thread_stop(thread);
	drv_fini(&drv);
}

static void test_console(void)
{
	const struct drv_buf b = { DRV_BUFFERS, 64, false };
	int p[2];
	struct virtio_console_config cfg = { .out_fd = -1, .id = "console0" };
	struct hv_err err;

	/* Input without end: one side of a pipe that is never empty. */
	CHECK_EQ(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
	while (write(p[1], "0123456789abcdef", 16) == 16)
		;
	cfg.in_fd = p[0];
	CHECK_EQ(hv_io_thread_start("test", &thread), 0);
	cfg.loop = hv_io_thread_loop(thread);
	CHECK_EQ(virtio_console_create(&cfg, &dev, &err), 0);
	drv_init(&drv, dev);
	test_catch_log();
	nr_queues = 2;
	attack();
	drv_avail(&drv, 1, drv_chain(&drv, 1, &b, 1));
	drv_kick(&drv, 1);
	CHECK(drv_wait_used(&drv, 1, NULL, NULL));
	virtio_dev_destroy(dev);
	hv_io_thread_stop(thread);
	drv_fini(&drv);
	close(p[0]);
	close(p[1]);
}

static void test_net(void)
{
	const struct drv_buf out = { DRV_BUFFERS, 64, false }, in = { DRV_BUFFERS, 4096, true };
	struct virtio_net_config cfg = {
		.id = "net0", .mac = { 2, 0, 0, 0, 0, 1 }, .pairs = 2, .queue_size = QSIZE,
		.features = VIRTIO_NET_GUEST_OFFLOADS, .create_port = toy_port_create,
	};
	struct hv_err err;
	uint32_t len;

	for (unsigned int i = 0; i < TOY_PORTS; i++)
		toy_port[i].endless = true;
	CHECK_EQ(virtio_net_create(&cfg, &dev, &err), 0);
	drv_init(&drv, dev);
	test_catch_log();
	nr_queues = 5;
	attack();
	drv_avail(&drv, 1, drv_chain(&drv, 1, &out, 1));
	drv_kick(&drv, 1);
	CHECK(drv_wait_used(&drv, 1, NULL, NULL));
	drv_avail(&drv, 0, drv_chain(&drv, 0, &in, 1));
	drv_kick(&drv, 0);
	CHECK(drv_wait_used(&drv, 0, NULL, &len));
	CHECK_EQ(len, 200);
	virtio_dev_destroy(dev);
	drv_fini(&drv);
}

static void test_balloon(void)
{
	const struct drv_buf b = { DRV_BUFFERS, 4, false };
	struct virtio_balloon_config cfg = { .id = "balloon0" };
	struct hv_err err;

	CHECK_EQ(hv_io_thread_start("test", &thread), 0);
	cfg.loop = hv_io_thread_loop(thread);
	CHECK_EQ(virtio_balloon_create(&cfg, &dev, &err), 0);
	drv_init(&drv, dev);
	test_catch_log();
	nr_queues = 5;
	attack();
	*(uint32_t *)drv_ptr(&drv, DRV_BUFFERS) = DRV_BUFFERS >> 12;
	drv_avail(&drv, 0, drv_chain(&drv, 0, &b, 1));
	drv_kick(&drv, 0);
	CHECK(drv_wait_used(&drv, 0, NULL, NULL));
	CHECK_EQ(*(uint32_t *)drv_ptr(&drv, DRV_BUFFERS), 0);
	virtio_dev_destroy(dev);
	hv_io_thread_stop(thread);
	drv_fini(&drv);
}

static void test_ports(void)
{
	const struct drv_buf b = { DRV_BUFFERS, 8, false };
	char dir[] = "/tmp/hvm-hostile-XXXXXX", path[64];
	const struct virtio_port_config port = { "port", path };
	struct virtio_ports_config cfg = { .nr = 1, .port = &port, .id = "ports0" };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct hv_err err;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/p", dir);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	CHECK_EQ(hv_io_thread_start("test", &thread), 0);
	cfg.loop = hv_io_thread_loop(thread);
	CHECK_EQ(virtio_ports_create(&cfg, &dev, &err), 0);
	CHECK_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	while (send(fd, "0123456789abcdef", 16, MSG_DONTWAIT) > 0)
		;
	drv_init(&drv, dev);
	test_catch_log();
	nr_queues = 4;
	attack();
	memset(drv_ptr(&drv, DRV_BUFFERS), 0xff, 8);
	drv_avail(&drv, 3, drv_chain(&drv, 3, &b, 1));
	drv_kick(&drv, 3);
	CHECK(drv_wait_used(&drv, 3, NULL, NULL));
	virtio_dev_destroy(dev);
	hv_io_thread_stop(thread);
	drv_fini(&drv);
	close(fd);
	CHECK_EQ(rmdir(dir), 0);
}

/* Headers that lead to a listening socket, mostly. */
static void *vsock_mutator(void *opaque)
{
	unsigned int seed = 11;

	while (!atomic_load(&stop)) {
		struct vsock_header *h = drv_ptr(&drv, targets[rand_r(&seed) % 3]);

		*h = (struct vsock_header){
			.src_cid = 3, .dst_cid = 2, .src_port = (uint32_t)rand_r(&seed) % 8,
			.dst_port = 1, .len = rand_r(&seed) % 8 ? (uint32_t)rand_r(&seed) % 512 : 0,
			.type = 1, .op = (uint16_t)(rand_r(&seed) % 9),
			.flags = (uint32_t)rand_r(&seed), .buf_alloc = (uint32_t)rand_r(&seed),
			.fwd_cnt = (uint32_t)rand_r(&seed),
		};
	}
	return NULL;
}

/* A program of the host that sends back what comes. */
static void *vsock_echo(void *opaque)
{
	int listener = (int)(intptr_t)opaque, fd;
	char buf[512];
	ssize_t n;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
			send(fd, buf, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
		close(fd);
	}
	return NULL;
}

static void test_vsock(void)
{
	const struct drv_buf in = { DRV_BUFFERS, 512, true };
	const struct drv_buf out = { DRV_BUFFERS + 0x1000, sizeof(struct vsock_header), false };
	char dir[] = "/tmp/hvm-hostile-XXXXXX", path[64];
	struct virtio_vsock_config cfg = { .cid = 3, .path = path, .id = "vsock0" };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	pthread_t echo, mutate;
	struct hv_err err;
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/v", dir);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_1", path);
	CHECK_EQ(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CHECK_EQ(listen(listener, 128), 0);
	pthread_create(&echo, NULL, vsock_echo, (void *)(intptr_t)listener);
	CHECK_EQ(hv_io_thread_start("test", &thread), 0);
	cfg.loop = hv_io_thread_loop(thread);
	CHECK_EQ(virtio_vsock_create(&cfg, &dev, &err), 0);
	drv_init(&drv, dev);
	test_catch_log();
	nr_queues = 3;
	atomic_store(&stop, false);
	pthread_create(&mutate, NULL, vsock_mutator, NULL);
	attack();
	pthread_join(mutate, NULL);
	*(struct vsock_header *)drv_ptr(&drv, DRV_BUFFERS + 0x1000) = (struct vsock_header){
		.src_cid = 3, .dst_cid = 2, .src_port = 9, .dst_port = 2, .type = 1,
		.op = VSOCK_OP_REQUEST,
	};
	drv_avail(&drv, 0, drv_chain(&drv, 0, &in, 1));
	drv_avail(&drv, 1, drv_chain(&drv, 1, &out, 1));
	drv_kick(&drv, 0);
	drv_kick(&drv, 1);
	CHECK(drv_wait_used(&drv, 0, NULL, NULL));
	CHECK_EQ(((struct vsock_header *)drv_ptr(&drv, DRV_BUFFERS))->op, VSOCK_OP_RST);
	virtio_dev_destroy(dev);
	hv_io_thread_stop(thread);
	drv_fini(&drv);
	shutdown(listener, SHUT_RDWR);
	pthread_join(echo, NULL);
	close(listener);
	unlink(addr.sun_path);
	CHECK_EQ(rmdir(dir), 0);
}

int main(void)
{
	TEST_RUN(test_blk);
	TEST_RUN(test_rng);
	TEST_RUN(test_console);
	TEST_RUN(test_net);
	TEST_RUN(test_balloon);
	TEST_RUN(test_ports);
	TEST_RUN(test_vsock);
	return TEST_EXIT();
}
