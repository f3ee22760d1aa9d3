// SPDX-License-Identifier: GPL-2.0-or-later
/* The conversation with a debugger; see stub.h. Threads are vCPUs, counted from 1. */
#include "stub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "regs.h"

/* Signals in gdb's own numbering, and errors: any number that is not 0. */
#define SIGNAL_INT	2
#define SIGNAL_TRAP	5
#define ERROR_BAD	0x16
#define ERROR_MEMORY	0x0e

static void reply_ok(struct gdb_stub *s)
{
	gdb_reply_text(&s->out, "OK");
}

static void reply_error(struct gdb_stub *s, int error)
{
	gdb_reply_text(&s->out, "E%02x", error);
}

/* ---- Stops ---- */

static void put_stop(struct gdb_stub *s)
{
	gdb_reply_text(&s->out, "T%02x", s->signal);
	if (s->signal == SIGNAL_TRAP && s->stop.kind == GDB_STOP_WATCH)
		gdb_reply_text(&s->out, "%s:%llx;",
			       s->stop.watch == GDB_WATCH_ACCESS ? "awatch" : "watch",
			       (unsigned long long)s->stop.addr);
	else if (s->signal == SIGNAL_TRAP && s->stop.kind == GDB_STOP_SOFT && s->swbreak)
		gdb_reply_text(&s->out, "swbreak:;");
	else if (s->signal == SIGNAL_TRAP && s->stop.kind == GDB_STOP_HARD && s->hwbreak)
		gdb_reply_text(&s->out, "hwbreak:;");
	gdb_reply_text(&s->out, "thread:%x;", s->stop.cpu + 1);
}

static void send_reply(struct gdb_stub *s)
{
	gdb_reply_end(&s->out);
	s->ops->send(s->opaque, s->out.data, s->out.len);
}

static void report_stop(struct gdb_stub *s, int signal)
{
	s->running = false;
	s->signal = signal;
	s->cpu = s->step_cpu = s->stop.cpu;
	gdb_reply_begin(&s->out);
	put_stop(s);
	send_reply(s);
}

bool gdb_stub_stopped(struct gdb_stub *s)
{
	struct gdb_stop stop;

	/* One at a time: the others are told when the debugger wants to go on. */
	if (!s->running)
		return true;
	if (!gdb_target_next_stop(s->target, &stop))
		return false;
	s->ops->halt(s->opaque);
	s->stop = stop;
	report_stop(s, SIGNAL_TRAP);
	return true;
}

static void go_on(struct gdb_stub *s, const enum gdb_run *run)
{
	gdb_target_prepare(s->target, run);
	s->running = true;
	/* What stopped meanwhile comes first. */
	if (!gdb_stub_stopped(s))
		s->ops->resume(s->opaque);
}

/* ---- Threads ---- */

/* "1f", "0" (any), "-1" (all); the number of a vCPU, or -1 for all and for any. */
static bool parse_thread(const struct gdb_stub *s, const char **p, int *cpu)
{
	uint64_t v;

	*cpu = -1;
	if (!strncmp(*p, "-1", 2)) {
		*p += 2;
		return true;
	}
	if (!gdb_parse_hex(p, &v) || v > gdb_target_cpus(s->target))
		return false;
	*cpu = (int)v - 1;
	return true;
}

static void do_set_thread(struct gdb_stub *s, const char *p)
{
	char what = *p;
	int cpu;

	p += what != '\0';
	if ((what != 'g' && what != 'c') || !parse_thread(s, &p, &cpu) || *p) {
		reply_error(s, ERROR_BAD);
		return;
	}
	if (cpu >= 0 && what == 'g')
		s->cpu = (unsigned int)cpu;
	if (cpu >= 0 && what == 'c')
		s->step_cpu = (unsigned int)cpu;
	reply_ok(s);
}

static void do_thread_alive(struct gdb_stub *s, const char *p)
{
	int cpu;

	if (parse_thread(s, &p, &cpu) && !*p && cpu >= 0)
		reply_ok(s);
	else
		reply_error(s, ERROR_BAD);
}

static void do_thread_list(struct gdb_stub *s, bool first)
{
	unsigned int cpus = gdb_target_cpus(s->target), n = 0;

	if (first)
		s->next_thread = 0;
	for (; s->next_thread < cpus && n < 64; s->next_thread++)
		gdb_reply_text(&s->out, "%s%x", n++ ? "," : "m", s->next_thread + 1);
	if (!n)
		gdb_reply_text(&s->out, "l");
}

static void do_thread_name(struct gdb_stub *s, const char *p)
{
	char name[32];
	int cpu;

	if (!parse_thread(s, &p, &cpu) || *p || cpu < 0) {
		reply_error(s, ERROR_BAD);
		return;
	}
	snprintf(name, sizeof(name), "vCPU %d", cpu);
	gdb_reply_hex(&s->out, name, strlen(name));
}

