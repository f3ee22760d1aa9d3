// SPDX-License-Identifier: GPL-2.0-or-later
/* The gdb stub: packets, registers, and a whole conversation with a guest that the test plays. */
#include <errno.h>
#include <stdlib.h>

#include "../../vmm-user/gdb/regs.h"
#include "../../vmm-user/gdb/stub.h"
#include "unit_test.h"

#define CPUS	3
#define MEM	0x1000u		/* addresses from here on are mapped */
#define MEM_LEN	0x3000u

/* ---- A guest ---- */

static struct gdb_cpu cpus[CPUS];
static uint8_t memory[MEM_LEN];
static enum gdb_run runs[CPUS];
static struct gdb_stop pending;
static bool has_pending;
static unsigned int halts, resumes, kills;
static char breaks[256];

unsigned int gdb_target_cpus(struct gdb_target *t)
{
	return CPUS;
}

int gdb_target_get(struct gdb_target *t, unsigned int cpu, struct gdb_cpu *state)
{
	*state = cpus[cpu];
	return 0;
}

int gdb_target_set(struct gdb_target *t, unsigned int cpu, const struct gdb_cpu *state)
{
	cpus[cpu] = *state;
	return 0;
}

static size_t mapped(uint64_t addr, size_t len)
{
	if (addr < MEM || addr - MEM >= MEM_LEN)
		return 0;
	return len < MEM_LEN - (addr - MEM) ? len : (size_t)(MEM_LEN - (addr - MEM));
}

size_t gdb_target_read(struct gdb_target *t, unsigned int cpu, uint64_t addr, void *buf, size_t len)
{
	len = mapped(addr, len);
	memcpy(buf, memory + (len ? addr - MEM : 0), len);
	return len;
}

size_t gdb_target_write(struct gdb_target *t, unsigned int cpu, uint64_t addr, const void *buf,
			size_t len)
{
	len = mapped(addr, len);
	memcpy(memory + (len ? addr - MEM : 0), buf, len);
	return len;
}

static int note_break(char what, unsigned int cpu, enum gdb_break kind, uint64_t addr, uint64_t len)
{
	snprintf(breaks, sizeof(breaks), "%c%d cpu %u %llx+%llx", what, kind, cpu,
		 (unsigned long long)addr, (unsigned long long)len);
	return addr == 0xbad ? -EFAULT : kind == GDB_WATCH_READ ? -ENOTSUP : len > 8 ? -EINVAL : 0;
}

int gdb_target_insert(struct gdb_target *t, unsigned int cpu, enum gdb_break kind, uint64_t addr,
		      uint64_t len)
{
	return note_break('Z', cpu, kind, addr, len);
}

int gdb_target_remove(struct gdb_target *t, unsigned int cpu, enum gdb_break kind, uint64_t addr,
		      uint64_t len)
{
	return note_break('z', cpu, kind, addr, len);
}

void gdb_target_prepare(struct gdb_target *t, const enum gdb_run *run)
{
	memcpy(runs, run, sizeof(runs));
}

bool gdb_target_next_stop(struct gdb_target *t, struct gdb_stop *stop)
{
	bool had = has_pending;

	*stop = pending;
	has_pending = false;
	return had;
}

/* ---- A debugger ---- */

static struct gdb_stub stub;
static char sent[1 << 16];
static size_t sent_len;

static void on_halt(void *opaque)
{
	halts++;
}

static void on_resume(void *opaque)
{
	resumes++;
}

static void on_kill(void *opaque)
{
	kills++;
}

static void on_send(void *opaque, const char *data, size_t len)
{
	CHECK(sent_len + len < sizeof(sent));
	memcpy(sent + sent_len, data, len);
	sent_len += len;
	sent[sent_len] = '\0';
}

static void begin(void)
{
	static const struct gdb_stub_ops ops = { on_halt, on_resume, on_kill, on_send };

	halts = resumes = kills = 0;
	has_pending = false;
	gdb_stub_begin(&stub, NULL, &ops, NULL);
}

static void feed(const void *data, size_t len)
{
	sent_len = 0;
	sent[0] = '\0';
	gdb_stub_feed(&stub, data, len);
}

