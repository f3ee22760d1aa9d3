/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine for tests of the emulator: RAM, and a device and ports behind user space. */
#ifndef HV_UNIT_EMULATE_MACHINE_H
#define HV_UNIT_EMULATE_MACHINE_H

#include "x86/emulate.h"

#define RAM_SIZE	0x4000u		/* addresses from 0; code is at CODE */
#define CODE		0x3000u
#define HOLE		0x4000u		/* not mapped */
#define MMIO		0x10000u	/* a device, up to MMIO + 0xfff */
#define MAX_READS	4

/* A machine with some RAM, a device behind user space and ports behind user space. */
struct machine {
	struct hv_emul e;
	u8 ram[RAM_SIZE];
	u8 pio_buf[64];
	u8 vec[16][32];
	/* Answers of "user space" to device reads of the current instruction, in order. */
	unsigned int answered, used, asked;
	u64 answers[MAX_READS];
	u64 asked_la;
	/* What was written to devices. */
	unsigned int writes;
	u64 written_la, written;
	unsigned int written_len;
	/* Ports. */
	bool port_answered;
	unsigned int port_calls, port_count, port_size;
	u16 port;
	u8 port_data[64];
	/* Failures to inject. */
	int read_error;
	unsigned int lost_races, fetch_step;
	/* Counts everything that moved. */
	unsigned int accesses, ram_writes;
};

enum cpu { REAL16, PROT32, LONG64 };

/* A machine with @len bytes of code at CODE, about to execute them. The caller frees it. */
struct machine *machine_new(enum cpu cpu, const char *code, unsigned int len);

#define MACHINE(cpu, code) machine_new(cpu, code, sizeof(code) - 1)

/* User space answers the read that was asked for. */
void answer(struct machine *m, u64 val);
/* The result was not HV_EMUL_IO: recorded answers are stale. */
void forget(struct machine *m);

#endif
