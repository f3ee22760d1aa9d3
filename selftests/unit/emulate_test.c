// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The emulator's contract with its caller: re-execution of device accesses, completion of writes,
 * batches of string instructions, fetching, exceptions, and that a failure commits nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bool_test.h"
#include "emulate_machine.h"
#include "emulate_native.h"
#include "x86/emulate_alu.h"

static bool test_mmio_read(void)
{
	struct machine *m = MACHINE(LONG64, "\x48\x8b\x43\x08");	/* mov rax, [rbx+8] */

	m->e.gpr[HV_RBX] = MMIO;
	m->e.gpr[HV_RAX] = 77;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_IO);
	CHECK(m->asked_la == MMIO + 8 && m->e.gpr[HV_RAX] == 77 && m->e.rip == CODE);
	answer(m, 0x1122334455667788);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK);
	CHECK(m->e.gpr[HV_RAX] == 0x1122334455667788 && m->e.rip == CODE + 4 && m->asked == 1);
	free(m);
	return true;
}

static bool test_mmio_write(void)
{
	struct machine *m = MACHINE(PROT32, "\xc7\x03\x78\x56\x34\x12"); /* mov dword [ebx], imm */

	m->e.gpr[HV_RBX] = MMIO + 4;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK_IO);
	CHECK(m->writes == 1 && m->written == 0x12345678 && m->written_len == 4);
	CHECK(m->written_la == MMIO + 4 && m->e.rip == CODE + 6);
	free(m);
	return true;
}

static bool test_mmio_rmw(void)
{
	struct machine *m = MACHINE(PROT32, "\xf0\x01\x03");	/* lock add [ebx], eax */

	m->e.gpr[HV_RBX] = MMIO;
	m->e.gpr[HV_RAX] = 0xffffffff;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_IO && !m->writes && m->e.rip == CODE);
	answer(m, 1);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK_IO);
	CHECK(m->writes == 1 && m->written == 0 && m->asked == 1 && m->e.rip == CODE + 3);
	CHECK((m->e.rflags & HV_FL_STATUS) == (HV_FL_CF | HV_FL_ZF | HV_FL_PF | HV_FL_AF));
	free(m);
	return true;
}

/* Device to device: a read, then a write, one element at a time. */
static bool test_rep_movs_mmio(void)
{
	struct machine *m = MACHINE(LONG64, "\xf3\xa5");
	unsigned int i;

	m->e.gpr[HV_RSI] = MMIO;
	m->e.gpr[HV_RDI] = MMIO + 0x100;
	m->e.gpr[HV_RCX] = 3;
	m->e.max_iterations = 100;
	for (i = 0; i < 3; i++) {
		CHECK(hv_emul_step(&m->e) == HV_EMUL_IO);
		CHECK(m->asked_la == MMIO + 4 * i && m->e.gpr[HV_RCX] == 3 - i);
		answer(m, 0x100 + i);
		CHECK(hv_emul_step(&m->e) == HV_EMUL_OK_IO);
		CHECK(m->written == 0x100 + i && m->written_la == MMIO + 0x100 + 4 * i);
		CHECK(m->e.gpr[HV_RCX] == 2 - i && m->e.gpr[HV_RSI] == MMIO + 4 * i + 4);
		CHECK(m->e.rip == (i == 2 ? CODE + 2 : CODE));
		forget(m);
	}
	free(m);
	return true;
}

static bool test_cmps_two_reads(void)
{
	struct machine *m = MACHINE(PROT32, "\xa7");

	m->e.gpr[HV_RSI] = MMIO;
	m->e.gpr[HV_RDI] = MMIO + 0x20;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_IO && m->asked_la == MMIO);
	answer(m, 5);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_IO && m->asked_la == MMIO + 0x20);
	CHECK(m->e.gpr[HV_RSI] == MMIO && m->e.rip == CODE);
	answer(m, 6);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->asked == 2);
	CHECK((m->e.rflags & HV_FL_CF) && m->e.gpr[HV_RDI] == MMIO + 0x24 && m->e.rip == CODE + 1);
	free(m);
	return true;
}