/* ---- Registers ---- */

static void do_get_regs(struct gdb_stub *s)
{
	uint8_t buf[GDB_REG_MAX];
	struct gdb_cpu cpu;

	if (gdb_target_get(s->target, s->cpu, &cpu)) {
		reply_error(s, ERROR_BAD);
		return;
	}
	for (unsigned int n = 0; n < GDB_REGS_G; n++)
		gdb_reply_hex(&s->out, buf, gdb_reg_get(&cpu, n, buf));
}

static void set_cpu(struct gdb_stub *s, const struct gdb_cpu *cpu)
{
	if (gdb_target_set(s->target, s->cpu, cpu))
		reply_error(s, ERROR_BAD);
	else
		reply_ok(s);
}

static void do_set_regs(struct gdb_stub *s, const char *p)
{
	uint8_t buf[GDB_REG_MAX];
	struct gdb_cpu cpu;

	if (gdb_target_get(s->target, s->cpu, &cpu)) {
		reply_error(s, ERROR_BAD);
		return;
	}
	for (unsigned int n = 0; n < GDB_REGS_G; n++) {
		size_t size = gdb_reg_size(n);

		if (!gdb_parse_bytes(p, buf, size)) {
			reply_error(s, ERROR_BAD);
			return;
		}
		gdb_reg_set(&cpu, n, buf);
		p += 2 * size;
	}
	set_cpu(s, &cpu);
}

static void do_get_reg(struct gdb_stub *s, const char *p)
{
	uint8_t buf[GDB_REG_MAX];
	struct gdb_cpu cpu;
	uint64_t n;

	if (!gdb_parse_hex(&p, &n) || *p || n > 255 || gdb_target_get(s->target, s->cpu, &cpu))
		reply_error(s, ERROR_BAD);
	else if (!gdb_reg_size((unsigned int)n))
		gdb_reply_text(&s->out, "xxxxxxxxxxxxxxxx");	/* not available */
	else
		gdb_reply_hex(&s->out, buf, gdb_reg_get(&cpu, (unsigned int)n, buf));
}

static void do_set_reg(struct gdb_stub *s, const char *p)
{
	uint8_t buf[GDB_REG_MAX];
	struct gdb_cpu cpu;
	uint64_t n;
	size_t size;

	if (!gdb_parse_hex(&p, &n) || *p != '=' || n > 255) {
		reply_error(s, ERROR_BAD);
		return;
	}
	size = gdb_reg_size((unsigned int)n);
	if (!size || strlen(p + 1) != 2 * size || !gdb_parse_bytes(p + 1, buf, size) ||
	    gdb_target_get(s->target, s->cpu, &cpu)) {
		reply_error(s, ERROR_BAD);
		return;
	}
	gdb_reg_set(&cpu, (unsigned int)n, buf);
	set_cpu(s, &cpu);
}

/* ---- Memory ---- */

/* "ADDR,LEN" and then @end. */
static bool parse_range(const char **p, char end, uint64_t *addr, uint64_t *len)
{
	if (!gdb_parse_hex(p, addr) || *(*p)++ != ',' || !gdb_parse_hex(p, len))
		return false;
	return *(*p)++ == end;
}

static void do_read_memory(struct gdb_stub *s, const char *p)
{
	uint64_t addr, len;
	size_t n;

	if (!parse_range(&p, '\0', &addr, &len)) {
		reply_error(s, ERROR_BAD);
		return;
	}
	if (len > sizeof(s->scratch))
		len = sizeof(s->scratch);
	n = gdb_target_read(s->target, s->cpu, addr, s->scratch, (size_t)len);
	if (!n && len)
		reply_error(s, ERROR_MEMORY);
	else
		gdb_reply_hex(&s->out, s->scratch, n);
}

static void write_memory(struct gdb_stub *s, uint64_t addr, const void *buf, size_t len)
{
	if (gdb_target_write(s->target, s->cpu, addr, buf, len) == len)
		reply_ok(s);
	else
		reply_error(s, ERROR_MEMORY);
}

static void do_write_memory(struct gdb_stub *s, const char *p)
{
	uint64_t addr, len;

	if (!parse_range(&p, ':', &addr, &len) || len > sizeof(s->scratch) ||
	    strlen(p) != 2 * len || !gdb_parse_bytes(p, s->scratch, (size_t)len))
		reply_error(s, ERROR_BAD);
	else
		write_memory(s, addr, s->scratch, (size_t)len);
}

