// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Linux' 64-bit boot protocol (Documentation/arch/x86/boot.rst of Linux): the protected-mode part
 * of a bzImage is entered 0x200 bytes after its start in long mode, with the first 4 GiB mapped
 * one to one and RSI pointing to the zero page.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "../memory/layout.h"
#include "boot.h"

#define HDR_OFFSET		0x1f1u	/* of struct setup_header in the file */
#define HDR_MAGIC		0x53726448u	/* "HdrS" */
#define BOOT_FLAG		0xaa55
#define PROTOCOL_MIN		0x020c	/* 2.12: xloadflags */
#define ENTRY64			0x200u
#define SECTOR			512ull
#define SETUP_SECTS_DEFAULT	4
#define LOADER_UNDEFINED	0xff
#define RNG_SEED_LEN		32
#define ALIGNMENT_MAX		(1u << 30)

#define PAGE			4096ull
#define LARGE_PAGE		(2ull << 20)
#define PTE_PRESENT		(1ull << 0)
#define PTE_WRITABLE		(1ull << 1)
#define PTE_LARGE		(1ull << 7)
#define ENTRIES			512
#define MAPPED_GIB		4

_Static_assert(sizeof(struct boot_params) == HVM_BOOT_PARAMS_SIZE, "boot.rst: the zero page");
_Static_assert(offsetof(struct boot_params, hdr) == HDR_OFFSET, "boot.rst: the header");
_Static_assert(HVM_BOOT_PAGE_TABLES + (2 + MAPPED_GIB) * PAGE <= HVM_BOOT_SETUP_DATA,
	       "the page tables fit their place");

/* ---- The header ---- */

static int linux_check_header(const struct boot_file *f, const struct setup_header *h,
			      struct hv_err *err)
{
	if (h->boot_flag != BOOT_FLAG || h->header != HDR_MAGIC)
		return boot_file_bad(f, err, "neither a bzImage nor an ELF file");
	if (h->version < PROTOCOL_MIN)
		return boot_file_bad(f, err, "boot protocol %u.%02u is too old, hvm needs 2.12",
				     h->version >> 8, h->version & 0xff);
	if (!(h->loadflags & LOADED_HIGH) || !(h->xloadflags & XLF_KERNEL_64))
		return boot_file_bad(f, err, "not a 64-bit kernel");
	if (!h->init_size || h->init_size > HVM_HOLE_START)
		return boot_file_bad(f, err, "impossible size 0x%x in the header", h->init_size);
	if (h->relocatable_kernel &&
	    (!h->kernel_alignment || (h->kernel_alignment & (h->kernel_alignment - 1)) ||
	     h->kernel_alignment > ALIGNMENT_MAX))
		return boot_file_bad(f, err, "impossible alignment 0x%x in the header",
				     h->kernel_alignment);
	return 0;
}

static int linux_read_header(const struct boot_file *f, struct setup_header *h, struct hv_err *err)
{
	uint8_t jump[2];	/* at 0x200: its displacement ends the header */
	uint64_t len;
	int ret;

	if (f->size < HDR_OFFSET + sizeof(*h))
		return boot_file_bad(f, err, "too short for a kernel");
	ret = boot_file_read(f, 0x200, jump, sizeof(jump), err);
	if (ret)
		return ret;
	len = 0x202u + jump[1] - HDR_OFFSET;
	memset(h, 0, sizeof(*h));
	ret = boot_file_read(f, HDR_OFFSET, h, len < sizeof(*h) ? len : sizeof(*h), err);
	return ret ? ret : linux_check_header(f, h, err);
}

/* ---- Where the kernel goes ---- */

static int linux_place(const struct hvm_boot_config *cfg, const struct boot_file *f,
		       const struct setup_header *h, uint64_t size, uint64_t *load,
		       struct hv_err *err)
{
	uint64_t low = hvm_ram_low(cfg->ram->size);
	uint64_t need = size > h->init_size ? size : h->init_size;
	uint64_t at = h->pref_address;

	/* Below its favourite place if that is where the memory ends, and it can be moved. */
	if (h->relocatable_kernel && (at < HVM_HIGH_RAM_START || at >= low || need > low - at)) {
		at = (HVM_HIGH_RAM_START + h->kernel_alignment - 1) &
		     ~((uint64_t)h->kernel_alignment - 1);
	}
	if (at < HVM_HIGH_RAM_START || at >= low || need > low - at)
		return boot_file_bad(f, err, "needs %llu MiB at 0x%llx, but the guest's memory ends "
				     "at %llu MiB (give it more with --mem)",
				     (unsigned long long)(need >> 20) + 1, (unsigned long long)at,
				     (unsigned long long)low >> 20);
	*load = at;
	return 0;
}

/* ---- What the kernel is handed ---- */

