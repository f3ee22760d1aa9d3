// SPDX-License-Identifier: GPL-2.0-or-later
/* hv-backend-blk: a disk served over vhost-user. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../virtio-backends/blk.h"
#include "../cli/cli.h"
#include "serve.h"

#define DEFAULT_QUEUES_MAX	16
/* Front ends have queues of 128 entries and more; two of them are the request's own. */
#define SEG_MAX			126

static const char usage[] =
"Usage: hv-backend-blk --disk FILE[,OPTION]... --socket PATH | --fd N [--name NAME]\n"
"\n"
"Serve a disk to a virtual machine over vhost-user (hvm: --disk vhost-user,socket=PATH).\n"
"\n"
"  --disk FILE[,format=qcow2|raw][,readonly][,OPTION]...\n"
"                 the disk, as for \"hvm run\": queues=N (default: the processors of this\n"
"                 machine, at most 16), threads=queue|one, limit-iops=N, limit-bytes=RATE,\n"
"                 on-error=report|ignore\n"
"  --socket PATH  listen there, for one virtual machine at a time\n"
"  --fd N         an open socket: one that listens, or one that is connected; at the end of\n"
"                 that connection the program ends\n"
"  --name NAME    what messages call the disk (default: disk)\n"
"  --help, --version\n"
"\n"
"Exit status: 0 ended by a signal (SIGTERM, SIGINT, SIGHUP), or with its connection; 1 wrong\n"
"command line, or the disk cannot be opened; 2 something could not be written at the end.\n";

static struct blk_image *image;

static unsigned int default_queues(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > DEFAULT_QUEUES_MAX ? DEFAULT_QUEUES_MAX : (unsigned int)n;
}

static int open_disk(const char *value, const char *name, struct virtio_dev **dev,
		     struct hv_err *err)
{
	struct hvm_disk_config disk;
	struct blk_open_opts opts;
	struct virtio_blk_config cfg;
	int ret = hvm_parse_disk(value, &disk, err);

	if (ret)
		return ret;
	if (disk.backend != HVM_BACKEND_INSIDE)
		ret = hv_err_set(err, -EINVAL, "--disk %s: this is the back end", value);
	else if (disk.on_error == VIRTIO_BLK_STOP)
		ret = hv_err_set(err, -EINVAL, "--disk %s: on-error=stop: a back end cannot stop the "
				 "virtual machine", value);
	opts = (struct blk_open_opts){
		.filename = disk.path, .format = disk.format, .readonly = disk.readonly,
		/* The guest's writes must not end with a back end that is killed. */
		.outlives_process = true,
	};
	if (!ret)
		ret = blk_open(&opts, &image, err);
	cfg = (struct virtio_blk_config){
		.img = image, .queues = disk.queues ? disk.queues : default_queues(),
		.queue_size = VIRTQ_MAX_SIZE, .seg_max = SEG_MAX, .one_thread = disk.one_thread,
		.on_error = disk.on_error, .limit_iops = disk.limit_iops,
		.limit_bytes = disk.limit_bytes, .id = name ? name : "disk",
	};
	if (!ret)
		ret = virtio_blk_create(&cfg, dev, err);
	hvm_disk_config_free(&disk);
	return ret;
}

static int close_disk(struct hv_err *err)
{
	int ret = image ? blk_close(image) : 0;

	return ret ? hv_err_set(err, ret, "the disk cannot be flushed: %s", strerror(-ret)) : 0;
}

static unsigned int queue_num(const struct virtio_dev *dev)
{
	return dev->nr_queues;
}

static const struct hvm_backend_program program = {
	.name = "hv-backend-blk",
	.usage = usage,
	.option = "disk",
	.open = open_disk,
	.close = close_disk,
	.features = ~0ULL,
	.queue_num = queue_num,
};

int main(int argc, char **argv)
{
	return hvm_backend_main(argc, argv, &program);
}