static void do_write_binary(struct gdb_stub *s, const char *p)
{
	const char *end = s->in.data + s->in.len;
	uint64_t addr, len;

	/* The bytes may be zeroes, but what comes before them has none. */
	if (!parse_range(&p, ':', &addr, &len) || p > end || len != (uint64_t)(end - p))
		reply_error(s, ERROR_BAD);
	else
		write_memory(s, addr, p, (size_t)len);
}

/* ---- Breakpoints ---- */

static void do_break(struct gdb_stub *s, const char *p, bool insert)
{
	enum gdb_break kind = (enum gdb_break)(*p - '0');
	uint64_t addr, len;
	int ret;

	if (*p < '0' || *p > '4')
		return;		/* an empty reply: no such kind */
	p++;
	if (*p++ != ',' || !parse_range(&p, '\0', &addr, &len)) {
		reply_error(s, ERROR_BAD);
		return;
	}
	if (insert)
		ret = gdb_target_insert(s->target, s->cpu, kind, addr, len);
	else
		ret = gdb_target_remove(s->target, s->cpu, kind, addr, len);
	if (!ret)
		reply_ok(s);
	else if (ret != -ENOTSUP)
		reply_error(s, ret == -EFAULT ? ERROR_MEMORY : ERROR_BAD);
}

/* ---- Running ---- */

static void set_all(struct gdb_stub *s, enum gdb_run *run, enum gdb_run how)
{
	for (unsigned int i = 0; i < gdb_target_cpus(s->target); i++)
		run[i] = how;
}

static bool parse_action(const char **p, enum gdb_run *how)
{
	char action = **p;
	uint64_t signal;

	if (action != 'c' && action != 's' && action != 'C' && action != 'S')
		return false;
	*how = action == 'c' || action == 'C' ? GDB_CONTINUE : GDB_STEP;
	++*p;
	/* A guest takes no signals. */
	return action == 'c' || action == 's' || gdb_parse_hex(p, &signal);
}

/* ";ACTION[:THREAD]..."; the first that fits a thread counts, the others hold. True: it goes on. */
static bool do_vcont(struct gdb_stub *s, const char *p)
{
	enum gdb_run run[GDB_MAX_CPUS], how;
	bool set[GDB_MAX_CPUS] = { false };
	int cpu;

	set_all(s, run, GDB_HOLD);
	while (*p) {
		if (*p++ != ';' || !parse_action(&p, &how))
			goto bad;
		cpu = -1;
		if (*p == ':' && (p++, !parse_thread(s, &p, &cpu)))
			goto bad;
		for (int i = 0; i < (int)gdb_target_cpus(s->target); i++) {
			if (set[i] || (cpu >= 0 && cpu != i))
				continue;
			run[i] = how;
			set[i] = true;
		}
	}
	go_on(s, run);
	return true;
bad:
	reply_error(s, ERROR_BAD);
	return false;
}

/* The old commands: c, s, C, S, perhaps with an address. */
static bool do_run(struct gdb_stub *s, const char *p)
{
	enum gdb_run run[GDB_MAX_CPUS], how;
	struct gdb_cpu cpu;
	uint64_t addr;

	if (!parse_action(&p, &how))
		goto bad;
	p += *p == ';';
	if (*p) {
		if (!gdb_parse_hex(&p, &addr) || *p ||
		    gdb_target_get(s->target, s->step_cpu, &cpu))
			goto bad;
		cpu.regs.rip = addr;
		if (gdb_target_set(s->target, s->step_cpu, &cpu))
			goto bad;
	}
	set_all(s, run, how == GDB_STEP ? GDB_HOLD : GDB_CONTINUE);
	run[s->step_cpu] = how;
	go_on(s, run);
	return true;
bad:
	reply_error(s, ERROR_BAD);
	return false;
}

/* True: nothing is replied. */
static bool do_v(struct gdb_stub *s, const char *p)
{
	if (!strcmp(p, "Cont?"))
		gdb_reply_text(&s->out, "vCont;c;C;s;S");
	else if (!strncmp(p, "Cont;", 5))
		return do_vcont(s, p + 4);
	else if (!strncmp(p, "Kill;", 5)) {
		reply_ok(s);
		s->ops->kill(s->opaque);
	}
	return false;
}

/* ---- Questions ---- */

static void do_supported(struct gdb_stub *s, const char *p)
{
	s->swbreak = strstr(p, "swbreak+");
	s->hwbreak = strstr(p, "hwbreak+");
	gdb_reply_text(&s->out, "PacketSize=%x;qXfer:features:read+;vContSupported+;"
		       "QStartNoAckMode+;swbreak+;hwbreak+", GDB_PACKET_MAX);
}

