// SPDX-License-Identifier: GPL-2.0-or-later
/* The host's side of serial lines and consoles; see chardev.h. */
#include "chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define CTRL_A	1

/* ---- The terminal ---- */

static struct termios tty_saved;
static atomic_bool tty_raw;

void hvm_tty_restore(void)
{
	if (atomic_exchange(&tty_raw, false))
		tcsetattr(STDIN_FILENO, TCSANOW, &tty_saved);
}

static void tty_make_raw(void)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &tty_saved))
		return;
	raw = tty_saved;
	cfmakeraw(&raw);
	/* Lines of hvm's own end in \r\n, so output needs no processing either. */
	if (!tcsetattr(STDIN_FILENO, TCSANOW, &raw))
		atomic_store(&tty_raw, true);
}

bool hvm_tty_size(uint16_t *cols, uint16_t *rows)
{
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) || !ws.ws_col || !ws.ws_row)
		return false;
	*cols = ws.ws_col;
	*rows = ws.ws_row;
	return true;
}

/* ---- Opening ---- */

/*
 * A descriptor of our own for @fd that does not block. O_NONBLOCK belongs to the open file, which
 * the shell shares with us, so terminals and pipes are opened anew. Regular files keep their place
 * and never block; sockets cannot be opened again.
 */
static int own_descriptor(int fd, int flags)
{
	char path[32];
	struct stat st;
	int ret;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ret = open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		if (ret >= 0)
			return ret;
	}
	ret = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return ret < 0 ? -errno : ret;
}

static int open_stdio(struct hvm_chardev *c, struct hv_err *err)
{
	c->out_fd = own_descriptor(STDOUT_FILENO, O_WRONLY);
	if (c->out_fd < 0)
		return hv_err_set(err, c->out_fd, "standard output: %s", strerror(-c->out_fd));
	/* A guest without input is a guest with nobody at the keyboard. */
	c->in_fd = own_descriptor(STDIN_FILENO, O_RDONLY);
	if (c->in_fd >= 0)
		tty_make_raw();
	return 0;
}

static int open_pty(struct hvm_chardev *c, struct hv_err *err)
{
	struct termios raw;
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || grantpt(fd) || unlockpt(fd) ||
	    ptsname_r(fd, c->pty_path, sizeof(c->pty_path))) {
		int ret = hv_err_set(err, -errno, "pty: %s", strerror(errno));

		if (fd >= 0)
			close(fd);
		return ret;
	}
	c->in_fd = c->out_fd = fd;
	c->pty_slave = open(c->pty_path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (c->pty_slave < 0)
		return hv_err_set(err, -errno, "%s: %s", c->pty_path, strerror(errno));
	if (!tcgetattr(c->pty_slave, &raw)) {
		cfmakeraw(&raw);
		tcsetattr(c->pty_slave, TCSANOW, &raw);
	}
	return 0;
}

int hvm_chardev_open(struct hvm_chardev *c, const struct hvm_chardev_config *cfg,
		     struct hv_err *err)
{
	int ret = 0;

	*c = (struct hvm_chardev){ .kind = cfg->kind, .in_fd = -1, .out_fd = -1, .pty_slave = -1 };
	switch (cfg->kind) {
	case HVM_CHARDEV_NONE:
		break;
	case HVM_CHARDEV_STDIO:
		ret = open_stdio(c, err);
		break;
	case HVM_CHARDEV_PTY:
		ret = open_pty(c, err);
		break;
	case HVM_CHARDEV_FILE:
		c->out_fd = open(cfg->path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY |
				 O_CLOEXEC, 0600);
		if (c->out_fd < 0)
			ret = hv_err_set(err, -errno, "%s: %s", cfg->path, strerror(errno));
		break;
	}
	if (ret)
		hvm_chardev_close(c);
	return ret;
}

void hvm_chardev_close(struct hvm_chardev *c)
{
	if (c->kind == HVM_CHARDEV_STDIO)
		hvm_tty_restore();
	if (c->in_fd >= 0)
		close(c->in_fd);
	if (c->out_fd >= 0 && c->out_fd != c->in_fd)
		close(c->out_fd);
	if (c->pty_slave >= 0)
		close(c->pty_slave);
	*c = (struct hvm_chardev){ .in_fd = -1, .out_fd = -1, .pty_slave = -1 };
}

/* ---- Escape keys ---- */

/* True if the key after Ctrl-A is hvm's; else the guest gets it. */
static bool escape_key(struct hvm_escape_state *st, uint8_t key)
{
	static const struct {
		uint8_t key;
		enum hvm_escape escape;
	} keys[] = {
		{ 'x', HVM_ESCAPE_QUIT }, { 'h', HVM_ESCAPE_HELP }, { '?', HVM_ESCAPE_HELP },
		{ 'p', HVM_ESCAPE_POWER }, { 'r', HVM_ESCAPE_RESET }, { 'b', HVM_ESCAPE_BREAK },
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (keys[i].key == key) {
			st->fn(st->opaque, keys[i].escape);
			return true;
		}
	}
	return false;
}

size_t hvm_escape_filter(void *state, uint8_t *buf, size_t len)
{
	struct hvm_escape_state *st = state;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		uint8_t b = buf[i];

		if (!st->seen && b == CTRL_A) {
			st->seen = true;
			continue;
		}
		/* Ctrl-A twice, or before a key without a meaning: the second one counts. */
		if (!st->seen || !escape_key(st, b))
			buf[n++] = b;
		st->seen = false;
	}
	return n;
}
