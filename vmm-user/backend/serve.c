// SPDX-License-Identifier: GPL-2.0-or-later
/* The programs hv-backend-*; see serve.h. */
#include "serve.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../../virtio-backends/util/listen.h"
#include "../../virtio-backends/vhost_user_backend.h"
#include "../cli/cli.h"

#ifndef HVM_VERSION
#define HVM_VERSION "unknown"
#endif

/* A device whose host side hangs does not keep the program from ending. */
#define END_SECONDS	60

#define RING_FEATURES	(VIRTIO_FEATURE_INDIRECT_DESC | VIRTIO_FEATURE_EVENT_IDX | \
			 VIRTIO_FEATURE_VERSION_1)

struct serve {
	const struct hvm_backend_program *p;
	const char *value, *socket, *name;
	int fd;			/* listening or connected; -1: none yet */
	bool help, version;

	struct hv_loop *loop;
	int signal_fd;
	struct hv_loop_fd *signal_watch;
	struct virtio_dev *dev;
	struct vhost_user_backend *backend;
};

/* ---- The command line ---- */

enum { OPT_VALUE = 256, OPT_FD, OPT_HELP, OPT_NAME, OPT_SOCKET, OPT_VERSION };

static int parse_fd(struct serve *s, const char *arg, struct hv_err *err)
{
	uint64_t fd;

	if (hvm_parse_range(arg, 3, 1 << 20, &fd))
		return hv_err_set(err, -EINVAL, "--fd %s: the number of an open socket is wanted, at "
				  "least 3", arg);
	s->fd = (int)fd;
	return 0;
}

static int parse_option(struct serve *s, int opt, const char *arg, const char *word,
			struct hv_err *err)
{
	char name[HVM_NAME_MAX + 1];

	switch (opt) {
	case OPT_VALUE:
		if (s->value)
			return hv_err_set(err, -EINVAL, "--%s is given twice", s->p->option);
		s->value = arg;
		return 0;
	case OPT_FD:
		return parse_fd(s, arg, err);
	case OPT_SOCKET:
		s->socket = arg;
		return 0;
	case OPT_NAME:
		s->name = arg;
		return hvm_parse_name(arg, name, err);
	case OPT_HELP:
		s->help = true;
		return 0;
	case OPT_VERSION:
		s->version = true;
		return 0;
	case ':':
		return hv_err_set(err, -EINVAL, "%s needs a value", word);
	default:
		return hv_err_set(err, -EINVAL, "unknown option %s (see --help)", word);
	}
}

static int parse(struct serve *s, int argc, char **argv, struct hv_err *err)
{
	const struct option options[] = {
		{ s->p->option, required_argument, NULL, OPT_VALUE },
		{ "fd", required_argument, NULL, OPT_FD },
		{ "help", no_argument, NULL, OPT_HELP },
		{ "name", required_argument, NULL, OPT_NAME },
		{ "socket", required_argument, NULL, OPT_SOCKET },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ NULL, 0, NULL, 0 },
	};
	int opt, ret = 0;

	opterr = 0;
	while (!ret && (opt = getopt_long(argc, argv, "+:", options, NULL)) != -1)
		ret = parse_option(s, opt, optarg, argv[optind - 1], err);
	if (ret || s->help || s->version)
		return ret;
	if (optind < argc)
		return hv_err_set(err, -EINVAL, "what is \"%s\"? (see --help)", argv[optind]);
	if (!s->value)
		return hv_err_set(err, -EINVAL, "--%s is missing (see --help)", s->p->option);
	if (!s->socket == (s->fd < 0))
		return hv_err_set(err, -EINVAL, "one of --socket and --fd is wanted (see --help)");
	return 0;
}

/* ---- Signals ---- */

static void serve_signal(void *opaque, uint32_t events)
{
	struct serve *s = opaque;
	struct signalfd_siginfo si;

	if (read(s->signal_fd, &si, sizeof(si)) == sizeof(si))
		hv_loop_stop(s->loop);
}

/* Before there are threads, which inherit the mask. */
static int serve_watch_signals(struct serve *s, struct hv_err *err)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		return hv_err_set(err, -errno, "signalfd: %s", strerror(errno));
	s->signal_watch = hv_loop_add_fd(s->loop, s->signal_fd, EPOLLIN, serve_signal, s);
	return s->signal_watch ? 0 : hv_err_set(err, -errno, "event loop: %s", strerror(errno));
}

/* ---- Serving ---- */

static void serve_ended(void *opaque)
{
	struct serve *s = opaque;

	hv_loop_stop(s->loop);
}

static int serve_start(struct serve *s, struct hv_err *err)
{
	struct vhost_user_backend_config cfg = { .ended = serve_ended, .opaque = s };
	struct sockaddr_un addr;
	int ret = hv_loop_create(&s->loop);

	if (ret)
		return hv_err_set(err, ret, "event loop: %s", strerror(-ret));
	ret = serve_watch_signals(s, err);
	if (!ret)
		ret = s->p->open(s->value, s->name, &s->dev, err);
	if (!ret && s->socket) {
		s->fd = hv_listen_unix(s->dev->id, s->socket, 0, &addr, err);
		ret = s->fd < 0 ? s->fd : 0;
	}
	if (ret)
		return ret;
	cfg.dev = s->dev;
	cfg.loop = s->loop;
	cfg.fd = s->fd;
	cfg.queue_num = s->p->queue_num(s->dev);
	cfg.hidden = s->dev->host_features & ~(s->p->features | RING_FEATURES);
	return vhost_user_backend_create(&cfg, &s->backend, err);
}

static int serve_stop(struct serve *s, struct hv_err *err)
{
	int ret;

	alarm(END_SECONDS);
	if (s->socket && s->fd >= 0)
		unlink(s->socket);
	if (s->backend)
		vhost_user_backend_destroy(s->backend);
	else if (s->fd >= 0)
		close(s->fd);
	virtio_dev_destroy(s->dev);
	ret = s->p->close(err);
	if (s->signal_watch)
		hv_loop_del_fd(s->signal_watch);
	if (s->signal_fd >= 0)
		close(s->signal_fd);
	hv_loop_destroy(s->loop);
	return ret;
}

static int serve(struct serve *s, struct hv_err *err)
{
	int ret = serve_start(s, err), status = HVM_BACKEND_USAGE;

	if (!ret) {
		status = HVM_BACKEND_OK;
		ret = hv_loop_run(s->loop);
		if (ret) {
			hv_err_set(err, ret, "event loop: %s", strerror(-ret));
			status = HVM_BACKEND_ERROR;
		}
	}
	if (serve_stop(s, status == HVM_BACKEND_OK ? err : NULL) && status == HVM_BACKEND_OK)
		status = HVM_BACKEND_ERROR;
	return status;
}

int hvm_backend_main(int argc, char **argv, const struct hvm_backend_program *p)
{
	struct serve s = { .p = p, .fd = -1, .signal_fd = -1 };
	struct hv_err err = { 0 };
	int status = HVM_BACKEND_USAGE;

	if (!parse(&s, argc, argv, &err)) {
		if (!s.help && !s.version)
			status = serve(&s, &err);
		else if (s.help)
			status = fputs(p->usage, stdout) < 0 || fflush(stdout);
		else
			status = printf("%s " HVM_VERSION "\n", p->name) < 0 || fflush(stdout);
	}
	if (status && err.msg[0])
		fprintf(stderr, "%s: %s\n", p->name, err.msg);
	return status;
}