/* "target.xml:OFFSET,LENGTH" */
static void do_features(struct gdb_stub *s, const char *p)
{
	static const char file[] = "target.xml:";
	const char *xml = gdb_target_xml();
	uint64_t off, len, size = strlen(xml);

	if (strncmp(p, file, strlen(file)) ||
	    (p += strlen(file), !parse_range(&p, '\0', &off, &len)) || off > size) {
		reply_error(s, ERROR_BAD);
		return;
	}
	if (len > GDB_PACKET_MAX / 2)
		len = GDB_PACKET_MAX / 2;
	gdb_reply_text(&s->out, off + len >= size ? "l" : "m");
	gdb_reply_binary(&s->out, xml + off, (size_t)(len < size - off ? len : size - off));
}

static void do_query(struct gdb_stub *s, const char *p)
{
	static const char features[] = "Xfer:features:read:", extra[] = "ThreadExtraInfo,";

	if (!strncmp(p, "Supported", 9))
		do_supported(s, p + 9);
	else if (!strcmp(p, "fThreadInfo") || !strcmp(p, "sThreadInfo"))
		do_thread_list(s, *p == 'f');
	else if (!strcmp(p, "C"))
		gdb_reply_text(&s->out, "QC%x", s->cpu + 1);
	else if (!strcmp(p, "Attached"))
		gdb_reply_text(&s->out, "1");	/* leaving it is not ending it */
	else if (!strncmp(p, features, strlen(features)))
		do_features(s, p + strlen(features));
	else if (!strncmp(p, extra, strlen(extra)))
		do_thread_name(s, p + strlen(extra));
}

/* ---- Packets ---- */

static void do_detach(struct gdb_stub *s)
{
	reply_ok(s);
	s->detached = true;
}

/* True: nothing is replied (yet). What is not known gets an empty reply. */
static bool handle(struct gdb_stub *s, const char *p)
{
	switch (*p++) {
	case '?':
		put_stop(s);
		break;
	case 'H':
		do_set_thread(s, p);
		break;
	case 'T':
		do_thread_alive(s, p);
		break;
	case 'g':
		do_get_regs(s);
		break;
	case 'G':
		do_set_regs(s, p);
		break;
	case 'p':
		do_get_reg(s, p);
		break;
	case 'P':
		do_set_reg(s, p);
		break;
	case 'm':
		do_read_memory(s, p);
		break;
	case 'M':
		do_write_memory(s, p);
		break;
	case 'X':
		do_write_binary(s, p);
		break;
	case 'Z':
	case 'z':
		do_break(s, p, p[-1] == 'Z');
		break;
	case 'c':
	case 'C':
	case 's':
	case 'S':
		return do_run(s, p - 1);
	case 'v':
		return do_v(s, p);
	case 'q':
		do_query(s, p);
		break;
	case 'Q':
		if (!strcmp(p, "StartNoAckMode")) {
			s->no_ack = true;
			reply_ok(s);
		}
		break;
	case 'D':
		do_detach(s);
		break;
	case 'k':
		s->ops->kill(s->opaque);
		return true;
	}
	return false;
}

static void interrupt(struct gdb_stub *s)
{
	struct gdb_stop stop;

	if (!s->running)
		return;
	s->ops->halt(s->opaque);
	/* It may have stopped by itself at the same moment. */
	if (gdb_target_next_stop(s->target, &stop)) {
		s->stop = stop;
		report_stop(s, SIGNAL_TRAP);
		return;
	}
	s->stop = (struct gdb_stop){ .cpu = s->cpu };
	report_stop(s, SIGNAL_INT);
}

static void packet(struct gdb_stub *s)
{
	/* While the guest runs a debugger that keeps to the protocol sends none. */
	if (s->running)
		return;
	gdb_reply_begin(&s->out);
	if (!handle(s, s->in.data))
		send_reply(s);
}

void gdb_stub_feed(struct gdb_stub *s, const uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len && !s->detached; i++) {
		bool ack = !s->no_ack;

		switch (gdb_receive(&s->in, buf[i])) {
		case GDB_PACKET:
			if (ack)
				s->ops->send(s->opaque, "+", 1);
			packet(s);
			break;
		case GDB_BAD:
			if (ack)
				s->ops->send(s->opaque, "-", 1);
			break;
		case GDB_INTERRUPT:
			interrupt(s);
			break;
		case GDB_NOTHING:
			break;
		}
	}
}

void gdb_stub_begin(struct gdb_stub *s, struct gdb_target *target, const struct gdb_stub_ops *ops,
		    void *opaque)
{
	memset(s, 0, sizeof(*s));
	s->ops = ops;
	s->opaque = opaque;
	s->target = target;
	s->signal = SIGNAL_TRAP;
	s->stop.kind = GDB_STOP_STEP;
}