static bool test_rep_stos_mmio(void)
{
	struct machine *m = MACHINE(PROT32, "\xf3\xaa");

	m->e.gpr[HV_RDI] = MMIO;
	m->e.gpr[HV_RCX] = 2;
	m->e.gpr[HV_RAX] = 0x5a;
	m->e.max_iterations = 100;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK_IO && m->writes == 1 && m->e.rip == CODE);
	CHECK(m->e.gpr[HV_RCX] == 1 && m->e.gpr[HV_RDI] == MMIO + 1 && m->written == 0x5a);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK_IO && m->writes == 2 && m->e.rip == CODE + 2);
	free(m);
	return true;
}

/* RAM goes in batches of max_iterations; each batch leaves consistent registers. */
static bool test_rep_batch(void)
{
	struct machine *m = MACHINE(LONG64, "\xf3\xa4");
	unsigned int i;

	for (i = 0; i < 250; i++)
		m->ram[0x100 + i] = i;
	m->e.gpr[HV_RSI] = 0x100;
	m->e.gpr[HV_RDI] = 0x1000;
	m->e.gpr[HV_RCX] = 250;
	m->e.max_iterations = 100;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->e.gpr[HV_RCX] == 150 && m->e.rip == CODE);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->e.gpr[HV_RCX] == 50 && m->e.rip == CODE);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->e.gpr[HV_RCX] == 0 && m->e.rip == CODE + 2);
	CHECK(!memcmp(m->ram + 0x100, m->ram + 0x1000, 250));
	m->e.rip = CODE;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->e.rip == CODE + 2);	/* RCX is 0 */
	free(m);
	return true;
}

static bool test_rep_fault_in_the_middle(void)
{
	struct machine *m = MACHINE(LONG64, "\xf3\xab"); /* rep stosd, backwards into nothing */

	m->e.gpr[HV_RDI] = 8;
	m->e.gpr[HV_RCX] = 10;
	m->e.rflags |= HV_FL_DF;
	m->e.max_iterations = 100;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 14);
	CHECK(m->e.exc.address == (u64)-4 && m->e.exc.error == 2 && m->e.exc.has_error);
	CHECK(m->e.gpr[HV_RCX] == 7 && m->e.gpr[HV_RDI] == (u64)-4 && m->e.rip == CODE);
	free(m);
	return true;
}

/*
 * An errno must not hide iterations that are done: they are reported first, the errno comes again.
 */
static bool test_rep_errno(void)
{
	struct machine *m = MACHINE(LONG64, "\xf3\xac");

	m->e.gpr[HV_RCX] = 5;
	m->e.max_iterations = 2;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->e.gpr[HV_RCX] == 3);
	m->read_error = -EAGAIN;
	CHECK(hv_emul_step(&m->e) == -EAGAIN && m->e.gpr[HV_RCX] == 3 && m->e.rip == CODE);
	free(m);
	return true;
}

static bool test_repne_scas_mmio(void)
{
	struct machine *m = MACHINE(PROT32, "\xf2\xae");

	m->e.gpr[HV_RDI] = MMIO;
	m->e.gpr[HV_RCX] = 9;
	m->e.gpr[HV_RAX] = 0x42;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_IO);
	answer(m, 0x41);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->e.rip == CODE && m->e.gpr[HV_RCX] == 8);
	forget(m);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_IO && m->asked_la == MMIO + 1);
	answer(m, 0x42);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->e.rip == CODE + 2 && m->e.gpr[HV_RCX] == 7);
	CHECK(m->e.rflags & HV_FL_ZF);
	free(m);
	return true;
}

static bool test_ins_batch(void)
{
	struct machine *m = MACHINE(PROT32, "\xf3\x6d");	/* rep insd */
	unsigned int i;

	m->e.gpr[HV_RDI] = 0xff8;	/* two elements up to the page's end */
	m->e.gpr[HV_RCX] = 20;
	m->e.gpr[HV_RDX] = 0x1f0;
	for (i = 0; i < sizeof(m->port_data); i++)
		m->port_data[i] = i + 1;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_IO);
	CHECK(m->port == 0x1f0 && m->port_size == 4 && m->port_count == 2);
	CHECK(m->e.gpr[HV_RCX] == 20 && !m->ram_writes);
	m->port_answered = true;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->port_count == 2);
	CHECK(m->e.gpr[HV_RCX] == 18 && m->e.gpr[HV_RDI] == 0x1000 && m->e.rip == CODE);
	CHECK(!memcmp(m->ram + 0xff8, m->port_data, 8));
	/* The next batch is as large as the buffer. */
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->port_count == 16);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->port_count == 2 && m->e.rip == CODE + 2);
	CHECK(m->e.gpr[HV_RCX] == 0 && m->e.gpr[HV_RDI] == 0xff8 + 80);
	free(m);
	return true;
}

