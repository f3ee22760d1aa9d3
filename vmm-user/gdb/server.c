// SPDX-License-Identifier: GPL-2.0-or-later
/* The debugger's socket; see server.h. */
#include "server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../virtio-backends/util/listen.h"
#include "../../virtio-backends/util/log.h"
#include "../machine.h"
#include "stub.h"

struct hvm_gdb {
	struct hvm_machine *machine;
	struct hvm_vm *vm;
	struct hv_loop *loop;
	struct gdb_target *target;
	int listen_fd, fd;	/* fd -1: nobody is there */
	struct hv_loop_fd *listen_watch, *watch;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];	/* of a Unix socket */
	bool broken;		/* the debugger does not take what it is sent */
	struct gdb_stub stub;
};

/* ---- What the stub asks for ---- */

static void gdb_halt(void *opaque)
{
	struct hvm_gdb *g = opaque;

	hvm_machine_debug_halt(g->machine);
}

static void gdb_resume(void *opaque)
{
	struct hvm_gdb *g = opaque;

	hvm_machine_debug_resume(g->machine);
}

static void gdb_kill(void *opaque)
{
	struct hvm_gdb *g = opaque;

	hvm_machine_quit(g->machine);
}

/* A debugger waits for each reply: the socket always has room for one. */
static void gdb_send(void *opaque, const char *data, size_t len)
{
	struct hvm_gdb *g = opaque;

	if (send(g->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
		g->broken = true;
}

/* ---- The debugger ---- */

/* Without a debugger the guest goes on by itself. */
static void client_close(struct hvm_gdb *g)
{
	if (g->fd < 0)
		return;
	hv_loop_del_fd(g->watch);
	g->watch = NULL;
	close(g->fd);
	g->fd = -1;
	hvm_machine_debug_halt(g->machine);
	gdb_target_release(g->target);
	hvm_machine_debug_resume(g->machine);
}

static void client_ready(void *opaque, uint32_t events)
{
	struct hvm_gdb *g = opaque;
	uint8_t buf[4096];
	ssize_t n = recv(g->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		gdb_stub_feed(&g->stub, buf, (size_t)n);
	if (n <= 0 || g->broken || g->stub.detached)
		client_close(g);
}

static void client_accept(void *opaque, uint32_t events)
{
	static const struct gdb_stub_ops ops = {
		.halt = gdb_halt, .resume = gdb_resume, .kill = gdb_kill, .send = gdb_send,
	};
	struct hvm_gdb *g = opaque;
	int fd = accept4(g->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), on = 1;

	if (fd < 0)
		return;
	if (g->fd >= 0) {
		hv_log("gdb: another debugger is there already");
		close(fd);
		return;
	}
	g->watch = hv_loop_add_fd(g->loop, fd, EPOLLIN, client_ready, g);
	if (!g->watch) {
		close(fd);
		return;
	}
	/* Packets are small, and each waits for its answer. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	g->fd = fd;
	g->broken = false;
	hvm_machine_debug_halt(g->machine);
	gdb_stub_begin(&g->stub, g->target, &ops, g);
}

bool hvm_gdb_connected(const struct hvm_gdb *g)
{
	return g && g->fd >= 0;
}

bool hvm_gdb_stopped(struct hvm_gdb *g)
{
	bool halted;

	if (!g || g->fd < 0)
		return false;
	halted = gdb_stub_stopped(&g->stub);
	if (g->broken)
		client_close(g);
	return halted;
}

/* ---- Life ---- */

static int listen_tcp(const struct hvm_gdb_config *cfg, struct hv_err *err)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
	};
	struct addrinfo *info;
	int fd, on = 1, ret = getaddrinfo(cfg->host, cfg->port, &hints, &info);

	if (ret)
		return hv_err_set(err, -EINVAL, "gdb: %s port %s: %s", cfg->host, cfg->port,
				  gai_strerror(ret));
	fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ret = fd < 0 ? -errno : 0;
	if (!ret) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(fd, info->ai_addr, info->ai_addrlen) || listen(fd, 1))
			ret = -errno;
	}
	freeaddrinfo(info);
	if (!ret)
		return fd;
	if (fd >= 0)
		close(fd);
	return hv_err_set(err, ret, "gdb: %s port %s: %s", cfg->host, cfg->port, strerror(-ret));
}

static int gdb_listen(struct hvm_gdb *g, const struct hvm_gdb_config *cfg, struct hv_err *err)
{
	struct sockaddr_un addr;

	if (!cfg->socket)
		return listen_tcp(cfg, err);
	g->listen_fd = hv_listen_unix("gdb", cfg->socket, 0, &addr, err);
	if (g->listen_fd >= 0)
		snprintf(g->path, sizeof(g->path), "%s", addr.sun_path);
	return g->listen_fd;
}

int hvm_gdb_create(struct hvm_machine *m, struct hvm_vm *vm, const struct hvm_gdb_config *cfg,
		   struct hv_loop *loop, struct hvm_gdb **res, struct hv_err *err)
{
	struct hvm_gdb *g = calloc(1, sizeof(*g));
	int ret;

	if (!g)
		return hv_err_set(err, -ENOMEM, "gdb: out of memory");
	g->machine = m;
	g->vm = vm;
	g->loop = loop;
	g->fd = -1;
	ret = g->listen_fd = gdb_listen(g, cfg, err);
	if (ret >= 0)
		ret = gdb_target_create(vm, &g->target, err);
	if (ret >= 0) {
		vm->debug = g->target;
		g->listen_watch = hv_loop_add_fd(loop, g->listen_fd, EPOLLIN, client_accept, g);
		if (!g->listen_watch)
			ret = hv_err_set(err, -ENOMEM, "gdb: out of memory");
	}
	if (ret < 0) {
		hvm_gdb_destroy(g);
		return ret;
	}
	*res = g;
	return 0;
}

void hvm_gdb_destroy(struct hvm_gdb *g)
{
	if (!g)
		return;
	if (g->watch)
		hv_loop_del_fd(g->watch);
	if (g->listen_watch)
		hv_loop_del_fd(g->listen_watch);
	if (g->fd >= 0)
		close(g->fd);
	if (g->listen_fd >= 0)
		close(g->listen_fd);
	if (g->path[0])
		unlink(g->path);
	if (g->target)
		g->vm->debug = NULL;
	gdb_target_destroy(g->target);
	free(g);
}
