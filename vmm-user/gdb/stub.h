/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_GDB_STUB_H
#define HVM_GDB_STUB_H

#include "packet.h"
#include "target.h"

/* The conversation with one debugger: what it asks and is told. Knows nothing of sockets. */
#define GDB_MAX_CPUS	256

struct gdb_stub_ops {
	/* Halt the whole guest, or let it go on as gdb_target_prepare() was told. */
	void (*halt)(void *opaque);
	void (*resume)(void *opaque);
	/* It is to end. */
	void (*kill)(void *opaque);
	void (*send)(void *opaque, const char *data, size_t len);
};

struct gdb_stub {
	const struct gdb_stub_ops *ops;
	void *opaque;
	struct gdb_target *target;
	struct gdb_receiver in;
	struct gdb_reply out;
	bool no_ack;
	bool running;		/* the debugger waits for a stop */
	bool swbreak, hwbreak;	/* it wants to know which */
	bool detached;		/* it has said that it goes */
	unsigned int cpu;	/* that registers and memory are of */
	unsigned int step_cpu;	/* that the old commands step */
	unsigned int next_thread;	/* of qsThreadInfo */
	struct gdb_stop stop;	/* the last one */
	int signal;
	uint8_t scratch[GDB_PACKET_MAX];
};

/* A debugger has come; the guest is halted. */
void gdb_stub_begin(struct gdb_stub *s, struct gdb_target *target, const struct gdb_stub_ops *ops,
		    void *opaque);
/* Bytes from it. */
void gdb_stub_feed(struct gdb_stub *s, const uint8_t *buf, size_t len);
/* vCPUs have stopped. True: the debugger knows, and the guest has to stay halted. */
bool gdb_stub_stopped(struct gdb_stub *s);

#endif