/* The destination is checked before the port is read. */
static bool test_ins_fault(void)
{
	struct machine *m = MACHINE(PROT32, "\x6c");

	m->e.gpr[HV_RDI] = HOLE;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 14 && !m->port_calls);
	CHECK(m->e.exc.address == HOLE && m->e.gpr[HV_RDI] == HOLE);
	free(m);
	return true;
}

static bool test_outs(void)
{
	struct machine *m = MACHINE(REAL16, "\xf3\x6e");	/* rep outsb */

	memcpy(m->ram + 0x200, "hello", 5);
	m->e.gpr[HV_RSI] = 0xabcd0200;
	m->e.gpr[HV_RCX] = 0x10005;
	m->e.gpr[HV_RDX] = 0x3f8;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK_IO && m->port_count == 5 && m->port == 0x3f8);
	CHECK(!memcmp(m->port_data, "hello", 5) && m->e.rip == CODE + 2);
	CHECK(m->e.gpr[HV_RSI] == 0xabcd0205 && m->e.gpr[HV_RCX] == 0x10000);
	/* Downwards one at a time. */
	m->e.rip = CODE;
	m->e.rflags |= HV_FL_DF;
	m->e.gpr[HV_RCX] = 2;
	m->e.gpr[HV_RSI] = 0x201;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK_IO && m->port_count == 1 && m->port_data[0] == 'e');
	CHECK(m->e.rip == CODE && m->e.gpr[HV_RSI] == 0x200);
	free(m);
	return true;
}

static bool test_in_out(void)
{
	struct machine *m = MACHINE(PROT32, "\x66\xed\xe6\x80"); /* in ax, dx; out 0x80, al */

	m->e.gpr[HV_RDX] = 0xffff1234;
	m->e.gpr[HV_RAX] = 0x11223344;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_IO && m->port == 0x1234 && m->port_size == 2);
	m->port_answered = true;
	memcpy(m->port_data, "\xcd\xab", 2);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->e.gpr[HV_RAX] == 0x1122abcd);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK_IO && m->port == 0x80 && m->port_data[0] == 0xcd);
	CHECK(m->e.rip == CODE + 4);
	free(m);
	return true;
}

/* Races for locked memory are retried, and given back to the guest when there is no end of them. */
static bool test_lost_races(void)
{
	struct machine *m = MACHINE(LONG64, "\xf0\x48\x0f\xc1\x03");	/* lock xadd [rbx], rax */

	m->e.gpr[HV_RAX] = 3;
	m->e.gpr[HV_RBX] = 0x100;
	m->ram[0x100] = 4;
	m->lost_races = 1000;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->e.rip == CODE && m->e.gpr[HV_RAX] == 3);
	CHECK(m->ram[0x100] == 4 && m->lost_races < 1000);
	m->lost_races = 3;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->e.rip == CODE + 5);
	CHECK(m->e.gpr[HV_RAX] == 4 && m->ram[0x100] == 7);
	free(m);
	return true;
}

static bool test_fetch(void)
{
	/* mov dword [rbx], 0x44332211 at the end of memory, and cut off there */
	static const char code[] = "\xc7\x03\x11\x22\x33\x44";
	struct machine *m = machine_new(LONG64, code, 6);
	u8 *end = m->ram + RAM_SIZE;

	m->e.gpr[HV_RBX] = MMIO;
	m->fetch_step = 1;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK_IO && m->written == 0x44332211);
	memcpy(end - 6, code, 6);
	m->e.rip = RAM_SIZE - 6;
	m->fetch_step = 0;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK_IO && m->e.rip == RAM_SIZE);
	memcpy(end - 3, code, 3);
	m->e.rip = RAM_SIZE - 3;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 14);
	CHECK(m->e.exc.address == RAM_SIZE && m->e.exc.error == 0x10);
	/* Bytes that the CPU has reported come first, the rest is fetched. */
	m->e.rip = CODE;
	memset(m->ram + CODE, 0xcc, 3);
	memcpy(m->e.code, code, 3);
	m->e.code_len = 3;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK_IO && m->e.rip == CODE + 6);
	free(m);
	return true;
}

