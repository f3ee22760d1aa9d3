// SPDX-License-Identifier: GPL-2.0-or-later
/* TAP interfaces of the host; see port.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../net_defs.h"
#include "../util/log.h"
#include "../watch.h"
#include "port.h"

/* UDP segmentation, since Linux 6.2: older headers do not know it. */
#define TAP_F_USO4	0x20
#define TAP_F_USO6	0x40

_Static_assert(IFNAMSIZ == sizeof(((struct net_tap *)0)->ifname), "room for a name");

struct tap_port {
	struct net_port port;	/* first: the device hands it back */
	int fd;
	const char *ifname;
	bool enabled;
	bool failed;		/* the interface is gone */
	struct hv_watch watch;
};

static struct tap_port *to_tap_port(struct net_port *p)
{
	return (struct tap_port *)p;
}

/* ---- Offloads ---- */

static unsigned int tap_offloads(uint64_t features)
{
	static const struct {
		unsigned int feature, flag;
	} map[] = {
		{ VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM }, { VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4 },
		{ VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6 }, { VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN },
		{ VIRTIO_NET_F_GUEST_USO4, TAP_F_USO4 }, { VIRTIO_NET_F_GUEST_USO6, TAP_F_USO6 },
	};
	unsigned int flags = 0;

	/* None of the others works without checksums (virtio 1.2, 5.1.3.1). */
	if (!(features & 1ULL << VIRTIO_NET_F_GUEST_CSUM))
		return 0;
	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (features & 1ULL << map[i].feature)
			flags |= map[i].flag;
	return flags;
}

int net_tap_set_offloads(int fd, uint64_t features)
{
	return ioctl(fd, TUNSETOFFLOAD, (unsigned long)tap_offloads(features)) ? -errno : 0;
}

/* What the host's kernel can do, found by asking for it. */
static uint64_t tap_probe(int fd)
{
	const uint64_t tso = 1ULL << VIRTIO_NET_F_GUEST_CSUM | 1ULL << VIRTIO_NET_F_GUEST_TSO4 |
			     1ULL << VIRTIO_NET_F_GUEST_TSO6 | 1ULL << VIRTIO_NET_F_GUEST_ECN;
	const uint64_t uso = 1ULL << VIRTIO_NET_F_GUEST_USO4 | 1ULL << VIRTIO_NET_F_GUEST_USO6;
	uint64_t f = 0;

	if (!net_tap_set_offloads(fd, tso))
		f |= tso | 1ULL << VIRTIO_NET_F_CSUM | 1ULL << VIRTIO_NET_F_HOST_TSO4 |
		     1ULL << VIRTIO_NET_F_HOST_TSO6 | 1ULL << VIRTIO_NET_F_HOST_ECN;
	if (f && !net_tap_set_offloads(fd, tso | uso))
		f |= uso | 1ULL << VIRTIO_NET_F_HOST_USO;
	net_tap_set_offloads(fd, 0);
	return f;
}

/* ---- The interface ---- */

static int tap_open_queue(struct net_tap *tap, unsigned int i, bool multi, struct hv_err *err)
{
	struct ifreq ifr = { 0 };
	int header = sizeof(struct net_header);
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), ret;

	if (fd < 0)
		return hv_err_set(err, -errno, "/dev/net/tun: %s%s", strerror(errno),
				  errno == ENOENT || errno == ENODEV ?
				  "; load it with \"modprobe tun\"" : "");
	tap->fd[i] = fd;
	memcpy(ifr.ifr_name, tap->ifname, sizeof(ifr.ifr_name));
	ifr.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multi ? IFF_MULTI_QUEUE : 0));
	if (ioctl(fd, TUNSETIFF, &ifr)) {
		ret = -errno;
		if (ret == -EPERM)
			return hv_err_set(err, ret, "interface %s: not permitted; make it for this user "
					  "with \"ip tuntap add NAME mode tap user USER%s\"",
					  tap->ifname, multi ? " multi_queue" : "");
		if (ret == -EINVAL)
			return hv_err_set(err, ret, "interface %s: it is not a TAP interface, or it was "
					  "made %s multi_queue", tap->ifname,
					  multi ? "without" : "with");
		return hv_err_set(err, ret, "interface %s: %s", tap->ifname,
				  ret == -EBUSY ? "another program uses it" : strerror(-ret));
	}
	memcpy(tap->ifname, ifr.ifr_name, sizeof(tap->ifname));
	if (ioctl(fd, TUNSETVNETHDRSZ, &header))
		return hv_err_set(err, -errno, "interface %s: header size: %s", tap->ifname,
				  strerror(errno));
	return 0;
}

