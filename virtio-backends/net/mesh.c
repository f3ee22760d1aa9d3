// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A switch between the guests of one user, without a process of its own; see port.h.
 *
 * Each port listens on a socket in the network's directory. A new port connects to all that are
 * there, with the directory locked, so that each two ports have exactly one connection; when a
 * process ends, the kernel closes its connections and nothing is left but a name that nobody
 * answers, which the next one removes. A message is a packet with its header, which the receiver
 * does not trust and clears. A port sends to who last used the address as a sender, or to all. A
 * port that does not take its packets in time loses them, as on every Ethernet, and holds up
 * nobody.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../net_defs.h"
#include "../util/log.h"
#include "../virtq.h"
#include "../watch.h"
#include "port.h"

#define MAX_PEERS	64
#define SEND_BUFFER	(1 << 20)	/* the host's limit may be lower */
#define NR_LEARNED	256		/* addresses; a power of two */
#define NAME_MAX_LEN	100

struct mesh_port;

struct mesh_peer {
	struct mesh_port *mesh;
	int fd;			/* -1: free */
	struct hv_watch watch;
	bool readable;
};

struct learned {
	uint8_t mac[ETH_ADDR_LEN];
	int8_t peer;		/* -1: none */
};

struct mesh_port {
	struct net_port port;	/* first: the device hands it back */
	char id[32];
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char name[NAME_MAX_LEN + 1];
	int dir_fd, listen_fd;
	struct hv_loop_fd *listener;
	bool wanted;		/* tell when a packet comes */
	unsigned int next;	/* peer to look at first */
	struct mesh_peer peer[MAX_PEERS];
	struct learned learned[NR_LEARNED];
};

_Static_assert(MAX_PEERS < 128, "fits struct learned");

static struct mesh_port *to_mesh_port(struct net_port *p)
{
	return (struct mesh_port *)p;
}

/* ---- Who is where ---- */

static struct learned *mesh_slot(struct mesh_port *m, const uint8_t *mac)
{
	return &m->learned[(mac[3] * 31u + mac[4] * 7u + mac[5]) & (NR_LEARNED - 1)];
}

static void mesh_learn(struct mesh_port *m, const uint8_t *mac, unsigned int peer)
{
	struct learned *l = mesh_slot(m, mac);

	if (mac[0] & 1)
		return;		/* nobody's own address */
	memcpy(l->mac, mac, ETH_ADDR_LEN);
	l->peer = (int8_t)peer;
}

static struct mesh_peer *mesh_find(struct mesh_port *m, const uint8_t *mac)
{
	const struct learned *l = mesh_slot(m, mac);

	return l->peer >= 0 && !memcmp(l->mac, mac, ETH_ADDR_LEN) ? &m->peer[l->peer] : NULL;
}

/* ---- Peers ---- */

static void peer_event(void *opaque, bool readable, bool writable)
{
	struct mesh_peer *peer = opaque;
	struct mesh_port *m = peer->mesh;

	peer->readable |= readable;
	if (m->wanted) {
		m->wanted = false;
		m->port.ready(m->port.opaque, true, false);
	}
}