static bool test_fetch_limit(void)
{
	struct machine *m = MACHINE(PROT32, "\x8b\x03");

	m->e.seg[HV_SEG_CS].limit = CODE;	/* only the first byte is inside */
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 13);
	CHECK(m->e.exc.has_error && !m->e.exc.error);
	free(m);
	return true;
}

static bool test_invalid_code(void)
{
	struct machine *m = MACHINE(LONG64, "\x06");	/* push es: not in 64-bit code */

	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 6 && !m->e.exc.has_error);
	memset(m->ram + CODE, 0x66, 15);
	m->ram[CODE + 15] = 0x90;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 13);
	memcpy(m->ram + CODE, "\xf0\x8b\x03", 3);	/* lock mov */
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 6);
	free(m);
	return true;
}

/*
 * 16-bit effective addresses wrap, accesses beyond the limit do not; no error codes in real mode.
 */
static bool test_real_mode(void)
{
	struct machine *m = MACHINE(REAL16, "\x8b\x40\x02\x8b\x00"); /* mov ax,[bx+si+2]; [bx+si] */

	m->e.gpr[HV_RBX] = 0xfff0;
	m->e.gpr[HV_RSI] = 0x10;
	m->ram[2] = 0x34;
	m->ram[3] = 0x12;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->e.gpr[HV_RAX] == 0x1234);
	m->e.gpr[HV_RSI] = 0xf;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 13 && !m->e.exc.has_error);
	/* The stack segment has its own exception. */
	memcpy(m->ram + CODE, "\x8b\x46\x01", 3);	/* mov ax, [bp+1] */
	m->e.rip = CODE;
	m->e.gpr[HV_RBP] = 0xfffe;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 12 && !m->e.exc.has_error);
	/* Bases count. */
	m->e.gpr[HV_RBP] = 0xf;
	m->e.seg[HV_SEG_SS].base = MMIO;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_IO && m->asked_la == MMIO + 0x10);
	free(m);
	return true;
}

static bool test_vm86(void)
{
	struct machine *m = MACHINE(PROT32, "\x8b\x07");	/* mov ax, [bx] */
	unsigned int i;

	m->e.rflags |= HV_FL_VM;
	m->e.cpl = 3;
	for (i = 0; i < HV_SEG_COUNT; i++)
		m->e.seg[i] = (struct hv_emul_seg){ .limit = 0xffff, .attr = 0xf3 };
	m->e.gpr[HV_RBX] = 0xffff;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 13 && m->e.exc.has_error);
	m->e.gpr[HV_RBX] = 0x100;
	m->ram[0x100] = 9;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->e.gpr[HV_RAX] == 9 && m->e.insn.opsize == 2);
	free(m);
	return true;
}

static bool test_segment_types(void)
{
	struct machine *m = MACHINE(PROT32, "\x89\x03\x8b\x03");	/* store, load */

	m->e.gpr[HV_RBX] = 0x100;
	m->e.seg[HV_SEG_DS].attr = 0xc91;	/* read-only */
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 13);
	m->e.rip += 2;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK);
	m->e.rip = CODE + 2;
	m->e.seg[HV_SEG_DS].attr = 0xc99;	/* code, not readable */
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 13);
	m->e.seg[HV_SEG_DS].attr = 0;		/* null */
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 13);
	m->e.seg[HV_SEG_DS].attr = 0xc97;	/* expand-down: only above the limit */
	m->e.seg[HV_SEG_DS].limit = 0x100;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 13);
	m->e.gpr[HV_RBX] = 0x101;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK);
	free(m);
	return true;
}

static bool test_canonical(void)
{
	struct machine *m = MACHINE(LONG64, "\x8b\x03\x8b\x04\x24");	/* mov eax, [rbx]; [rsp] */

	m->e.gpr[HV_RBX] = 0x7ffffffffffd;	/* its last byte is not canonical */
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 13 && !m->e.exc.error);
	m->e.cr4 |= 1 << 12;			/* 57 bits */
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 14);
	m->e.cr4 &= ~(1 << 12);
	m->e.rip = CODE + 2;
	m->e.gpr[HV_RSP] = 1ULL << 63;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 12);
	free(m);
	return true;
}

