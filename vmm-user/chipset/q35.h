/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_Q35_H
#define HVM_Q35_H

#include "pci.h"

/*
 * What PC firmware touches of its chipset, for firmware knows only a few: the host bridge of
 * Intel's Q35 (Intel 3 Series Express Chipset datasheet, 5.1) and the LPC bridge of ICH9 (Intel
 * ICH9 datasheet, 13). Where configuration space lies in memory (PCIEXBAR) follows the registers.
 * The memory below 1 MiB is always RAM, so PAM registers only keep what is written; power
 * management is at HVM_PORT_PM for ever; there is no SMM.
 */

/* For struct pci_host_config; the host frees it. */
struct pci_dev *hvm_q35_bridge_create(struct hv_err *err);
/* The LPC bridge in its slot, and the ports that are part of it. */
int hvm_q35_lpc_add(struct pci_host *host, struct bus *pio, struct hv_err *err);

#endif