static uint8_t sum_of(const char *data, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum += (uint8_t)*data++;
	return sum;
}

/* The data of the reply to a packet, without its frame, which is checked. */
static const char *ask_bytes(const char *packet, size_t len)
{
	static char reply[1 << 16];
	char *buf = malloc(len + 8);
	size_t n;

	buf[0] = '$';
	memcpy(buf + 1, packet, len);
	snprintf(buf + 1 + len, 4, "#%02x", sum_of(packet, len));
	feed(buf, len + 4);
	free(buf);
	if (sent[0] != '+' || sent[1] != '$') {
		snprintf(reply, sizeof(reply), "no packet: %s", sent);
		return sent[1] ? reply : "(none)";
	}
	n = sent_len - 5;
	memcpy(reply, sent + 2, n);
	reply[n] = '\0';
	CHECK_EQ(strtoul(sent + sent_len - 2, NULL, 16), sum_of(reply, n));
	CHECK_EQ(sent[sent_len - 3], '#');
	return reply;
}

static const char *ask(const char *packet)
{
	return ask_bytes(packet, strlen(packet));
}

/* ---- Packets ---- */

static enum gdb_input receive(struct gdb_receiver *r, const char *s, size_t len)
{
	enum gdb_input in = GDB_NOTHING;

	while (len--)
		in = gdb_receive(r, (uint8_t)*s++);
	return in;
}

static void test_receive(void)
{
	static const struct {
		const char *in;
		enum gdb_input want;
		const char *data;
	} cases[] = {
		{ "$#00", GDB_PACKET, "" }, { "$g#67", GDB_PACKET, "g" }, { "+$g#67", GDB_PACKET, "g" },
		{ "$m0$g#67", GDB_PACKET, "g" }, { "$g#66", GDB_BAD, NULL }, { "$g#6x", GDB_BAD, NULL },
		{ "$g#x", GDB_BAD, NULL }, { "$g#6", GDB_NOTHING, NULL }, { "g#67", GDB_NOTHING, NULL },
		{ "\x03", GDB_INTERRUPT, NULL }, { "$\x03#03", GDB_PACKET, "\x03" },
		{ "$}\x03#80", GDB_PACKET, "#" }, { "$}]#da", GDB_PACKET, "}" },
		{ "$}#7d", GDB_PACKET, "" }, { "$}$g#67", GDB_PACKET, "g" }, { "", GDB_NOTHING, NULL },
		{ "$g#6A", GDB_BAD, NULL }, { "$J#4A", GDB_PACKET, "J" },
	};
	struct gdb_receiver *r = calloc(1, sizeof(*r));

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(r, 0, sizeof(*r));
		CHECK_EQ(receive(r, cases[i].in, strlen(cases[i].in)), cases[i].want);
		if (cases[i].data)
			CHECK_STR(r->data, cases[i].data);
	}
	free(r);
}

/* The longest packet, and one byte more. */
static void test_receive_long(void)
{
	struct gdb_receiver *r = calloc(1, sizeof(*r));

	for (size_t len = GDB_PACKET_MAX - 1; len <= GDB_PACKET_MAX + 1; len++) {
		char tail[4];

		CHECK_EQ(gdb_receive(r, '$'), GDB_NOTHING);
		for (size_t i = 0; i < len; i++)
			CHECK_EQ(gdb_receive(r, 'x'), GDB_NOTHING);
		snprintf(tail, sizeof(tail), "#%02x", (unsigned int)(len * 'x' & 255));
		CHECK_EQ(receive(r, tail, 3), len <= GDB_PACKET_MAX ? GDB_PACKET : GDB_BAD);
		if (len <= GDB_PACKET_MAX)
			CHECK_EQ(strlen(r->data), len);
	}
	free(r);
}

static void test_numbers(void)
{
	const char *s = "ffffffffffffffff,0", *big = "10000000000000000", *none = "g";
	uint8_t bytes[2];
	uint64_t v;

	CHECK(gdb_parse_hex(&s, &v) && v == UINT64_MAX && *s == ',');
	CHECK(!gdb_parse_hex(&big, &v));
	CHECK(!gdb_parse_hex(&none, &v));
	CHECK(gdb_parse_bytes("0aF5", bytes, 2) && bytes[0] == 10 && bytes[1] == 0xf5);
	CHECK(!gdb_parse_bytes("0aF", bytes, 2));
	CHECK(!gdb_parse_bytes("0ag0", bytes, 2));
	CHECK(!gdb_parse_bytes("", bytes, 1));
}

