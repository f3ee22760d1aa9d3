/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_PCI_H
#define HVM_PCI_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../../virtio-backends/state.h"
#include "../bus.h"
#include "../irq.h"

/*
 * The PCI host: configuration space through ports 0xcf8/0xcfc and through ECAM, BAR placement on
 * the buses, MSI-X. One segment, bus 0 (bridges come with hot-plug); a host bridge is at 00:00.0.
 *
 * Configuration accesses are serialised by the host's lock, and the callbacks of struct pci_dev_ops
 * run under it. Handlers of a BAR must not take it (pci_* functions say whether they do), because
 * moving a BAR waits for its handlers.
 */
struct pci_host;
struct pci_dev;
struct pci_msix;

struct pci_host_config {
	struct hvm_vm *vm;
	struct bus *pio, *mmio;
	/*
	 * 1 MiB per bus; bus 0 only: 1 MiB. 0: there is none until pci_host_move_ecam(), nor after
	 * a reset.
	 */
	uint64_t ecam_base;
	/*
	 * The function at 00:00.0, which the host owns when it was created; NULL: a bridge without
	 * registers.
	 */
	struct pci_dev *bridge;
	uint64_t mmio_base;	/* window below 4 GiB from which BARs are assigned at start */
	uint64_t mmio_size;
	uint64_t mmio64_base;	/* window above RAM for 64-bit BARs; 0: none */
	uint64_t mmio64_size;
	/*
	 * INTA# of slot n is GSI intx_gsi[n % 4], level-triggered; the DSDT's _PRT says the same.
	 */
	uint8_t intx_gsi[4];
	/*
	 * Byte accesses to port 0xcf9 (reset control), which lies inside the host's ports
	 * 0xcf8-0xcff, go here with offset 0. NULL: they are ignored.
	 */
	const struct bus_ops *cf9_ops;
	void *cf9_opaque;
};

int pci_host_create(const struct pci_host_config *cfg, struct pci_host **host, struct hv_err *err);
/* Destroys all functions, too. NULL is ignored. */
void pci_host_destroy(struct pci_host *host);
/*
 * System reset: every function back to its power-on state, with BARs assigned (memory decoding is
 * off; the guest turns it on). Also to be called once after all functions were added.
 */
void pci_host_reset(struct pci_host *host);
/* One section per function. All devices must be paused. */
void pci_host_save(struct pci_host *host, struct hv_state_writer *w);
int pci_host_load(struct pci_host *host, struct hv_state_reader *r, struct hv_err *err);
/* Call @fn for each function in slot order; takes the host's lock. */
void pci_host_for_each(struct pci_host *host, void (*fn)(struct pci_dev *d, void *opaque),
		       void *opaque);

/*
 * Firmware moves ECAM to @base, a multiple of 256 MiB, or switches it off with 0. With the host's
 * lock held: for config_written(). Where it was reads as all ones until the next reset.
 */
void pci_host_move_ecam(struct pci_host *host, uint64_t base);

/* Where firmware, or hvm itself, has put things; takes the host's lock. */
struct pci_layout {
	uint64_t ecam_base;		/* 0: none */
	uint64_t mem64_start, mem64_end;	/* BARs above 4 GiB; equal: there are none */
};
void pci_host_layout(struct pci_host *host, struct pci_layout *layout);

/* ---- For functions (devices on the bus) ---- */

#define PCI_CONFIG_SIZE	256
#define PCI_BARS	6

enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64 };

struct pci_bar {
	enum pci_bar_kind kind;
	bool prefetch;
	uint64_t size;		/* power of two: I/O 4..256, memory at least 4 KiB */
	const struct bus_ops *ops;
	void *opaque;
	/* Where it answers now. */
	struct bus_range *range;	/* NULL: does not */
	uint64_t base;
};

struct pci_dev_ops {
	/* Optional: bytes [off, off + len) are about to be read: refresh what is not constant. */
	void (*config_reading)(struct pci_dev *d, unsigned int off, unsigned int len);
	/*
	 * Optional: bytes [off, off + len) were written (config[] has the new value). Also called
	 * for the command register after a reset and after state was loaded.
	 */
	void (*config_written)(struct pci_dev *d, unsigned int off, unsigned int len);
	/* Optional: the BAR began (@mapped) or is about to cease to answer at @base. */
	void (*bar_mapped)(struct pci_dev *d, unsigned int bar, uint64_t base, bool mapped);
	/* Optional: back to the power-on state; config[] is restored by the host afterwards. */
	void (*reset)(struct pci_dev *d);
	/* Optional: state besides the configuration space and MSI-X, in sections of its own. */
	void (*save)(struct pci_dev *d, struct hv_state_writer *w);
	int (*load)(struct pci_dev *d, struct hv_state_reader *r, struct hv_err *err);
	void (*destroy)(struct pci_dev *d);
};

