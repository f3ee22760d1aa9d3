// SPDX-License-Identifier: GPL-2.0-or-later
/* hvm console */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <termios.h>
#include <unistd.h>

#include "../chardev.h"
#include "../control/client.h"
#include "cli.h"

#define LEAVE_KEY	0x1d	/* Ctrl-] */

/* ---- Which terminal ---- */

/* The path of the guest's pseudo-terminal into @path. @which: "serial", "console", NULL: what it has. */
static int find_pty(const char *name, const char *which, char *path, size_t len,
		    struct hv_err *err)
{
	json_t *info = NULL;
	const char *pty;
	int ret = hvm_control_call(name, "x-hv-info", &info, err);

	if (ret)
		return ret;
	pty = json_string_value(json_object_get(info, which ? which : "console"));
	if (!pty && !which)
		pty = json_string_value(json_object_get(info, "serial"));
	if (!pty)
		ret = hv_err_set(err, -ENOENT, "guest %s has no pseudo-terminal%s%s; run it with "
				 "--serial pty or --console pty", name, which ? " for its " : "",
				 which ? which : "");
	else if (snprintf(path, len, "%s", pty) >= (int)len)
		ret = hv_err_set(err, -ENAMETOOLONG, "guest %s: the terminal's path is too long",
				 name);
	json_decref(info);
	return ret;
}

/* Two who read from one terminal get half of the letters each: the lock keeps the second away. */
static int open_pty(const char *name, const char *path, struct hv_err *err)
{
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return hv_err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (!isatty(fd)) {
		close(fd);
		return hv_err_set(err, -ENOTTY, "%s: is no terminal", path);
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		return hv_err_set(err, -EBUSY, "%s: another \"hvm console %s\" uses it", path, name);
	}
	return fd;
}

/* ---- Passing on ---- */

static int write_some(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (n > 0) {
			buf += n;
			len -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			poll(&p, 1, -1);
		} else if (!(n < 0 && errno == EINTR)) {
			return -EIO;
		}
	}
	return 0;
}

/* 1: go on; 0: the end; -errno. @leave: the key that ends it counts. */
static int pass(int from, int to, bool leave)
{
	char buf[4096], *key;
	ssize_t n = read(from, buf, sizeof(buf));

	if (n < 0)
		/* EIO is what a pseudo-terminal says whose other end is closed. */
		return errno == EINTR || errno == EAGAIN ? 1 : errno == EIO ? 0 : -errno;
	key = leave ? memchr(buf, LEAVE_KEY, (size_t)n) : NULL;
	if (key)
		n = key - buf;
	if (write_some(to, buf, (size_t)n))
		return -EIO;
	return n && !key;
}

/* Until the key, the end of the input, or that of the guest: nobody has its terminal open then. */
static int talk(const char *name, int pty)
{
	struct pollfd p[2] = {
		{ .fd = STDIN_FILENO, .events = POLLIN }, { .fd = pty, .events = POLLIN },
	};
	int ret = 1;

	while (ret > 0) {
		int n = poll(p, 2, 1000);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && !hvm_control_running(name))
			return 0;
		if (n > 0 && p[1].revents)
			ret = pass(pty, STDOUT_FILENO, false);
		if (n > 0 && ret > 0 && p[0].revents)
			ret = pass(STDIN_FILENO, pty, isatty(STDIN_FILENO));
	}
	return ret;
}

static int attach(const char *name, const char *which, struct hv_err *err)
{
	const struct hvm_chardev_config stdio = { .kind = HVM_CHARDEV_STDIO };
	struct hvm_chardev terminal;
	char path[256];
	int pty, ret = find_pty(name, which, path, sizeof(path), err);

	if (ret)
		return 1;
	pty = open_pty(name, path, err);
	if (pty < 0)
		return 1;
	if (isatty(STDIN_FILENO))
		fprintf(stderr, "%s of %s; Ctrl-] leaves\n", path, name);
	/* Makes a terminal raw; main() gives it back. */
	ret = hvm_chardev_open(&terminal, &stdio, err);
	if (!ret) {
		ret = talk(name, pty);
		hvm_chardev_close(&terminal);
		if (ret)
			hv_err_set(err, ret, "%s: %s", path, strerror(-ret));
	}
	close(pty);
	return ret ? 1 : 0;
}

static int console_command(int argc, char **argv, struct hv_err *err)
{
	static const struct option options[] = {
		{ "console", no_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "serial", no_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	const char *name, *which = NULL;
	int opt;

	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (opt == 'h')
			return hvm_print_help(&hvm_cmd_console, err);
		if (opt != 'c' && opt != 's')
			return hvm_bad_option("console", opt, argv[optind - 1], err);
		which = opt == 'c' ? "console" : "serial";
	}
	name = hvm_guest_argument("console", argc, argv, err);
	return name ? attach(name, which, err) : 1;
}

const struct hvm_command hvm_cmd_console = {
	.name = "console",
	.run = console_command,
	.summary = "connect this terminal to a guest's",
	.usage =
"Usage: hvm console NAME [--serial|--console]\n"
"\n"
"Connect this terminal to the pseudo-terminal of guest NAME, which runs with --serial pty or\n"
"--console pty. Ctrl-] leaves; the guest goes on.\n"
"\n"
"  --serial   its serial line; --console its virtio console. Without them: the console if\n"
"             it is a pseudo-terminal, else the serial line\n"
"  --console  see --serial\n"
"  --help     show this\n"
"\n"
"Exit status: 0, or 1 if there is no such guest or terminal, or somebody else uses it.\n",
};