/* ---- Registers ---- */

static void test_registers(void)
{
	size_t total = 0;

	for (unsigned int n = 0; n < GDB_REGS_G; n++)
		total += gdb_reg_size(n);
	CHECK_EQ(total, 536);	/* what a gdb without XML expects of x86-64 */
	CHECK_EQ(gdb_reg_size(57), 0);
	CHECK_EQ(gdb_reg_size(58), 8);
	CHECK_EQ(gdb_reg_size(66), 0);
	memset(cpus, 0, sizeof(cpus));
	cpus[0].regs.rax = 0x1122334455667788;
	cpus[0].regs.rip = 0xffffffff81000000;
	cpus[0].regs.rflags = 0x246;
	cpus[0].sregs.cs.selector = 0x10;
	cpus[0].sregs.fs.base = 0x7f00;
	cpus[0].sregs.efer = 0xd01;
	begin();
	CHECK(!strncmp(ask("g"), "8877665544332211", 16));
	CHECK_EQ(strlen(ask("g")), 2 * 536);
	CHECK_STR(ask("p10"), "00000081ffffffff");
	CHECK_STR(ask("p11"), "46020000");
	CHECK_STR(ask("p12"), "10000000");
	CHECK_STR(ask("p3a"), "007f000000000000");
	CHECK_STR(ask("p41"), "010d000000000000");
	CHECK_STR(ask("p39"), "xxxxxxxxxxxxxxxx");
	CHECK_STR(ask("p100"), "E16");
	CHECK_STR(ask("P0=0100000000000000"), "OK");
	CHECK_EQ(cpus[0].regs.rax, 1);
	CHECK_STR(ask("P0=01"), "E16");
	CHECK_STR(ask("P0=010000000000000000"), "E16");
	CHECK_STR(ask("P39=00"), "E16");
	CHECK_STR(ask("P0"), "E16");
	CHECK_STR(ask("G00"), "E16");
}

static void test_all_registers(void)
{
	char packet[2 * 536 + 2];

	begin();
	packet[0] = 'G';
	for (size_t i = 1; i < sizeof(packet) - 1; i++)
		packet[i] = "0123456789abcdef"[i * 7 % 16];
	packet[sizeof(packet) - 1] = '\0';
	CHECK_STR(ask(packet), "OK");
	CHECK(!memcmp(ask("g"), packet + 1, 2 * 17 * 8));
	/* Empty, valid, zero and special: the processor's form has a bit for each. */
	cpus[0].fpu.fsw = 7 << 11;
	cpus[0].fpu.ftwx = 0x83;
	memset(cpus[0].fpu.fpr, 0, sizeof(cpus[0].fpu.fpr));
	memcpy(cpus[0].fpu.fpr[0], "\0\0\0\0\0\0\0\x80\xff\x3f", 10);	/* register 7: 1.0 */
	memcpy(cpus[0].fpu.fpr[1], "\0\0\0\0\0\0\0\xc0\xff\x7f", 10);	/* 0: not a number */
	CHECK_STR(ask("p22"), "f63f0000");
	CHECK_STR(ask("P22=feff0000"), "OK");
	CHECK_EQ(cpus[0].fpu.ftwx, 1);
}

static void test_xml(void)
{
	const char *xml = gdb_target_xml(), *reply;
	char *got = calloc(1, strlen(xml) + 1);
	size_t n = 0;

	CHECK(strstr(xml, "<reg name=\"rip\" bitsize=\"64\" type=\"int64\" regnum=\"16\"/>"));
	CHECK(strstr(xml, "<reg name=\"fs_base\" bitsize=\"64\" type=\"int64\" regnum=\"58\"/>"));
	CHECK_STR(xml + strlen(xml) - 9, "</target>");
	begin();
	do {
		char packet[64];

		snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%zx,3ff", n);
		reply = ask(packet);
		CHECK(*reply == 'm' || *reply == 'l');
		if (n + strlen(reply + 1) > strlen(xml))
			break;
		strcpy(got + n, reply + 1);
		n += strlen(reply + 1);
	} while (*reply == 'm');
	CHECK_STR(got, xml);	/* none of it has to be escaped */
	free(got);
	CHECK_STR(ask("qXfer:features:read:target.xml:ffffffffffffffff,1"), "E16");
	CHECK(!strncmp(ask("qXfer:features:read:target.xml:0,ffffffffffffffff"), "m<?xml", 6));
	CHECK_STR(ask("qXfer:features:read:other.xml:0,10"), "E16");
	CHECK_STR(ask("qXfer:features:read:target.xml:0"), "E16");
}

