/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_FW_CFG_H
#define HVM_FW_CFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../virtio-backends/guest_mem.h"
#include "../../virtio-backends/state.h"
#include "../bus.h"

/*
 * The device through which firmware reads what the machine is made of, as QEMU has it
 * (docs/specs/fw_cfg): items with a number, some of them files with a name, read byte by byte
 * through ports or at once by DMA. Nothing can be written.
 */
struct hvm_fw_cfg;

/* Offsets from the first port, and their number. */
#define FW_CFG_PORT_SELECTOR	0
#define FW_CFG_PORT_DATA	1
#define FW_CFG_PORT_DMA		4	/* big-endian address of a struct fw_cfg_dma */
#define FW_CFG_PORTS		12

/* Items. */
#define FW_CFG_SIGNATURE	0x0000	/* "QEMU" */
#define FW_CFG_ID		0x0001
#define FW_CFG_RAM_SIZE		0x0003	/* bytes, 64 bits */
#define FW_CFG_NOGRAPHIC	0x0004
#define FW_CFG_NB_CPUS		0x0005	/* 16 bits */
#define FW_CFG_MAX_CPUS		0x000f	/* APIC ids are below it, 16 bits */
#define FW_CFG_FILE_DIR		0x0019
#define FW_CFG_FILE_FIRST	0x0020
#define FW_CFG_IRQ0_OVERRIDE	0x8002	/* the PIT is at pin 2 of the IOAPIC, 8 bits */

#define FW_CFG_ID_PORTS		1u
#define FW_CFG_ID_DMA		2u

#define FW_CFG_MAX_FILES	32
#define FW_CFG_NAME_LEN		56

struct fw_cfg_dma {		/* big-endian */
	uint32_t control;	/* the device writes 0 when it is done */
	uint32_t length;
	uint64_t address;
};
_Static_assert(sizeof(struct fw_cfg_dma) == 16, "QEMU docs/specs/fw_cfg");

#define FW_CFG_DMA_ERROR	0x01u
#define FW_CFG_DMA_READ		0x02u
#define FW_CFG_DMA_SKIP		0x04u
#define FW_CFG_DMA_SELECT	0x08u	/* the item in the upper 16 bits */
#define FW_CFG_DMA_WRITE	0x10u

struct fw_cfg_file {		/* big-endian */
	uint32_t size;
	uint16_t select;
	uint16_t reserved;
	char name[FW_CFG_NAME_LEN];
};
_Static_assert(sizeof(struct fw_cfg_file) == 64, "QEMU docs/specs/fw_cfg");

struct hvm_fw_cfg_config {
	struct bus *pio;
	uint16_t port;
	const struct guest_mem *mem;
	/*
	 * Optional: an item added as "late" is about to be read for the first time since power-on;
	 * hvm_fw_cfg_replace() gives it, and the others, its contents. On a vCPU's thread.
	 */
	void (*refresh)(void *opaque, struct hvm_fw_cfg *f);
	void *opaque;
};

int hvm_fw_cfg_create(const struct hvm_fw_cfg_config *cfg, struct hvm_fw_cfg **f,
		      struct hv_err *err);
void hvm_fw_cfg_destroy(struct hvm_fw_cfg *f);
/* Before the guest runs. Data are copied. */
int hvm_fw_cfg_add(struct hvm_fw_cfg *f, uint16_t key, const void *data, size_t len,
		   struct hv_err *err);
int hvm_fw_cfg_add_file(struct hvm_fw_cfg *f, const char *name, const void *data, size_t len,
			bool late, struct hv_err *err);
/* Only from refresh(). The length must be what it was: firmware knows it already. */
int hvm_fw_cfg_replace(struct hvm_fw_cfg *f, const char *name, const void *data, size_t len);

void hvm_fw_cfg_reset(struct hvm_fw_cfg *f);
/* What firmware was doing; the items themselves are part of the configuration. */
void hvm_fw_cfg_save(struct hvm_fw_cfg *f, struct hv_state_writer *w);
int hvm_fw_cfg_load(struct hvm_fw_cfg *f, struct hv_state_reader *r, struct hv_err *err);

#endif
