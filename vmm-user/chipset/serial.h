/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_SERIAL_H
#define HVM_SERIAL_H

#include "../../virtio-backends/loop.h"
#include "../../virtio-backends/state.h"
#include "../bus.h"
#include "../irq.h"

/*
 * A 16550A UART (National Semiconductor PC16550D data sheet). Its speed is that of the host: a byte
 * is sent as soon as there is room to keep it.
 */
struct hvm_serial;

struct hvm_serial_config {
	struct hvm_vm *vm;
	struct bus *pio;
	uint16_t port;
	unsigned int gsi;
	struct hv_loop *loop;	/* where input and output happen */
	int in_fd, out_fd;	/* -1: none; the caller's */
	bool drop;		/* throw output away that the host does not take (no one listens) */
	/* Optional: looks at input first, see virtio_console_config. */
	size_t (*filter)(void *opaque, uint8_t *buf, size_t len);
	void *opaque;
};

int hvm_serial_create(const struct hvm_serial_config *cfg, struct hvm_serial **serial,
		      struct hv_err *err);
/* Output that is still on its way is written first, as far as the host takes it. */
void hvm_serial_destroy(struct hvm_serial *serial);
void hvm_serial_reset(struct hvm_serial *serial);
void hvm_serial_save(struct hvm_serial *serial, struct hv_state_writer *w);
int hvm_serial_load(struct hvm_serial *serial, struct hv_state_reader *r, struct hv_err *err);
/* A break condition on the line. Any thread. */
void hvm_serial_send_break(struct hvm_serial *serial);

#endif
