// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A 16550A; see serial.h.
 *
 * vCPU threads access the registers, the loop's thread moves bytes between the host and two
 * buffers. What a vCPU wants of the loop (output to write, room for input again) it says through an
 * eventfd.
 */
#include "serial.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PORTS		8
#define FIFO		16
#define OUT_SIZE	8192u	/* a power of two */
#define OUT_ROOM	FIFO	/* the transmitter is empty while that much fits */
#define IER_BITS	0x0f
#define MCR_BITS	0x1f
#define IIR_FIFO_ON	0xc0
#define IIR_TIMEOUT	0x0c
#define LSR_ERRORS	(UART_LSR_OE | UART_LSR_PE | UART_LSR_FE | UART_LSR_BI)
#define MSR_CONNECTED	(UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)
#define DIVISOR_DEFAULT	12	/* 9600 baud */
#define FLUSH_MS	1000
#define SERIAL_STATE_VERSION 1

struct hvm_serial {
	struct hvm_serial_config cfg;
	struct bus_range *range;

	/* The loop's thread. */
	struct hv_loop_fd *in_watch, *out_watch, *kick_watch;
	int kick_fd;

	pthread_mutex_t lock;	/* all below */
	uint8_t ier, lcr, mcr, scr, fcr;
	uint8_t lsr_errors;
	uint8_t msr, msr_delta;
	uint16_t divisor;
	bool thr_pending;	/* the transmitter became empty, and nobody has looked yet */
	bool irq;		/* level of the line */
	bool in_stalled;	/* input waits for room */
	bool out_kicked;	/* the loop knows that there is output */
	uint8_t fifo[FIFO];
	unsigned int fifo_len;
	uint8_t out[OUT_SIZE];
	unsigned int out_head, out_tail;	/* free-running */
};

static void serial_kick(struct hvm_serial *s)
{
	uint64_t one = 1;

	/* It can only fail when it is signalled already. */
	if (write(s->kick_fd, &one, sizeof(one)) < 0)
		return;
}

/* ---- Interrupts ---- */

static unsigned int serial_fifo_size(const struct hvm_serial *s)
{
	return s->fcr & UART_FCR_ENABLE_FIFO ? FIFO : 1;
}

static unsigned int serial_trigger(const struct hvm_serial *s)
{
	static const uint8_t level[] = { 1, 4, 8, 14 };

	return s->fcr & UART_FCR_ENABLE_FIFO ? level[s->fcr >> 6] : 1;
}

static bool serial_has_room(const struct hvm_serial *s)
{
	return OUT_SIZE - (s->out_head - s->out_tail) >= OUT_ROOM;
}

/* The interrupt identification register: the most urgent reason (data sheet, table III). */
static uint8_t serial_iir(const struct hvm_serial *s)
{
	if ((s->ier & UART_IER_RLSI) && s->lsr_errors)
		return UART_IIR_RLSI;
	if ((s->ier & UART_IER_RDI) && s->fifo_len)
		return s->fifo_len >= serial_trigger(s) ? UART_IIR_RDI : IIR_TIMEOUT;
	if ((s->ier & UART_IER_THRI) && s->thr_pending && serial_has_room(s))
		return UART_IIR_THRI;
	if ((s->ier & UART_IER_MSI) && s->msr_delta)
		return UART_IIR_MSI;
	return UART_IIR_NO_INT;
}

/* OUT2 connects the UART's interrupt to the line, as on every PC. */
static void serial_update_irq(struct hvm_serial *s)
{
	bool level = serial_iir(s) != UART_IIR_NO_INT && (s->mcr & UART_MCR_OUT2);

	if (level == s->irq)
		return;
	s->irq = level;
	hvm_irq_line(s->cfg.vm, s->cfg.gsi, level);
}

/* ---- Receiver and transmitter; the lock is held ---- */

static void serial_receive(struct hvm_serial *s, uint8_t b)
{
	if (s->fifo_len >= serial_fifo_size(s))
		s->lsr_errors |= UART_LSR_OE;
	else
		s->fifo[s->fifo_len++] = b;
}

static uint8_t serial_take(struct hvm_serial *s)
{
	uint8_t b = s->fifo[0];

	if (!s->fifo_len)
		return 0;
	memmove(s->fifo, s->fifo + 1, --s->fifo_len);
	if (s->in_stalled && s->fifo_len <= serial_fifo_size(s) / 2) {
		s->in_stalled = false;
		serial_kick(s);
	}
	return b;
}