static bool test_vector_gates(void)
{
	struct machine *m = MACHINE(LONG64, "\x0f\x10\x03");	/* movups xmm0, [rbx] */

	m->e.cr4 = 0;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 6);
	m->e.cr4 = 0x200;
	m->e.cr0 |= 8;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 7);
	m->e.cr0 ^= 8 | 4;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 6);
	m->e.cr0 ^= 4;
	m->ram[0] = 0xab;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->vec[0][0] == 0xab);
	memcpy(m->ram + CODE, "\xc5\xfc\x10\x03", 4);	/* vmovups ymm0, [rbx] */
	m->e.rip = CODE;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 6);
	m->e.cr4 |= 0x40000;
	m->e.xcr0 = 3;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 6);
	m->e.xcr0 = 7;
	m->ram[31] = 0xcd;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->vec[0][31] == 0xcd);
	free(m);
	return true;
}

static bool test_vector_mmio(void)
{
	struct machine *m = MACHINE(LONG64, "\xf3\x44\x0f\x6f\x0b\x66\x44\x0f\xe7\x0b");

	m->e.gpr[HV_RBX] = MMIO;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_IO);	/* movdqu xmm9, [rbx] */
	answer(m, 0x1234567890);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->vec[9][4] == 0x12);
	forget(m);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK_IO);	/* movntdq [rbx], xmm9 */
	CHECK(m->written_len == 16 && m->written == 0x1234567890);
	m->e.rip = CODE + 5;
	m->e.gpr[HV_RBX] = MMIO + 8;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 13);
	free(m);
	return true;
}

static bool test_stack_and_branch(void)
{
	struct machine *m = MACHINE(LONG64, "\xff\x33\x8f\x03\xff\x13"); /* push, pop, call [rbx] */

	m->e.gpr[HV_RBX] = MMIO;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_IO && m->e.gpr[HV_RSP] == 0x2000);
	answer(m, 0x55);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->e.gpr[HV_RSP] == 0x1ff8);
	CHECK(m->ram[0x1ff8] == 0x55);
	forget(m);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK_IO && m->written == 0x55 && m->written_len == 8);
	CHECK(m->e.gpr[HV_RSP] == 0x2000);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_IO);
	answer(m, 0x123456);
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->e.rip == 0x123456);
	CHECK(m->e.gpr[HV_RSP] == 0x1ff8 && m->ram[0x1ff8] == 6 && m->ram[0x1ff9] == 0x30);
	free(m);
	return true;
}

static bool test_trap_and_skip(void)
{
	struct machine *m = MACHINE(PROT32, "\xc6\x03\x01\x0f\xa2"); /* mov byte [ebx], 1; cpuid */

	m->e.rflags |= HV_FL_TF | HV_FL_RF;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_OK && m->e.trap && !(m->e.rflags & HV_FL_RF));
	m->e.rflags &= ~HV_FL_TF;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_UNHANDLEABLE && m->e.rip == CODE + 3);
	CHECK(hv_emul_decode(&m->e) == HV_EMUL_OK && m->e.insn.len == 2);
	CHECK(m->e.insn.map == HV_MAP_0F && m->e.insn.opcode == 0xa2);
	hv_emul_skip(&m->e);
	CHECK(m->e.rip == CODE + 5 && !m->e.trap);
	free(m);
	return true;
}

static bool test_unhandleable(void)
{
	static const struct { const char *code; unsigned int len; } list[] = {
		{ "\x0f\xae\x03", 3 },		/* fxsave */
		{ "\x0f\x01\x13", 3 },		/* lgdt */
		{ "\xdd\x03", 2 },		/* fld */
		{ "\x0f\x6f\x03", 3 },		/* movq mm0 */
		{ "\xff\x2b", 2 },		/* jmp far */
		{ "\x8e\x1b", 2 },		/* mov ds */
		{ "\x0f\x01\xd9", 3 },		/* vmmcall */
		{ "\xc4\xe2\x7d\x5a\x03", 5 },	/* vbroadcasti128 */
		{ "\x62\xf1\x7c\x48\x10\x03", 6 },	/* vmovups zmm0 */
	};
	unsigned int i;

	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct machine *m = machine_new(LONG64, list[i].code, list[i].len);

		CHECK(hv_emul_step(&m->e) == HV_EMUL_UNHANDLEABLE);
		CHECK(m->e.rip == CODE && !m->accesses && m->e.insn.len == list[i].len);
		free(m);
	}
	return true;
}

