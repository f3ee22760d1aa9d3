/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_BOOT_H
#define HVM_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "../../virtio-backends/guest_mem.h"
#include "../../virtio-backends/util/err.h"
#include "../memory/ram.h"
#include "../vcpu.h"

/*
 * Loading a kernel: Linux' bzImage by the 64-bit boot protocol (Documentation/arch/x86/boot.rst of
 * Linux), or an ELF file with a PVH entry (xen/include/public/arch-x86/hvm/start_info.h of Xen).
 * Kernel files are not trusted: whatever is in one ends in an error or inside the guest.
 */
struct hvm_boot_config {
	const char *kernel;
	const char *initrd;	/* NULL: none */
	const char *cmdline;
	const struct hvm_ram *ram;
	uint64_t rsdp;		/* guest-physical address of the ACPI tables' root, 0: none */
};

/* Load into guest memory and say where the first vCPU starts. */
int hvm_boot_load(const struct hvm_boot_config *cfg, struct hvm_boot_regs *regs,
		  struct hv_err *err);

/* ---- Between the files of boot/ ---- */

/* A file that is being loaded. */
struct boot_file {
	const char *path;
	const char *what;	/* "kernel", for messages */
	int fd;
	uint64_t size;
};

int boot_file_open(struct boot_file *f, const char *path, const char *what, struct hv_err *err);
void boot_file_close(struct boot_file *f);
/* Exactly @len bytes from @off. */
int boot_file_read(const struct boot_file *f, uint64_t off, void *buf, uint64_t len,
		   struct hv_err *err);
/* The same into guest memory. */
int boot_file_load(const struct boot_file *f, uint64_t off, uint64_t len,
		   const struct guest_mem *mem, uint64_t gpa, struct hv_err *err);
/* An error about a file: "kernel PATH: ..." */
__attribute__((format(printf, 3, 4)))
int boot_file_bad(const struct boot_file *f, struct hv_err *err, const char *fmt, ...);

/* Memory map of the machine; types are those of e820 and of PVH alike. */
#define BOOT_MEM_RAM		1
#define BOOT_MEM_RESERVED	2
#define BOOT_MEM_MAX		8

struct boot_mem_entry {
	uint64_t addr, size;
	uint32_t type;
};

unsigned int boot_memory_map(uint64_t ram_size, struct boot_mem_entry map[BOOT_MEM_MAX]);

/* Copy the command line to where the kernel finds it; at most @max bytes without its end. */
int boot_put_cmdline(const struct hvm_boot_config *cfg, uint64_t max, struct hv_err *err);
/*
 * Load the initrd as high as it goes below @limit, but above @kernel_end. *@gpa and *@size are 0
 * without one.
 */
int boot_put_initrd(const struct hvm_boot_config *cfg, uint64_t kernel_end, uint64_t limit,
		    uint64_t *gpa, uint64_t *size, struct hv_err *err);
/* A GDT with flat segments at HVM_BOOT_GDT; fills in its place and the selectors. */
int boot_put_gdt(const struct hvm_ram *ram, struct hvm_boot_regs *regs, struct hv_err *err);

int boot_linux_load(const struct hvm_boot_config *cfg, const struct boot_file *f,
		    struct hvm_boot_regs *regs, struct hv_err *err);
int boot_pvh_load(const struct hvm_boot_config *cfg, const struct boot_file *f,
		  struct hvm_boot_regs *regs, struct hv_err *err);

#endif