/* Returns -ENOSPC if there are too many. */
static int peer_add(struct mesh_port *m, int fd)
{
	int size = SEND_BUFFER;

	for (unsigned int i = 0; i < MAX_PEERS; i++) {
		struct mesh_peer *peer = &m->peer[i];

		if (peer->fd >= 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		peer->fd = fd;
		peer->readable = false;
		hv_watch_init(&peer->watch, m->port.loop, fd, peer_event, peer);
		if (m->wanted)
			hv_watch_want(&peer->watch, true, false);
		return 0;
	}
	return -ENOSPC;
}

static void peer_remove(struct mesh_peer *peer)
{
	struct mesh_port *m = peer->mesh;

	hv_watch_stop(&peer->watch);
	close(peer->fd);
	peer->fd = -1;
	peer->readable = false;
	for (unsigned int i = 0; i < NR_LEARNED; i++)
		if (m->learned[i].peer == peer - m->peer)
			m->learned[i].peer = -1;
}

static void mesh_accept(void *opaque, uint32_t events)
{
	struct mesh_port *m = opaque;
	int fd = accept4(m->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0 && peer_add(m, fd))
		close(fd);
}

/* ---- Packets ---- */

/* Returns the length, or 0: the peer has none. */
static ssize_t peer_receive(struct mesh_peer *peer, const struct iovec *iov, int n)
{
	static const struct net_header none;
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	uint8_t addr[2 * ETH_ADDR_LEN];
	ssize_t len;

	do {
		len = recvmsg(peer->fd, &msg, MSG_DONTWAIT);
	} while (len < 0 && errno == EINTR);
	if (len < 0 && errno == EAGAIN) {
		peer->readable = false;
		return 0;
	}
	if (len <= 0) {
		peer_remove(peer);
		return 0;
	}
	virtq_iov_from_buf(iov, (unsigned int)n, 0, &none, sizeof(none));
	if ((size_t)len >= sizeof(none) + sizeof(addr)) {
		virtq_iov_to_buf(iov, (unsigned int)n, sizeof(none), addr, sizeof(addr));
		mesh_learn(peer->mesh, addr + ETH_ADDR_LEN,
			   (unsigned int)(peer - peer->mesh->peer));
	}
	return len;
}

static ssize_t mesh_receive(struct net_port *p, const struct iovec *iov, int n)
{
	struct mesh_port *m = to_mesh_port(p);

	for (unsigned int i = 0; i < MAX_PEERS; i++) {
		/* Take turns, so that one guest cannot keep others out. */
		struct mesh_peer *peer = &m->peer[m->next++ % MAX_PEERS];
		ssize_t len = peer->fd >= 0 && peer->readable ? peer_receive(peer, iov, n) : 0;

		if (len)
			return len;
	}
	return -EAGAIN;
}

/* 0: sent. */
static int peer_send(struct mesh_peer *peer, const struct iovec *iov, int n)
{
	const struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	ssize_t ret;

	do {
		ret = sendmsg(peer->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (ret < 0 && errno == EINTR);
	if (ret >= 0)
		return 0;
	if (errno == EPIPE || errno == ECONNRESET)
		peer_remove(peer);
	return -ENOBUFS;
}

static int mesh_send(struct net_port *p, const struct iovec *iov, int n, size_t len)
{
	struct mesh_port *m = to_mesh_port(p);
	uint8_t to[ETH_ADDR_LEN];
	struct mesh_peer *peer;
	int ret = 0;

	virtq_iov_to_buf(iov, (unsigned int)n, sizeof(struct net_header), to, sizeof(to));
	peer = mesh_find(m, to);
	if (peer)
		return peer_send(peer, iov, n);
	for (unsigned int i = 0; i < MAX_PEERS; i++)
		if (m->peer[i].fd >= 0 && peer_send(&m->peer[i], iov, n))
			ret = -ENOBUFS;
	return ret;
}

/* ---- A port ---- */

static int mesh_start(struct net_port *p)
{
	return 0;
}

static void mesh_stop(struct net_port *p)
{
	struct mesh_port *m = to_mesh_port(p);

	m->wanted = false;
	for (unsigned int i = 0; i < MAX_PEERS; i++)
		if (m->peer[i].fd >= 0)
			hv_watch_stop(&m->peer[i].watch);
}

/* A port is always ready to send: what a peer does not take is lost. */
static void mesh_want(struct net_port *p, bool receive, bool send)
{
	struct mesh_port *m = to_mesh_port(p);

	if (!receive)
		return;
	m->wanted = true;
	for (unsigned int i = 0; i < MAX_PEERS; i++)
		if (m->peer[i].fd >= 0)
			hv_watch_want(&m->peer[i].watch, true, false);
}

static void mesh_leave(struct mesh_port *m)
{
	flock(m->dir_fd, LOCK_EX);
	if (m->listen_fd >= 0)
		unlinkat(m->dir_fd, m->name, 0);
	/* Only the last one to leave can remove it. */
	rmdir(m->dir);
	close(m->dir_fd);
}

static void mesh_destroy(struct net_port *p)
{
	struct mesh_port *m = to_mesh_port(p);

	for (unsigned int i = 0; i < MAX_PEERS; i++)
		if (m->peer[i].fd >= 0)
			peer_remove(&m->peer[i]);
	hv_loop_del_fd(m->listener);
	if (m->dir_fd >= 0)
		mesh_leave(m);
	if (m->listen_fd >= 0)
		close(m->listen_fd);
	free(m);
}

static const struct net_port_ops mesh_ops = {
	.start = mesh_start,
	.stop = mesh_stop,
	.want = mesh_want,
	.receive = mesh_receive,
	.send = mesh_send,
	.destroy = mesh_destroy,
};

/* ---- Joining ---- */

static int mesh_address(const struct mesh_port *m, const char *name, struct sockaddr_un *addr)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return snprintf(addr->sun_path, sizeof(addr->sun_path), "%s/%s", m->dir, name) <
	       (int)sizeof(addr->sun_path) ? 0 : -ENAMETOOLONG;
}

/* Open and lock the directory; it may be removed between the two. */
static int mesh_lock_dir(struct mesh_port *m)
{
	struct stat mine, there;

	for (unsigned int i = 0; i < 100; i++) {
		if (mkdir(m->dir, 0700) && errno != EEXIST)
			return -errno;
		m->dir_fd = open(m->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (m->dir_fd < 0 && errno == ENOENT)
			continue;
		if (m->dir_fd < 0 || flock(m->dir_fd, LOCK_EX) || fstat(m->dir_fd, &mine))
			return -errno;
		if (mine.st_uid != geteuid() || (mine.st_mode & 022))
			return -EPERM;
		if (!stat(m->dir, &there) && there.st_ino == mine.st_ino)
			return 0;
		close(m->dir_fd);
		m->dir_fd = -1;
	}
	return -EBUSY;
}

static int mesh_listen(struct mesh_port *m)
{
	struct sockaddr_un addr;
	int fd, ret = mesh_address(m, m->name, &addr);

	if (ret)
		return ret;
	/* The guest's name is ours: a socket that is there is a left-over. */
	unlinkat(m->dir_fd, m->name, 0);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, MAX_PEERS)) {
		ret = -errno;
		close(fd);
		return ret;
	}
	m->listen_fd = fd;
	m->listener = hv_loop_add_fd(m->port.loop, fd, EPOLLIN, mesh_accept, m);
	return m->listener ? 0 : -ENOMEM;
}

static int mesh_connect(struct mesh_port *m, const char *name)
{
	struct sockaddr_un addr;
	int fd, ret = 0;

	if (mesh_address(m, name, &addr))
		return 0;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		ret = peer_add(m, fd);
		if (!ret)
			return 0;
	} else if (errno == ECONNREFUSED) {
		unlinkat(m->dir_fd, name, 0);	/* nobody is behind it any more */
	} else {
		hv_log("%s: %s/%s: %s; packets do not reach this guest", m->id, m->dir, name,
		       strerror(errno));
	}
	close(fd);
	return ret;
}