/* ---- Memory ---- */

static void test_memory(void)
{
	begin();
	memcpy(memory, "\x01\x02#$}*\0\xff", 8);
	CHECK_STR(ask("m1000,8"), "010223247d2a00ff");
	CHECK_STR(ask("m1000,0"), "");
	CHECK_STR(ask("m3ffe,8"), "0000");	/* what there is */
	CHECK_STR(ask("m4000,1"), "E0e");
	CHECK_STR(ask("mffffffffffffffff,ffffffffffffffff"), "E0e");
	CHECK_EQ(strlen(ask("m1000,ffffffff")), 2 * GDB_PACKET_MAX);
	CHECK_STR(ask("m"), "E16");
	CHECK_STR(ask("m1000"), "E16");
	CHECK_STR(ask("m1000,"), "E16");
	CHECK_STR(ask("m1000,8x"), "E16");
	CHECK_STR(ask("M1000,2:a1b2"), "OK");
	CHECK(memory[0] == 0xa1 && memory[1] == 0xb2 && memory[2] == '#');
	CHECK_STR(ask("M1000,2:a1"), "E16");
	CHECK_STR(ask("M1000,1:a1b2"), "E16");
	CHECK_STR(ask("M1000,ffffffffffffffff:a1"), "E16");
	CHECK_STR(ask("M1000,8000000000000001:a1"), "E16");
	CHECK_STR(ask("M3fff,2:a1b2"), "E0e");
	CHECK_STR(ask("M0,1:a1"), "E0e");
	CHECK_STR(ask_bytes("X1000,4:\0}\x03\x7f}]", 14), "OK");
	CHECK(!memcmp(memory, "\0#\x7f}", 4));
	CHECK_STR(ask("X1000,0:"), "OK");
	CHECK_STR(ask("X1000,5:abcd"), "E16");
	CHECK_STR(ask("X1000,3:abcd"), "E16");
	CHECK_STR(ask("X1000"), "E16");
}

/* ---- Running ---- */

static void check_run(const char *packet, enum gdb_run a, enum gdb_run b, enum gdb_run c)
{
	begin();
	CHECK_STR(ask(packet), "(none)");
	CHECK(stub.running);
	CHECK_EQ(resumes, 1);
	CHECK_EQ(runs[0], a);
	CHECK_EQ(runs[1], b);
	CHECK_EQ(runs[2], c);
}

static void test_run(void)
{
	static const char *const bad[] = {
		"vCont;x", "vCont;c:4", "vCont;c:", "vCont;C", "vCont;s:1x", "vCont;t", "C", "cx", "s;",
	};

	check_run("vCont;c", GDB_CONTINUE, GDB_CONTINUE, GDB_CONTINUE);
	check_run("vCont;s:2", GDB_HOLD, GDB_STEP, GDB_HOLD);
	check_run("vCont;s:2;c", GDB_CONTINUE, GDB_STEP, GDB_CONTINUE);
	check_run("vCont;S05:1;C05:-1", GDB_STEP, GDB_CONTINUE, GDB_CONTINUE);
	check_run("vCont;c:3;c:1", GDB_CONTINUE, GDB_HOLD, GDB_CONTINUE);
	check_run("c", GDB_CONTINUE, GDB_CONTINUE, GDB_CONTINUE);
	check_run("C05", GDB_CONTINUE, GDB_CONTINUE, GDB_CONTINUE);
	check_run("s", GDB_STEP, GDB_HOLD, GDB_HOLD);
	check_run("s2000", GDB_STEP, GDB_HOLD, GDB_HOLD);
	CHECK_EQ(cpus[0].regs.rip, 0x2000);
	begin();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *reply = ask(bad[i]);

		if (!strcmp(bad[i], "s;"))	/* a step without an address */
			CHECK_STR(reply, "(none)");
		else
			CHECK_STR(reply, "E16");
	}
	CHECK_STR(ask("vCont?"), "(none)");	/* it runs: nobody answers */
}