static int linux_put_page_tables(const struct hvm_ram *ram, struct hvm_boot_regs *regs,
				 struct hv_err *err)
{
	uint64_t base = HVM_BOOT_PAGE_TABLES;
	uint64_t *t = guest_mem_ptr(&ram->mem, base, (2 + MAPPED_GIB) * PAGE);

	if (!t)
		return hv_err_set(err, -EINVAL, "no memory for page tables");
	memset(t, 0, 2 * PAGE);
	t[0] = (base + PAGE) | PTE_PRESENT | PTE_WRITABLE;
	for (uint64_t i = 0; i < MAPPED_GIB; i++)
		t[ENTRIES + i] = (base + (2 + i) * PAGE) | PTE_PRESENT | PTE_WRITABLE;
	for (uint64_t i = 0; i < MAPPED_GIB * ENTRIES; i++)
		t[2 * ENTRIES + i] = (i * LARGE_PAGE) | PTE_PRESENT | PTE_WRITABLE | PTE_LARGE;
	regs->cr3 = base;
	return 0;
}

/* Entropy for the guest's first moments. Without any the kernel gathers its own. */
static uint64_t linux_put_rng_seed(const struct hvm_ram *ram)
{
	struct setup_data *d = guest_mem_ptr(&ram->mem, HVM_BOOT_SETUP_DATA,
					     sizeof(*d) + RNG_SEED_LEN);

	if (!d || getrandom(d->data, RNG_SEED_LEN, GRND_NONBLOCK) != RNG_SEED_LEN)
		return 0;
	d->next = 0;
	d->type = SETUP_RNG_SEED;
	d->len = RNG_SEED_LEN;
	return HVM_BOOT_SETUP_DATA;
}

static void linux_fill_e820(struct boot_params *bp, uint64_t ram_size)
{
	struct boot_mem_entry map[BOOT_MEM_MAX];
	unsigned int n = boot_memory_map(ram_size, map);

	for (unsigned int i = 0; i < n; i++) {
		bp->e820_table[i].addr = map[i].addr;
		bp->e820_table[i].size = map[i].size;
		bp->e820_table[i].type = map[i].type;
	}
	bp->e820_entries = (uint8_t)n;
}

static int linux_put_params(const struct hvm_boot_config *cfg, const struct setup_header *h,
			    uint64_t kernel_end, struct hv_err *err)
{
	struct boot_params *bp = guest_mem_ptr(&cfg->ram->mem, HVM_BOOT_PARAMS, sizeof(*bp));
	uint64_t initrd, initrd_size;
	int ret;

	if (!bp)
		return hv_err_set(err, -EINVAL, "no memory for the zero page");
	ret = boot_put_cmdline(cfg, h->cmdline_size, err);
	if (!ret)
		ret = boot_put_initrd(cfg, kernel_end, (uint64_t)h->initrd_addr_max + 1, &initrd,
				      &initrd_size, err);
	if (ret)
		return ret;
	memset(bp, 0, sizeof(*bp));
	bp->hdr = *h;
	bp->hdr.type_of_loader = LOADER_UNDEFINED;
	bp->hdr.code32_start = 0;
	bp->hdr.cmd_line_ptr = HVM_BOOT_CMDLINE;
	bp->hdr.ramdisk_image = (uint32_t)initrd;
	bp->hdr.ramdisk_size = (uint32_t)initrd_size;
	bp->hdr.setup_data = linux_put_rng_seed(cfg->ram);
	bp->acpi_rsdp_addr = cfg->rsdp;
	linux_fill_e820(bp, cfg->ram->size);
	return 0;
}

int boot_linux_load(const struct hvm_boot_config *cfg, const struct boot_file *f,
		    struct hvm_boot_regs *regs, struct hv_err *err)
{
	uint64_t setup, size, load = 0, need;
	struct setup_header h;
	int ret = linux_read_header(f, &h, err);

	if (ret)
		return ret;
	setup = SECTOR * (1u + (h.setup_sects ? h.setup_sects : SETUP_SECTS_DEFAULT));
	if (f->size <= setup + ENTRY64)
		return boot_file_bad(f, err, "truncated: no kernel behind its set-up code");
	size = f->size - setup;
	ret = linux_place(cfg, f, &h, size, &load, err);
	if (ret)
		return ret;
	need = size > h.init_size ? size : h.init_size;
	ret = boot_file_load(f, setup, size, &cfg->ram->mem, load, err);
	if (!ret)
		ret = linux_put_params(cfg, &h, load + need, err);
	if (!ret)
		ret = linux_put_page_tables(cfg->ram, regs, err);
	if (ret)
		return ret;
	regs->long_mode = true;
	regs->rip = load + ENTRY64;
	regs->rsi = HVM_BOOT_PARAMS;
	return boot_put_gdt(cfg->ram, regs, err);
}