static int mesh_connect_all(struct mesh_port *m)
{
	int fd = openat(m->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		ret = -errno;
		if (fd >= 0)
			close(fd);
		return ret;
	}
	while (!ret && (e = readdir(dir)))
		if (e->d_name[0] != '.' && strcmp(e->d_name, m->name))
			ret = mesh_connect(m, e->d_name);
	closedir(dir);
	return ret;
}

int net_mesh_port_create(const char *dir, const char *name, const char *id, struct hv_loop *loop,
			 struct net_port **port, struct hv_err *err)
{
	struct mesh_port *m = calloc(1, sizeof(*m));
	int ret = -ENAMETOOLONG;

	if (!m)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", id);
	m->port.ops = &mesh_ops;
	m->port.loop = loop;
	m->dir_fd = m->listen_fd = -1;
	snprintf(m->id, sizeof(m->id), "%s", id);
	for (unsigned int i = 0; i < MAX_PEERS; i++) {
		m->peer[i].mesh = m;
		m->peer[i].fd = -1;
	}
	for (unsigned int i = 0; i < NR_LEARNED; i++)
		m->learned[i].peer = -1;
	if (snprintf(m->dir, sizeof(m->dir), "%s", dir) < (int)sizeof(m->dir) &&
	    snprintf(m->name, sizeof(m->name), "%s", name) < (int)sizeof(m->name))
		ret = mesh_lock_dir(m);
	if (!ret)
		ret = mesh_listen(m);
	if (!ret)
		ret = mesh_connect_all(m);
	if (m->dir_fd >= 0)
		flock(m->dir_fd, LOCK_UN);
	if (ret) {
		mesh_destroy(&m->port);
		if (ret == -ENOSPC)
			return hv_err_set(err, ret, "%s: network %s has %d guests already", id, dir,
					  MAX_PEERS + 1);
		return hv_err_set(err, ret, "%s: network %s: %s", id, dir, strerror(-ret));
	}
	*port = &m->port;
	return 0;
}