int net_tap_open(const struct net_tap_config *cfg, struct net_tap **res, struct hv_err *err)
{
	struct net_tap *tap = calloc(1, sizeof(*tap) + cfg->queues * sizeof(tap->fd[0]));
	int ret = 0;

	if (!tap)
		return hv_err_set(err, -ENOMEM, "out of memory");
	for (unsigned int i = 0; i < cfg->queues; i++)
		tap->fd[i] = -1;
	tap->queues = cfg->queues;
	snprintf(tap->ifname, sizeof(tap->ifname), "%s", cfg->ifname ? cfg->ifname : "");
	for (unsigned int i = 0; i < cfg->queues && !ret; i++)
		ret = tap_open_queue(tap, i, cfg->queues > 1, err);
	if (ret) {
		net_tap_close(tap);
		return ret;
	}
	tap->features = tap_probe(tap->fd[0]);
	*res = tap;
	return 0;
}

void net_tap_close(struct net_tap *tap)
{
	if (!tap)
		return;
	for (unsigned int i = 0; i < tap->queues; i++)
		if (tap->fd[i] >= 0)
			close(tap->fd[i]);
	free(tap);
}

int net_tap_enable(int fd, bool on)
{
	struct ifreq ifr = { .ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	return ioctl(fd, TUNSETQUEUE, &ifr) ? -errno : 0;
}

/* ---- A port ---- */

static int tap_set_offloads(struct net_port *p, uint64_t features)
{
	return net_tap_set_offloads(to_tap_port(p)->fd, features);
}

static int tap_enable(struct net_port *p, bool on)
{
	struct tap_port *t = to_tap_port(p);
	int ret = 0;

	if (t->enabled == on)
		return 0;
	/* A detached queue reports errors to who waits for it. */
	if (!on)
		hv_watch_stop(&t->watch);
	ret = net_tap_enable(t->fd, on);
	if (!ret)
		t->enabled = on;
	return ret;
}

static void tap_event(void *opaque, bool readable, bool writable)
{
	struct tap_port *t = opaque;

	t->port.ready(t->port.opaque, readable, writable);
}

static int tap_start(struct net_port *p)
{
	return 0;
}

static void tap_stop(struct net_port *p)
{
	hv_watch_stop(&to_tap_port(p)->watch);
}

static void tap_want(struct net_port *p, bool receive, bool send)
{
	struct tap_port *t = to_tap_port(p);

	if (!t->failed && t->enabled)
		hv_watch_want(&t->watch, receive, send);
}

static void tap_fail(struct tap_port *t, int error)
{
	t->failed = true;
	hv_watch_stop(&t->watch);
	hv_log("interface %s: %s; the guest has no network there any more", t->ifname,
	       error == EBADFD ? "it was removed" : strerror(error));
	if (t->port.link)
		t->port.link(t->port.opaque, false);
}

static ssize_t tap_receive(struct net_port *p, const struct iovec *iov, int n)
{
	struct tap_port *t = to_tap_port(p);
	ssize_t ret;

	do {
		ret = readv(t->fd, iov, n);
	} while (ret < 0 && errno == EINTR);
	if (ret >= 0)
		return ret;
	/* EIO: the interface is down, which may change. */
	if (errno != EAGAIN && errno != EIO && !t->failed)
		tap_fail(t, errno);
	return -EAGAIN;
}

static int tap_send(struct net_port *p, const struct iovec *iov, int n, size_t len)
{
	struct tap_port *t = to_tap_port(p);
	ssize_t ret;

	do {
		ret = writev(t->fd, iov, n);
	} while (ret < 0 && errno == EINTR);
	/* A full interface takes more when it is ready; everything else is the packet's end. */
	return ret >= 0 ? 0 : -errno;
}

static void tap_destroy(struct net_port *p)
{
	hv_watch_stop(&to_tap_port(p)->watch);
	free(p);
}

static const struct net_port_ops tap_ops = {
	.set_offloads = tap_set_offloads,
	.enable = tap_enable,
	.start = tap_start,
	.stop = tap_stop,
	.want = tap_want,
	.receive = tap_receive,
	.send = tap_send,
	.destroy = tap_destroy,
};

int net_tap_port_create(struct net_tap *tap, unsigned int queue, struct hv_loop *loop,
			struct net_port **port, struct hv_err *err)
{
	struct tap_port *t = calloc(1, sizeof(*t));

	if (!t)
		return hv_err_set(err, -ENOMEM, "interface %s: out of memory", tap->ifname);
	t->port.ops = &tap_ops;
	t->port.loop = loop;
	t->fd = tap->fd[queue];
	t->ifname = tap->ifname;
	t->enabled = true;
	hv_watch_init(&t->watch, loop, t->fd, tap_event, t);
	*port = &t->port;
	return 0;
}
