// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "emulate_machine.h"

static bool in_ram(u64 la, unsigned int len)
{
	return la < RAM_SIZE && la + len <= RAM_SIZE;
}

static bool in_mmio(u64 la)
{
	return la >= MMIO && la < MMIO + 0x1000;
}

static int m_read(struct hv_emul *e, u64 la, void *buf, unsigned int len, unsigned int access)
{
	struct machine *m = e->opaque;

	m->accesses++;
	if (m->read_error)
		return m->read_error;
	if (in_ram(la, len)) {
		memcpy(buf, m->ram + la, len);
		return HV_EMUL_OK;
	}
	if (!in_mmio(la))
		return hv_emul_raise_pf(e, la, access & HV_EMUL_ACC_WRITE ? 2 : 0);
	e->touched_io = true;
	if (m->used < m->answered) {
		memset(buf, 0, len);
		memcpy(buf, &m->answers[m->used++], len < 8 ? len : 8);
		return HV_EMUL_OK;
	}
	m->asked++;
	m->asked_la = la;
	return HV_EMUL_IO;
}

static int m_write(struct hv_emul *e, u64 la, const void *buf, unsigned int len)
{
	struct machine *m = e->opaque;

	m->accesses++;
	if (in_ram(la, len)) {
		m->ram_writes++;
		memcpy(m->ram + la, buf, len);
		return HV_EMUL_OK;
	}
	if (!in_mmio(la))
		return hv_emul_raise_pf(e, la, 2);
	m->writes++;
	m->written_la = la;
	m->written = 0;
	m->written_len = len;
	memcpy(&m->written, buf, len < 8 ? len : 8);
	return HV_EMUL_IO;
}

static int m_cmpxchg(struct hv_emul *e, u64 la, const void *old, const void *new, unsigned int len,
		     bool *ok)
{
	struct machine *m = e->opaque;

	if (!in_ram(la, len))
		return m_write(e, la, new, len);
	*ok = !m->lost_races && !memcmp(m->ram + la, old, len);
	if (m->lost_races)
		m->lost_races--;
	return *ok ? m_write(e, la, new, len) : HV_EMUL_OK;
}

static int m_probe(struct hv_emul *e, u64 la, unsigned int len, unsigned int access)
{
	if (in_ram(la, len) || in_mmio(la))
		return HV_EMUL_OK;
	return hv_emul_raise_pf(e, la, access & HV_EMUL_ACC_WRITE ? 2 : 0);
}

static int m_fetch(struct hv_emul *e, u64 la, u8 *buf, unsigned int len, unsigned int *got)
{
	struct machine *m = e->opaque;

	if (!in_ram(la, 1))
		return hv_emul_raise_pf(e, la, 0x10);
	*got = m->fetch_step && m->fetch_step < len ? m->fetch_step : len;
	if (la + *got > RAM_SIZE)
		*got = RAM_SIZE - la;
	memcpy(buf, m->ram + la, *got);
	return HV_EMUL_OK;
}

static int m_pio(struct hv_emul *e, bool in, u16 port, unsigned int size, unsigned int count,
		 void *buf)
{
	struct machine *m = e->opaque;

	m->port_calls++;
	m->port = port;
	m->port_size = size;
	m->port_count = count;
	if (size * count > sizeof(m->port_data))
		abort();
	if (!in) {
		memcpy(m->port_data, buf, size * count);
		return HV_EMUL_IO;
	}
	if (!m->port_answered)
		return HV_EMUL_IO;
	memcpy(buf, m->port_data, size * count);
	return HV_EMUL_OK;
}

static int m_fpu_read(struct hv_emul *e, unsigned int reg, void *buf, unsigned int len)
{
	struct machine *m = e->opaque;

	memcpy(buf, m->vec[reg], len);
	return HV_EMUL_OK;
}

static int m_fpu_write(struct hv_emul *e, unsigned int reg, const void *buf, unsigned int len,
		       bool zero)
{
	struct machine *m = e->opaque;

	memcpy(m->vec[reg], buf, len);
	if (zero)
		memset(m->vec[reg] + len, 0, 32 - len);
	return HV_EMUL_OK;
}

static const struct hv_emul_ops machine_ops = {
	.fetch = m_fetch, .read = m_read, .write = m_write, .cmp_write = m_cmpxchg,
	.probe = m_probe, .pio = m_pio, .fpu_read = m_fpu_read, .fpu_write = m_fpu_write,
};

struct machine *machine_new(enum cpu cpu, const char *code, unsigned int len)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct hv_emul *e = &m->e;
	unsigned int i;

	if (!m)
		abort();
	memcpy(m->ram + CODE, code, len);
	e->ops = &machine_ops;
	e->opaque = m;
	e->pio_buf = m->pio_buf;
	e->pio_buf_len = sizeof(m->pio_buf);
	e->rip = CODE;
	e->rflags = 2;
	e->cr4 = 0x40600;
	e->xcr0 = 7;
	e->cr0 = cpu == REAL16 ? 0x10 : 0x80000011;
	e->efer = cpu == LONG64 ? 0xd00 : 0;
	for (i = 0; i < HV_SEG_COUNT; i++) {
		e->seg[i].limit = cpu == REAL16 ? 0xffff : 0xffffffff;
		e->seg[i].attr = cpu == REAL16 ? 0x93 : 0xc93;
	}
	e->seg[HV_SEG_CS].attr = cpu == REAL16 ? 0x9b : cpu == PROT32 ? 0xc9b : 0xa9b;
	e->gpr[HV_RSP] = 0x2000;
	return m;
}

void answer(struct machine *m, u64 val)
{
	m->answers[m->answered++] = val;
	m->used = 0;
}

void forget(struct machine *m)
{
	m->answered = 0;
	m->used = 0;
}