static const char *stop_with(const char *features, struct gdb_stop stop)
{
	begin();
	ask(features);
	ask("vCont;c");
	pending = stop;
	has_pending = true;
	sent_len = 0;
	CHECK(gdb_stub_stopped(&stub));
	CHECK_EQ(halts, 1);
	CHECK(!stub.running);
	/* The same again when it is asked for. */
	snprintf(breaks, sizeof(breaks), "%.*s", (int)sent_len - 4, sent + 1);
	CHECK_STR(ask("?"), breaks);
	return ask("?");
}

static void test_stops(void)
{
	CHECK_STR(stop_with("qSupported", (struct gdb_stop){ 1, GDB_STOP_STEP, 0, 0 }),
		  "T05thread:2;");
	CHECK_STR(stop_with("qSupported", (struct gdb_stop){ 0, GDB_STOP_SOFT, 0, 0 }),
		  "T05thread:1;");
	CHECK_STR(stop_with("qSupported:swbreak+;hwbreak+", (struct gdb_stop){ 2, GDB_STOP_SOFT, 0, 0 }),
		  "T05swbreak:;thread:3;");
	CHECK_STR(stop_with("qSupported:swbreak+;hwbreak+", (struct gdb_stop){ 2, GDB_STOP_HARD, 0, 0 }),
		  "T05hwbreak:;thread:3;");
	CHECK_STR(stop_with("qSupported", (struct gdb_stop){ 1, GDB_STOP_WATCH, GDB_WATCH_WRITE,
							     0xffff888000001000 }),
		  "T05watch:ffff888000001000;thread:2;");
	CHECK_STR(stop_with("qSupported", (struct gdb_stop){ 1, GDB_STOP_WATCH, GDB_WATCH_ACCESS, 8 }),
		  "T05awatch:8;thread:2;");
	/* Registers are those of the vCPU that stopped. */
	CHECK_STR(ask("qC"), "QC2");
	/* Nothing of ours: the guest goes on. */
	ask("vCont;c");
	CHECK(!gdb_stub_stopped(&stub));
	/* One that stopped at the same time is told before anything runs. */
	resumes = halts = 0;
	feed("\x03", 1);
	CHECK_STR(sent, "$T02thread:2;#d5");
	pending = (struct gdb_stop){ 2, GDB_STOP_STEP, 0, 0 };
	has_pending = true;
	CHECK_STR(ask("vCont;c"), "T05thread:3;");
	CHECK_EQ(resumes, 0);
}

static void test_interrupt(void)
{
	begin();
	feed("\x03", 1);
	CHECK_STR(sent, "");	/* it is halted */
	CHECK_EQ(halts, 0);
	ask("vCont;c");
	feed("\x03\x03", 2);
	CHECK_STR(sent, "$T02thread:1;#d4");
	CHECK_EQ(halts, 1);
	ask("vCont;c");
	/* A packet while it runs is none of a debugger that keeps to the protocol. */
	CHECK_STR(ask("g"), "(none)");
	pending = (struct gdb_stop){ 1, GDB_STOP_HARD, 0, 0 };
	has_pending = true;
	feed("\x03", 1);
	CHECK_STR(sent, "$T05thread:2;#d8");
}

/* ---- The rest ---- */

