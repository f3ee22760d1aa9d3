/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_GDB_PACKET_H
#define HVM_GDB_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Packets of gdb's remote serial protocol: "$DATA#CC", where CC is the sum of DATA's bytes. In DATA
 * '}' escapes the byte after it, which is xor 0x20.
 */
#define GDB_PACKET_MAX	4096	/* of DATA, as told to the debugger */

enum gdb_input {
	GDB_NOTHING,
	GDB_PACKET,	/* data[0, len) is complete */
	GDB_BAD,	/* the sum is wrong, or it is too long: ask for it again */
	GDB_INTERRUPT,	/* Ctrl-C, between packets */
};

struct gdb_receiver {
	enum { GDB_IDLE, GDB_DATA, GDB_ESCAPE, GDB_SUM1, GDB_SUM2 } state;
	uint8_t sum, want;
	bool too_long;
	size_t len;
	char data[GDB_PACKET_MAX + 1];	/* a NUL follows a complete packet */
};

enum gdb_input gdb_receive(struct gdb_receiver *r, uint8_t c);

/* What is sent; more than fits is left out, and remembered. */
struct gdb_reply {
	size_t len;
	bool full;
	char data[2 * GDB_PACKET_MAX + 8];
};

void gdb_reply_begin(struct gdb_reply *r);
__attribute__((format(printf, 2, 3)))
void gdb_reply_text(struct gdb_reply *r, const char *fmt, ...);
void gdb_reply_hex(struct gdb_reply *r, const void *buf, size_t len);
/* As they are, with what has to be escaped. */
void gdb_reply_binary(struct gdb_reply *r, const void *buf, size_t len);
/* Put the sum behind it: data[0, len) is ready to be sent. */
void gdb_reply_end(struct gdb_reply *r);

/* A hexadecimal number; *@s is put behind it. False: there is none, or it does not fit. */
bool gdb_parse_hex(const char **s, uint64_t *v);
/* Exactly @len bytes from pairs of digits; false: they are none, or fewer. */
bool gdb_parse_bytes(const char *s, void *buf, size_t len);

#endif