/* Embedded in a device, which fills in name, ops, config[] and bar[] before pci_dev_add(). */
struct pci_dev {
	const char *name;
	const struct pci_dev_ops *ops;
	struct pci_host *host;
	unsigned int slot;
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t wmask[PCI_CONFIG_SIZE];		/* bits that the guest can write */
	uint8_t w1cmask[PCI_CONFIG_SIZE];	/* bits that writing 1 clears */
	uint8_t initial[PCI_CONFIG_SIZE];	/* config[] as of pci_dev_add() */
	struct pci_bar bar[PCI_BARS];
	unsigned int cap_next;			/* first free byte for capabilities */
	unsigned int cap_last;			/* newest capability, 0: none */
	struct pci_msix *msix;			/* NULL: none */
	unsigned int intx_gsi;
	bool intx_wanted;			/* the device asserts INTA#; host's intx_lock */
	bool intx_asserted;			/* INTA# after masking; host's intx_lock */
	atomic_bool intx_disabled;		/* command register */
	atomic_bool bus_master;			/* command register */
};

/* Set up ids and class in the header: @class is base class, subclass, interface (24 bits). */
void pci_dev_init(struct pci_dev *d, const char *name, const struct pci_dev_ops *ops,
		  uint16_t vendor, uint16_t device, uint8_t revision, uint32_t class);
void pci_dev_set_subsystem(struct pci_dev *d, uint16_t vendor, uint16_t id);
/*
 * Append a capability of @len bytes (header included); returns its offset with the header in
 * place and everything else zero and read-only, or -ENOSPC.
 */
int pci_dev_add_cap(struct pci_dev *d, uint8_t id, unsigned int len);
/* Describe a BAR; -EINVAL for a bad size or index. */
int pci_dev_set_bar(struct pci_dev *d, unsigned int bar, enum pci_bar_kind kind, bool prefetch,
		    uint64_t size, const struct bus_ops *ops, void *opaque);
/*
 * Put the function on the bus at @slot, -1: the lowest free one. The host owns it from a
 * successful return on (ops->destroy). -EEXIST slot taken, -ENOSPC no slot or window full.
 */
int pci_dev_add(struct pci_host *host, struct pci_dev *d, int slot, struct hv_err *err);

/*
 * The level of the function's INTA#. Held down while INTx is disabled or MSI-X is enabled. Any
 * thread, does not take the host's lock.
 */
void pci_intx_set(struct pci_dev *d, bool level);

/* ---- MSI-X (PCI 3.0, 6.8.2), pci_msix.c ---- */

#define PCI_MSIX_MAX_VECTORS	512

/*
 * Add the capability, with the table at @table_off and the pending bits at @pba_off of @bar; the
 * owner of the BAR's handlers passes accesses to the two on. Before pci_dev_add().
 */
int pci_msix_init(struct pci_dev *d, struct hvm_vm *vm, unsigned int vectors, unsigned int bar,
		  uint32_t table_off, uint32_t pba_off, struct hv_err *err);
void pci_msix_fini(struct pci_dev *d);
/* Offsets are from the start of the table or the pending bits; size 4 or 8. */
uint64_t pci_msix_table_read(struct pci_dev *d, uint64_t off, unsigned int size);
void pci_msix_table_write(struct pci_dev *d, uint64_t off, unsigned int size, uint64_t value);
uint64_t pci_msix_pba_read(struct pci_dev *d, uint64_t off, unsigned int size);
unsigned int pci_msix_vectors(const struct pci_dev *d);
/* Any thread, no locks. */
bool pci_msix_enabled(const struct pci_dev *d);
/* Send vector @n, or leave it pending while masked. Any thread, no locks. */
void pci_msix_fire(struct pci_dev *d, unsigned int n);
/* The eventfd that does the same when it is signalled, or -1. It lives as long as the function. */
int pci_msix_eventfd(const struct pci_dev *d, unsigned int n);
/* Used by pci.c. */
void pci_msix_config_written(struct pci_dev *d);
void pci_msix_reset(struct pci_dev *d);
void pci_msix_save(struct pci_dev *d, struct hv_state_writer *w);
int pci_msix_load(struct pci_dev *d, struct hv_state_reader *r, struct hv_err *err);

#endif
