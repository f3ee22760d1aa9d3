/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_CHARDEV_H
#define HVM_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../virtio-backends/util/err.h"

/* The host's side of a serial line or console. */
enum hvm_chardev_kind { HVM_CHARDEV_NONE, HVM_CHARDEV_STDIO, HVM_CHARDEV_PTY, HVM_CHARDEV_FILE };

struct hvm_chardev_config {
	enum hvm_chardev_kind kind;
	const char *path;	/* FILE only */
};

struct hvm_chardev {
	enum hvm_chardev_kind kind;
	int in_fd, out_fd;	/* -1: none; non-blocking where the kernel knows how */
	int pty_slave;		/* kept open, so that a terminal may come and go */
	char pty_path[64];	/* PTY: what to attach to */
};

/* Opening standard input that is a terminal makes it raw until hvm_tty_restore(). */
int hvm_chardev_open(struct hvm_chardev *c, const struct hvm_chardev_config *cfg,
		     struct hv_err *err);
void hvm_chardev_close(struct hvm_chardev *c);

/* Give the terminal back as it was; may be called in a signal handler, and more than once. */
void hvm_tty_restore(void);
/* Size of the terminal; false if there is none. */
bool hvm_tty_size(uint16_t *cols, uint16_t *rows);

/*
 * Keys that are for hvm and not for the guest: Ctrl-A and another key. Kept between calls, since
 * the two may come apart.
 */
enum hvm_escape {
	HVM_ESCAPE_QUIT,	/* x */
	HVM_ESCAPE_HELP,	/* h */
	HVM_ESCAPE_POWER,	/* p: power button */
	HVM_ESCAPE_RESET,	/* r */
	HVM_ESCAPE_BREAK,	/* b: serial break */
};

struct hvm_escape_state {
	bool seen;		/* Ctrl-A came last */
	void (*fn)(void *opaque, enum hvm_escape key);
	void *opaque;
};

/* Take escapes out of @buf, in place; returns the length of what is left for the guest. */
size_t hvm_escape_filter(void *state, uint8_t *buf, size_t len);

#endif