static bool test_divide_error(void)
{
	struct machine *m = MACHINE(LONG64, "\xf7\x33");	/* div dword [rbx] */

	m->e.gpr[HV_RBX] = 0x100;
	CHECK(hv_emul_step(&m->e) == HV_EMUL_FAULT && m->e.exc.vector == 0 && !m->e.exc.has_error);
	free(m);
	return true;
}

static bool is_string(u8 opcode)
{
	return (opcode >= 0x6c && opcode <= 0x6f) || (opcode >= 0xa4 && opcode <= 0xa7) ||
	       (opcode >= 0xaa && opcode <= 0xaf);
}

/* Random code and registers; whatever happens, a failed step has changed nothing. */
static bool fuzz_once(enum cpu cpu)
{
	struct machine *m = machine_new(cpu, "", 0);
	struct hv_emul before;
	unsigned int i;
	bool rep;
	int ret;

	for (i = 0; i < 20; i++)
		m->ram[CODE + i] = native_random() >> 32;
	if (native_below(2))
		m->ram[CODE] = native_below(2) ? 0x0f : 0xa4 + native_below(12);
	for (i = 0; i < 16; i++) {
		static const u64 base[] = {
			0, CODE, HOLE - 16, MMIO, MMIO + 0xff0, ~0ULL << 47, ~0ULL,
		};

		m->e.gpr[i] = base[native_below(7)] + native_below(32);
		m->answers[i % MAX_READS] = native_random();
	}
	m->answered = native_below(3);
	m->port_answered = native_below(2);
	m->lost_races = native_below(3) ? 0 : 100;
	m->e.rflags = (native_random() & (HV_FL_STATUS | HV_FL_DF | HV_FL_TF)) | 2;
	m->e.max_iterations = native_below(4);
	m->e.pio_buf_len = 4 + native_below(61);
	m->read_error = native_below(8) ? 0 : -EAGAIN;
	before = m->e;
	ret = hv_emul_step(&m->e);
	rep = (m->e.insn.prefixes & (HV_PFX_REP | HV_PFX_REPNE)) && m->e.insn.map == HV_MAP_ONE &&
	      is_string(m->e.insn.opcode);
	CHECK(ret >= -EAGAIN && ret <= HV_EMUL_UNHANDLEABLE);
	if (ret != HV_EMUL_OK && ret != HV_EMUL_OK_IO) {
		CHECK(m->e.rip == before.rip);
		CHECK(rep || !memcmp(m->e.gpr, before.gpr, sizeof(before.gpr)));
		CHECK(rep || m->e.rflags == before.rflags);
		CHECK(rep || (!m->writes && !m->ram_writes));
	} else {
		CHECK(m->writes <= 1);
		CHECK(rep || m->writes + m->ram_writes <= 1);
		CHECK((ret == HV_EMUL_OK_IO) == m->e.write_pending);
	}
	free(m);
	return true;
}

static bool test_fuzz(void)
{
	unsigned int i;

	for (i = 0; i < 300000; i++)
		if (!fuzz_once(i % 3))
			return false;
	return true;
}

static const struct bool_test tests[] = {
#define T(name) { #name, test_##name }
	T(mmio_read), T(mmio_write), T(mmio_rmw), T(rep_movs_mmio), T(cmps_two_reads),
	T(rep_stos_mmio), T(rep_batch), T(rep_fault_in_the_middle), T(rep_errno),
	T(repne_scas_mmio), T(ins_batch), T(ins_fault), T(outs), T(in_out), T(lost_races),
	T(fetch), T(fetch_limit), T(invalid_code), T(real_mode), T(vm86), T(segment_types),
	T(canonical), T(vector_gates), T(vector_mmio), T(stack_and_branch), T(trap_and_skip),
	T(unhandleable), T(divide_error), T(fuzz),
};

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	native_seed();
	return bool_tests_run(tests, sizeof(tests) / sizeof(tests[0]));
}
