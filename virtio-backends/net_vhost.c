// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A network device whose packets the host's kernel moves between the rings and a TAP interface
 * (vhost-net): one vhost descriptor per pair of queues. Filters and rate limits do not apply.
 */
#include <errno.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "net_internal.h"

#define VHOST_NET_PATH	"/dev/vhost-net"

struct net_vhost_pair {
	struct vhost vhost;
	int tap_fd;
	bool enabled;		/* the interface's queue */
};

struct net_vhost {
	unsigned int pairs;
	struct net_vhost_pair pair[];
};

static int set_backend(struct net_vhost_pair *p, unsigned int i, int fd)
{
	struct vhost_vring_file file = { .index = i, .fd = fd };

	return ioctl(p->vhost.fd, VHOST_NET_SET_BACKEND, &file) ? -errno : 0;
}

static void pair_stop(struct net_vhost_pair *p)
{
	for (unsigned int i = 0; i < VHOST_MAX_VRINGS; i++) {
		if (p->vhost.vring[i].vq)
			set_backend(p, i, -1);
		vhost_stop_vring(&p->vhost, i);
	}
}

/* A pair of which the driver uses one queue only is left alone. */
static int pair_start(struct net_vhost_pair *p, struct virtq *rx, struct virtq *tx)
{
	struct virtq *const vqs[VHOST_MAX_VRINGS] = { rx, tx };
	int ret;

	if (!rx->enabled || !tx->enabled)
		return 0;
	ret = vhost_set_up(&p->vhost);
	for (unsigned int i = 0; i < VHOST_MAX_VRINGS && !ret; i++)
		ret = vhost_start_vring(&p->vhost, i, vqs[i]);
	for (unsigned int i = 0; i < VHOST_MAX_VRINGS && !ret; i++)
		ret = set_backend(p, i, p->tap_fd);
	if (ret)
		pair_stop(p);
	return ret;
}

int net_vhost_start(struct virtio_net *net)
{
	unsigned int pairs = net_usable_pairs(net);
	int ret = 0;

	for (unsigned int i = 0; i < pairs && !ret; i++)
		ret = pair_start(&net->vhost->pair[i], net->pair[i].rx, net->pair[i].tx);
	return ret;
}

void net_vhost_stop(struct virtio_net *net)
{
	for (unsigned int i = 0; i < net->vhost->pairs; i++)
		pair_stop(&net->vhost->pair[i]);
}

int net_vhost_set_offloads(struct net_vhost *v, uint64_t features)
{
	return net_tap_set_offloads(v->pair[0].tap_fd, features);
}

int net_vhost_enable(struct net_vhost *v, unsigned int pair, bool on)
{
	struct net_vhost_pair *p = &v->pair[pair];
	int ret = p->enabled == on ? 0 : net_tap_enable(p->tap_fd, on);

	if (!ret)
		p->enabled = on;
	return ret;
}

int net_vhost_create(struct virtio_net *net, struct net_tap *tap, struct hv_err *err)
{
	struct net_vhost *v = calloc(1, sizeof(*v) + net->max_pairs * sizeof(v->pair[0]));

	if (!v)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", net->dev.id);
	for (; v->pairs < net->max_pairs; v->pairs++) {
		struct net_vhost_pair *p = &v->pair[v->pairs];
		int ret = vhost_open(&p->vhost, VHOST_NET_PATH, &net->dev, net->pair[0].loop, err);

		if (!ret && !(p->vhost.features & 1ULL << VIRTIO_NET_F_MRG_RXBUF)) {
			ret = hv_err_set(err, -ENOTSUP, "%s: " VHOST_NET_PATH " cannot merge buffers; "
					 "do without vhost", net->dev.id);
			vhost_close(&p->vhost);
		}
		if (ret) {
			net_vhost_destroy(v);
			return ret;
		}
		p->tap_fd = tap->fd[v->pairs];
		p->enabled = true;
	}
	net->vhost = v;
	return 0;
}

void net_vhost_destroy(struct net_vhost *v)
{
	for (unsigned int i = 0; i < v->pairs; i++)
		vhost_close(&v->pair[i].vhost);
	free(v);
}
