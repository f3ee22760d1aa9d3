/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_FIRMWARE_H
#define HVM_FIRMWARE_H

#include "../../virtio-backends/state.h"
#include "../chipset/pci.h"
#include "../config.h"
#include "../vm.h"

/*
 * Starting a machine as a PC is: firmware (SeaBIOS, OVMF) in read-only memory that ends at 4 GiB, a
 * store for UEFI's variables right below it, and what firmware is told about the machine.
 */
struct hvm_firmware;

struct hvm_firmware_params {
	const struct hvm_config *cfg;	/* must outlive the firmware */
	struct hvm_vm *vm;
	struct pci_host *pci;		/* with a Q35's bridges, see chipset/q35.h */
	uint64_t pci64_base, pci64_size;
};

int hvm_firmware_create(const struct hvm_firmware_params *params, struct hvm_firmware **fw,
			struct hv_err *err);
/* -errno and a message: variables could not be kept. NULL is ignored. */
int hvm_firmware_destroy(struct hvm_firmware *fw, struct hv_err *err);
/* To the power-on state, also before the first start; the first vCPU begins at its reset vector. */
int hvm_firmware_reset(struct hvm_firmware *fw, struct hv_err *err);
void hvm_firmware_save(struct hvm_firmware *fw, struct hv_state_writer *w);
int hvm_firmware_load(struct hvm_firmware *fw, struct hv_state_reader *r, struct hv_err *err);

#endif
