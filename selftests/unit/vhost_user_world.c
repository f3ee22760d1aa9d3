// SPDX-License-Identifier: GPL-2.0-or-later
/* See vhost_user_world.h. */
#include "vhost_user_world.h"

#include <dirent.h>
#include <errno.h>
#include <sys/socket.h>

#include "unit_log.h"
#include "unit_test.h"

struct virtio_dev *backend_dev;
atomic_uint backend_ended, connects;
atomic_bool refuse_connects;

static struct hv_io_thread *thread;
static struct vhost_user_backend *backend;
static _Atomic int last_socket;

static void on_ended(void *opaque)
{
	atomic_fetch_add(&backend_ended, 1);
}

static void do_start(void *opaque)
{
	const struct vhost_user_backend_config cfg = {
		.dev = backend_dev, .loop = hv_io_thread_loop(thread), .fd = *(int *)opaque,
		.queue_num = backend_dev->nr_queues, .ended = on_ended,
	};
	struct hv_err err;

	if (backend)
		vhost_user_backend_destroy(backend);
	CHECK_EQ(vhost_user_backend_create(&cfg, &backend, &err), 0);
}

void backend_start(int fd)
{
	hv_loop_call(hv_io_thread_loop(thread), do_start, &fd);
}

static void do_stop(void *opaque)
{
	if (backend)
		vhost_user_backend_destroy(backend);
	backend = NULL;
}

bool backend_stop(void)
{
	bool was = backend;

	hv_loop_call(hv_io_thread_loop(thread), do_stop, NULL);
	return was;
}

void backend_world_set_up(unsigned int queues)
{
	const struct virtio_blk_config cfg = {
		.img = &disk, .queues = queues, .queue_size = VIRTQ_MAX_SIZE, .id = "back",
		.serial = "vhost-user",
	};
	struct hv_err err;

	for (unsigned int i = 0; i < sizeof(disk.data); i++)
		disk.data[i] = (uint8_t)(i >> 9);
	disk.readonly = false;
	atomic_store(&disk.fail, 0);
	atomic_store(&disk.hold, false);
	atomic_store(&disk.fua, 0);
	atomic_store(&backend_ended, 0);
	CHECK_EQ(hv_io_thread_start("back", &thread), 0);
	CHECK_EQ(virtio_blk_create(&cfg, &backend_dev, &err), 0);
	test_catch_log();
}

void backend_world_tear_down(void)
{
	backend_stop();
	virtio_dev_destroy(backend_dev);
	hv_io_thread_stop(thread);
	CHECK_EQ(atomic_load(&disk.queues), 0);
}

/* ---- With a front end ---- */

static int world_connect(void *opaque, int *sock, struct hv_err *err)
{
	int sv[2];

	atomic_fetch_add(&connects, 1);
	if (atomic_load(&refuse_connects))
		return hv_err_set(err, -ECONNREFUSED, "nobody is there");
	CHECK_EQ(vhost_user_socketpair(sv), 0);
	backend_start(sv[0]);
	atomic_store(&last_socket, sv[1]);
	*sock = sv[1];
	return 0;
}

int world_create(struct virtio_dev **res, unsigned int queues, struct hv_err *err)
{
	const struct vhost_user_dev_config cfg = {
		.id = "front", .connect = world_connect, .queues = queues,
	};

	return vhost_user_blk_create(&cfg, res, err);
}

void world_set_up(unsigned int queues)
{
	struct hv_err err = { 0 };

	atomic_store(&connects, 0);
	atomic_store(&refuse_connects, false);
	backend_world_set_up(queues);
	CHECK_EQ(world_create(&dev, queues, &err), 0);
	CHECK_STR(err.msg, "");
	drv_init_shared(&drv, dev);
	drv_start(&drv, dev->host_features, queues, 64);
}

void world_tear_down(void)
{
	virtio_dev_destroy(dev);
	drv_fini(&drv);
	backend_world_tear_down();
}

void world_cut(void)
{
	shutdown(atomic_load(&last_socket), SHUT_RDWR);
}

unsigned int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}
