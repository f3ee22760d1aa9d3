// SPDX-License-Identifier: GPL-2.0-or-later
/* hv-backend-net: a network served over vhost-user. */
#include <errno.h>

#include "../../virtio-backends/net_defs.h"
#include "../cli/cli.h"
#include "../nic.h"
#include "serve.h"

static const char usage[] =
"Usage: hv-backend-net --net KIND[,OPTION]... --socket PATH | --fd N [--name NAME]\n"
"\n"
"Serve a network to a virtual machine over vhost-user (hvm: --net vhost-user,socket=PATH).\n"
"\n"
"  --net tap[,ifname=NAME][,queues=N]\n"
"  --net passt,socket=FILE\n"
"  --net switch,network=NAME\n"
"                 the host's side, as for \"hvm run\", with limit-bytes=RATE and\n"
"                 limit-packets=RATE; the card's address is the virtual machine's business\n"
"  --socket PATH  listen there, for one virtual machine at a time\n"
"  --fd N         an open socket: one that listens, or one that is connected; at the end of\n"
"                 that connection the program ends\n"
"  --name NAME    what it is called on a switch (default: backend)\n"
"  --help, --version\n"
"\n"
"Exit status: 0 ended by a signal (SIGTERM, SIGINT, SIGHUP), or with its connection; 1 wrong\n"
"command line, or the network cannot be reached.\n";

static struct hvm_net_config net;
static struct hvm_nic nic;

static int open_net(const char *value, const char *name, struct virtio_dev **dev,
		    struct hv_err *err)
{
	int ret = hvm_parse_net(value, &net, err);

	if (ret)
		return ret;
	if (net.kind == HVM_NET_VHOST_USER || net.backend != HVM_BACKEND_INSIDE)
		return hv_err_set(err, -EINVAL, "--net %s: this is the back end", value);
	if (net.vhost)
		return hv_err_set(err, -EINVAL, "--net %s: with vhost the kernel moves the packets; it "
				  "needs no back end", value);
	return hvm_nic_create_backend(&nic, &net, name ? name : "backend", dev, err);
}

static int close_net(struct hv_err *err)
{
	hvm_nic_destroy(&nic);
	hvm_net_config_free(&net);
	return 0;
}

/* Pairs, as all front ends of network cards understand it. */
static unsigned int queue_num(const struct virtio_dev *dev)
{
	return dev->nr_queues / 2;
}

/* What is done with the control queue is the front end's to offer. */
static const struct hvm_backend_program program = {
	.name = "hv-backend-net",
	.usage = usage,
	.option = "net",
	.open = open_net,
	.close = close_net,
	.features = VIRTIO_NET_GUEST_OFFLOADS | VIRTIO_NET_HOST_OFFLOADS |
		    VIRTIO_FEATURE(VIRTIO_NET_F_MRG_RXBUF) | VIRTIO_FEATURE(VIRTIO_NET_F_MQ),
	.queue_num = queue_num,
};

int main(int argc, char **argv)
{
	return hvm_backend_main(argc, argv, &program);
}