static void test_threads(void)
{
	begin();
	CHECK_STR(ask("qfThreadInfo"), "m1,2,3");
	CHECK_STR(ask("qsThreadInfo"), "l");
	CHECK_STR(ask("qThreadExtraInfo,2"), "764350552031");	/* "vCPU 1" */
	CHECK_STR(ask("qThreadExtraInfo,4"), "E16");
	CHECK_STR(ask("qThreadExtraInfo,0"), "E16");
	CHECK_STR(ask("T3"), "OK");
	CHECK_STR(ask("T4"), "E16");
	CHECK_STR(ask("T"), "E16");
	CHECK_STR(ask("Hg2"), "OK");
	CHECK_STR(ask("qC"), "QC2");
	CHECK_STR(ask("Hg0"), "OK");
	CHECK_STR(ask("Hg-1"), "OK");
	CHECK_STR(ask("qC"), "QC2");
	CHECK_STR(ask("Hg4"), "E16");
	CHECK_STR(ask("Hx1"), "E16");
	CHECK_STR(ask("H"), "E16");
	CHECK_STR(ask("Hc3"), "OK");
	CHECK_STR(ask("s"), "(none)");
	CHECK_EQ(runs[2], GDB_STEP);
}

static void test_breakpoints(void)
{
	begin();
	CHECK_STR(ask("Z0,ffffffff81000000,1"), "OK");
	CHECK_STR(breaks, "Z0 cpu 0 ffffffff81000000+1");
	CHECK_STR(ask("Hg2"), "OK");
	CHECK_STR(ask("z2,1000,8"), "OK");
	CHECK_STR(breaks, "z2 cpu 1 1000+8");
	CHECK_STR(ask("Z3,1000,8"), "");
	CHECK_STR(ask("Z5,1000,8"), "");
	CHECK_STR(ask("Z"), "");
	CHECK_STR(ask("Z0,bad,1"), "E0e");
	CHECK_STR(ask("Z1,1,9"), "E16");
	CHECK_STR(ask("Z0"), "E16");
	CHECK_STR(ask("Z0,1"), "E16");
	CHECK_STR(ask("Z0,1,1;cmds:1"), "E16");
}

static void test_others(void)
{
	begin();
	CHECK(strstr(ask("qSupported:multiprocess+"), "PacketSize=1000;qXfer:features:read+"));
	CHECK_STR(ask("vMustReplyEmpty"), "");
	CHECK_STR(ask("qAttached"), "1");
	CHECK_STR(ask("qRcmd,00"), "");
	CHECK_STR(ask("!"), "");
	CHECK_STR(ask(""), "");
	CHECK_STR(ask("vKill;1"), "OK");
	CHECK_EQ(kills, 1);
	CHECK_STR(ask("k"), "(none)");
	CHECK_EQ(kills, 2);
	feed("$g#00", 5);
	CHECK_STR(sent, "-");
	CHECK_STR(ask("QStartNoAckMode"), "OK");
	feed("$qC#b4$g#00", 11);
	CHECK_STR(sent, "$QC1#c5");
	/* After its farewell nothing is heard. */
	feed("$D#44$k#6b", 10);
	CHECK_STR(sent, "$OK#9a");
	CHECK(stub.detached);
	CHECK_EQ(kills, 2);
}

/* Every short packet and random ones: the sanitizers look. */
static void test_garbage(void)
{
	static const char letters[] = "?HTgGpPmMXZzcCsSvqQDk0123,;:=-#$}\x03+";
	uint32_t seed = 1;

	begin();
	for (int i = 0; i < 20000; i++) {
		uint8_t buf[64];
		size_t len = 0;

		for (; len < sizeof(buf); len++) {
			seed = seed * 1103515245 + 12345;
			buf[len] = (uint8_t)letters[(seed >> 16) % (sizeof(letters) - 1)];
		}
		feed(buf, len);
		seed = seed * 1103515245 + 12345;
		len = (seed >> 16) % 20;
		ask_bytes((char *)buf, len);
		stub.running = stub.no_ack = stub.detached = false;
		memset(&stub.in, 0, sizeof(stub.in));
	}
}

int main(void)
{
	TEST_RUN(test_receive);
	TEST_RUN(test_receive_long);
	TEST_RUN(test_numbers);
	TEST_RUN(test_registers);
	TEST_RUN(test_all_registers);
	TEST_RUN(test_xml);
	TEST_RUN(test_memory);
	TEST_RUN(test_run);
	TEST_RUN(test_stops);
	TEST_RUN(test_interrupt);
	TEST_RUN(test_threads);
	TEST_RUN(test_breakpoints);
	TEST_RUN(test_others);
	TEST_RUN(test_garbage);
	return TEST_EXIT();
}