static void serial_transmit(struct hvm_serial *s, uint8_t b)
{
	s->thr_pending = true;	/* it is empty again at once, or when there is room */
	if (s->mcr & UART_MCR_LOOP) {
		serial_receive(s, b);
		return;
	}
	if (s->cfg.out_fd < 0 || s->out_head - s->out_tail == OUT_SIZE)
		return;
	s->out[s->out_head++ % OUT_SIZE] = b;
	if (!s->out_kicked) {
		s->out_kicked = true;
		serial_kick(s);
	}
}

/* ---- Modem lines ---- */

/* In loop-back the outputs are connected to the inputs (data sheet, 8.6.6). */
static void serial_update_msr(struct hvm_serial *s)
{
	uint8_t old = s->msr, msr = MSR_CONNECTED, changed;

	if (s->mcr & UART_MCR_LOOP)
		msr = (s->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
		      (s->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
		      (s->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
		      (s->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
	s->msr = msr;
	changed = old ^ msr;
	/* The ring indicator counts when it ends. */
	if (msr & UART_MSR_RI)
		changed &= (uint8_t)~UART_MSR_RI;
	s->msr_delta |= changed >> 4;
}

/* ---- Registers ---- */

static void serial_write_fcr(struct hvm_serial *s, uint8_t v)
{
	bool toggled = (s->fcr ^ v) & UART_FCR_ENABLE_FIFO;

	if (toggled || (v & UART_FCR_CLEAR_RCVR)) {
		s->fifo_len = 0;
		s->lsr_errors = 0;
		if (s->in_stalled) {
			s->in_stalled = false;
			serial_kick(s);
		}
	}
	/* The transmitter's bytes have left already, as far as the guest can see. */
	if (toggled || (v & UART_FCR_CLEAR_XMIT))
		s->thr_pending = true;
	s->fcr = v & UART_FCR_ENABLE_FIFO ? v & (UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK) : 0;
}

static void serial_write_ier(struct hvm_serial *s, uint8_t v)
{
	/* Asking for the interrupt while the transmitter is empty raises it. */
	if ((v & ~s->ier) & UART_IER_THRI)
		s->thr_pending = true;
	s->ier = v & IER_BITS;
}

static void serial_write_reg(struct hvm_serial *s, unsigned int reg, uint8_t v)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_TX:
		if (dlab)
			s->divisor = (s->divisor & 0xff00) | v;
		else
			serial_transmit(s, v);
		break;
	case UART_IER:
		if (dlab)
			s->divisor = (uint16_t)((s->divisor & 0xff) | v << 8);
		else
			serial_write_ier(s, v);
		break;
	case UART_FCR:
		serial_write_fcr(s, v);
		break;
	case UART_LCR:
		s->lcr = v;
		break;
	case UART_MCR:
		s->mcr = v & MCR_BITS;
		serial_update_msr(s);
		break;
	case UART_SCR:
		s->scr = v;
		break;
	}
}

static uint8_t serial_read_iir(struct hvm_serial *s)
{
	uint8_t iir = serial_iir(s);

	/* Reading it is the answer to an empty transmitter. */
	if (iir == UART_IIR_THRI)
		s->thr_pending = false;
	return iir | (s->fcr & UART_FCR_ENABLE_FIFO ? IIR_FIFO_ON : 0);
}

static uint8_t serial_read_lsr(struct hvm_serial *s)
{
	uint8_t v = s->lsr_errors;

	s->lsr_errors = 0;
	if (s->fifo_len)
		v |= UART_LSR_DR;
	if (serial_has_room(s))
		v |= UART_LSR_THRE | UART_LSR_TEMT;
	return v;
}

static uint8_t serial_read_reg(struct hvm_serial *s, unsigned int reg)
{
	bool dlab = s->lcr & UART_LCR_DLAB;
	uint8_t v;

	switch (reg) {
	case UART_RX:
		return dlab ? s->divisor & 0xff : serial_take(s);
	case UART_IER:
		return dlab ? s->divisor >> 8 : s->ier;
	case UART_IIR:
		return serial_read_iir(s);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return serial_read_lsr(s);
	case UART_MSR:
		v = s->msr | s->msr_delta;
		s->msr_delta = 0;
		return v;
	default:
		return s->scr;
	}
}

/* Registers are bytes; a wider access is as many accesses. */
static uint64_t serial_read(void *opaque, uint64_t off, unsigned int size)
{
	struct hvm_serial *s = opaque;
	uint64_t v = 0;

	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < size && off + i < PORTS; i++)
		v |= (uint64_t)serial_read_reg(s, (unsigned int)off + i) << (8 * i);
	serial_update_irq(s);
	pthread_mutex_unlock(&s->lock);
	return v;
}

static void serial_write(void *opaque, uint64_t off, unsigned int size, uint64_t value)
{
	struct hvm_serial *s = opaque;

	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < size && off + i < PORTS; i++)
		serial_write_reg(s, (unsigned int)off + i, (uint8_t)(value >> (8 * i)));
	serial_update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

static const struct bus_ops serial_ops = { .read = serial_read, .write = serial_write };

/* ---- Output, on the loop's thread ---- */

/* Returns true when everything was written, false when the host takes nothing now. */
static bool serial_drain(struct hvm_serial *s)
{
	for (;;) {
		unsigned int at, len;
		ssize_t n;

		pthread_mutex_lock(&s->lock);
		at = s->out_tail % OUT_SIZE;
		len = s->out_head - s->out_tail;
		if (!len)
			s->out_kicked = false;
		pthread_mutex_unlock(&s->lock);
		if (!len)
			return true;
		if (len > OUT_SIZE - at)
			len = OUT_SIZE - at;
		/* Only this thread moves the tail, so these bytes stay. */
		n = write(s->cfg.out_fd, s->out + at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && !s->cfg.drop)
			return false;
		pthread_mutex_lock(&s->lock);
		/* A line that is broken (EPIPE, ENOSPC) loses what is sent over it. */
		s->out_tail += n < 0 ? len : (unsigned int)n;
		serial_update_irq(s);
		pthread_mutex_unlock(&s->lock);
	}
}

static void serial_out_ready(void *opaque, uint32_t events)
{
	struct hvm_serial *s = opaque;

	if (serial_drain(s)) {
		hv_loop_del_fd(s->out_watch);
		s->out_watch = NULL;
	}
}

static void serial_output(struct hvm_serial *s)
{
	if (s->out_watch || serial_drain(s))
		return;
	s->out_watch = hv_loop_add_fd(s->cfg.loop, s->cfg.out_fd, EPOLLOUT, serial_out_ready, s);
}

/* ---- Input, on the loop's thread ---- */

static void serial_in_ready(void *opaque, uint32_t events);

static void serial_watch_input(struct hvm_serial *s, bool on)
{
	if (!on && s->in_watch) {
		hv_loop_del_fd(s->in_watch);
		s->in_watch = NULL;
	} else if (on && !s->in_watch && s->cfg.in_fd >= 0) {
		/* What cannot be watched (a file, /dev/null) is not somebody typing. */
		s->in_watch = hv_loop_add_fd(s->cfg.loop, s->cfg.in_fd, EPOLLIN,
					     serial_in_ready, s);
	}
}

static unsigned int serial_in_room(struct hvm_serial *s)
{
	unsigned int room;

	pthread_mutex_lock(&s->lock);
	room = serial_fifo_size(s) > s->fifo_len ? serial_fifo_size(s) - s->fifo_len : 0;
	if (!room)
		s->in_stalled = true;
	pthread_mutex_unlock(&s->lock);
	return room;
}

static void serial_in_ready(void *opaque, uint32_t events)
{
	struct hvm_serial *s = opaque;
	unsigned int room = serial_in_room(s);
	uint8_t buf[FIFO];
	ssize_t n;

	if (!room) {
		serial_watch_input(s, false);
		return;
	}
	n = read(s->cfg.in_fd, buf, room);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {		/* the end, or the other side is gone */
		serial_watch_input(s, false);
		s->cfg.in_fd = -1;
		return;
	}
	if (s->cfg.filter)
		n = (ssize_t)s->cfg.filter(s->cfg.opaque, buf, (size_t)n);
	pthread_mutex_lock(&s->lock);
	for (ssize_t i = 0; i < n; i++)
		serial_receive(s, buf[i]);
	serial_update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

static void serial_kicked(void *opaque, uint32_t events)
{
	struct hvm_serial *s = opaque;
	uint64_t n;

	if (read(s->kick_fd, &n, sizeof(n)) < 0)
		return;
	serial_output(s);
	serial_watch_input(s, true);
}

void hvm_serial_send_break(struct hvm_serial *s)
{
	pthread_mutex_lock(&s->lock);
	serial_receive(s, 0);
	s->lsr_errors |= UART_LSR_BI;
	serial_update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

/* ---- Life ---- */

void hvm_serial_reset(struct hvm_serial *s)
{
	pthread_mutex_lock(&s->lock);
	s->ier = s->lcr = s->mcr = s->scr = s->fcr = 0;
	s->lsr_errors = s->msr_delta = 0;
	s->msr = MSR_CONNECTED;
	s->divisor = DIVISOR_DEFAULT;
	s->thr_pending = false;
	s->fifo_len = 0;
	if (s->in_stalled) {
		s->in_stalled = false;
		serial_kick(s);
	}
	serial_update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

static void serial_start(void *opaque)
{
	struct hvm_serial *s = opaque;

	s->kick_watch = hv_loop_add_fd(s->cfg.loop, s->kick_fd, EPOLLIN, serial_kicked, s);
	serial_watch_input(s, true);
}

static void serial_stop(void *opaque)
{
	struct hvm_serial *s = opaque;

	serial_watch_input(s, false);
	if (s->out_watch)
		hv_loop_del_fd(s->out_watch);
	if (s->kick_watch)
		hv_loop_del_fd(s->kick_watch);
}

/* The guest's last words; a host that does not take them in a second does not want them. */
static void serial_flush(struct hvm_serial *s)
{
	struct pollfd p = { .fd = s->cfg.out_fd, .events = POLLOUT };

	while (s->cfg.out_fd >= 0 && !serial_drain(s))
		if (poll(&p, 1, FLUSH_MS) <= 0 || !(p.revents & POLLOUT))
			break;
}

int hvm_serial_create(const struct hvm_serial_config *cfg, struct hvm_serial **res,
		      struct hv_err *err)
{
	struct hvm_serial *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return hv_err_set(err, -ENOMEM, "serial port: out of memory");
	s->cfg = *cfg;
	pthread_mutex_init(&s->lock, NULL);
	s->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->kick_fd < 0) {
		ret = hv_err_set(err, -errno, "serial port: eventfd: %s", strerror(errno));
		goto fail;
	}
	hvm_serial_reset(s);
	hv_loop_call(cfg->loop, serial_start, s);
	if (!s->kick_watch) {
		ret = hv_err_set(err, -ENOMEM, "serial port: out of memory");
		goto fail;
	}
	ret = bus_add(cfg->pio, cfg->port, PORTS, &serial_ops, s, "serial", &s->range);
	if (ret) {
		hv_err_set(err, ret, "serial port: port 0x%x: %s", cfg->port, strerror(-ret));
		goto fail;
	}
	*res = s;
	return 0;
fail:
	hvm_serial_destroy(s);
	return ret;
}

void hvm_serial_destroy(struct hvm_serial *s)
{
	if (!s)
		return;
	if (s->range)
		bus_remove(s->cfg.pio, s->range);
	hv_loop_call(s->cfg.loop, serial_stop, s);
	serial_flush(s);
	if (s->kick_fd >= 0)
		close(s->kick_fd);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* ---- State: registers and received bytes; output is written before ---- */

void hvm_serial_save(struct hvm_serial *s, struct hv_state_writer *w)
{
	pthread_mutex_lock(&s->lock);
	hv_state_begin(w, "serial", SERIAL_STATE_VERSION);
	hv_state_put_u8(w, s->ier);
	hv_state_put_u8(w, s->lcr);
	hv_state_put_u8(w, s->mcr);
	hv_state_put_u8(w, s->scr);
	hv_state_put_u8(w, s->fcr);
	hv_state_put_u8(w, s->lsr_errors);
	hv_state_put_u8(w, s->msr_delta);
	hv_state_put_u16(w, s->divisor);
	hv_state_put_u8(w, s->thr_pending);
	hv_state_put_u8(w, (uint8_t)s->fifo_len);
	hv_state_put(w, s->fifo, sizeof(s->fifo));
	hv_state_end(w);
	pthread_mutex_unlock(&s->lock);
}

int hvm_serial_load(struct hvm_serial *s, struct hv_state_reader *r, struct hv_err *err)
{
	uint8_t reg[7], pending, len, fifo[FIFO];
	uint16_t divisor;
	int ret = hv_state_open(r, "serial", SERIAL_STATE_VERSION, err);

	if (ret < 0)
		return ret;
	hv_state_get(r, reg, sizeof(reg));
	divisor = hv_state_get_u16(r);
	pending = hv_state_get_u8(r);
	len = hv_state_get_u8(r);
	hv_state_get(r, fifo, sizeof(fifo));
	ret = hv_state_close(r, err);
	if (ret)
		return ret;
	if (len > FIFO)
		return hv_err_set(err, -EINVAL, "serial port: the state is damaged");
	pthread_mutex_lock(&s->lock);
	s->ier = reg[0] & IER_BITS;
	s->lcr = reg[1];
	s->mcr = reg[2] & MCR_BITS;
	s->scr = reg[3];
	s->fcr = reg[4] & (UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK);
	s->lsr_errors = reg[5] & LSR_ERRORS;
	serial_update_msr(s);
	s->msr_delta = reg[6] & 0x0f;
	s->divisor = divisor;
	s->thr_pending = pending & 1;
	s->fifo_len = len;
	memcpy(s->fifo, fifo, sizeof(fifo));
	s->irq = serial_iir(s) != UART_IIR_NO_INT && (s->mcr & UART_MCR_OUT2);
	pthread_mutex_unlock(&s->lock);
	return 0;
}
