// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The PVH boot protocol (docs/misc/pvh.pandoc and start_info.h of Xen): an ELF file whose note
 * XEN_ELFNOTE_PHYS32_ENTRY has the entry, which is called in 32-bit protected mode without paging
 * and with EBX pointing to the start info.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/layout.h"
#include "boot.h"

#define NOTE_NAME		"Xen"
#define NOTE_PHYS32_ENTRY	18
#define START_INFO_MAGIC	0x336ec578u
#define START_INFO_VERSION	1
#define MAX_PHDRS		256
#define MAX_NOTES		65536ull	/* bytes of a note segment */
#define ALIGN4(n)		(((n) + 3ull) & ~3ull)

struct pvh_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr, memmap_paddr;
	uint32_t memmap_entries, reserved;
};

struct pvh_module {
	uint64_t paddr, size, cmdline_paddr, reserved;
};

struct pvh_memmap {
	uint64_t addr, size;
	uint32_t type, reserved;
};

_Static_assert(sizeof(struct pvh_start_info) == 56, "start_info.h");
_Static_assert(sizeof(struct pvh_module) == 32, "start_info.h");
_Static_assert(sizeof(struct pvh_memmap) == 24, "start_info.h");

/* All that the start info points to, in one piece at HVM_BOOT_PARAMS. */
struct pvh_params {
	struct pvh_start_info info;
	struct pvh_module module;
	struct pvh_memmap map[BOOT_MEM_MAX];
};

_Static_assert(sizeof(struct pvh_params) <= HVM_BOOT_PARAMS_SIZE, "the start info fits its place");

/* ---- The file ---- */

static int elf_check(const struct boot_file *f, const Elf64_Ehdr *eh, struct hv_err *err)
{
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB ||
	    eh->e_machine != EM_X86_64 || eh->e_type != ET_EXEC)
		return boot_file_bad(f, err, "not an executable ELF file for x86-64");
	if (eh->e_phentsize != sizeof(Elf64_Phdr) || !eh->e_phnum || eh->e_phnum > MAX_PHDRS)
		return boot_file_bad(f, err, "impossible program headers");
	return 0;
}

/* Look for the entry in a note segment; *@entry stays 0 if it is not there. */
static int elf_read_notes(const struct boot_file *f, const Elf64_Phdr *ph, uint32_t *entry,
			  struct hv_err *err)
{
	uint64_t len = ph->p_filesz, pos = 0;
	char *buf;
	int ret;

	if (len > MAX_NOTES)
		return boot_file_bad(f, err, "notes of %llu bytes", (unsigned long long)len);
	buf = malloc(len + 1);
	if (!buf)
		return hv_err_set(err, -ENOMEM, "kernel %s: out of memory", f->path);
	ret = boot_file_read(f, ph->p_offset, buf, len, err);
	while (!ret && len - pos >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr nh;
		uint64_t name, desc;

		memcpy(&nh, buf + pos, sizeof(nh));
		name = pos + sizeof(nh);
		desc = name + ALIGN4(nh.n_namesz);
		pos = desc + ALIGN4(nh.n_descsz);
		if (pos > len)
			break;
		if (nh.n_type == NOTE_PHYS32_ENTRY && nh.n_namesz == sizeof(NOTE_NAME) &&
		    !memcmp(buf + name, NOTE_NAME, sizeof(NOTE_NAME)) && nh.n_descsz >= 4)
			memcpy(entry, buf + desc, sizeof(*entry));
	}
	free(buf);
	return ret;
}

static int elf_load_segment(const struct hvm_boot_config *cfg, const struct boot_file *f,
			    const Elf64_Phdr *ph, uint64_t *end, struct hv_err *err)
{
	uint64_t low = hvm_ram_low(cfg->ram->size);
	char *p;
	int ret;

	if (ph->p_filesz > ph->p_memsz)
		return boot_file_bad(f, err, "a segment is larger in the file than in memory");
	if (!ph->p_memsz)
		return 0;
	/* Not over what hvm hands over in the first megabyte. */
	if (ph->p_paddr < HVM_HIGH_RAM_START || ph->p_paddr >= low ||
	    ph->p_memsz > low - ph->p_paddr)
		return boot_file_bad(f, err, "a segment of 0x%llx bytes at 0x%llx is outside of the "
				     "guest's memory (give it more with --mem)",
				     (unsigned long long)ph->p_memsz,
				     (unsigned long long)ph->p_paddr);
	ret = boot_file_load(f, ph->p_offset, ph->p_filesz, &cfg->ram->mem, ph->p_paddr, err);
	if (ret)
		return ret;
	p = guest_mem_ptr(&cfg->ram->mem, ph->p_paddr, ph->p_memsz);
	memset(p + ph->p_filesz, 0, ph->p_memsz - ph->p_filesz);
	if (ph->p_paddr + ph->p_memsz > *end)
		*end = ph->p_paddr + ph->p_memsz;
	return 0;
}

static int elf_load(const struct hvm_boot_config *cfg, const struct boot_file *f, uint32_t *entry,
		    uint64_t *end, struct hv_err *err)
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	int ret = boot_file_read(f, 0, &eh, sizeof(eh), err);

	if (!ret)
		ret = elf_check(f, &eh, err);
	*entry = 0;
	*end = 0;
	for (unsigned int i = 0; !ret && i < eh.e_phnum; i++) {
		if (eh.e_phoff > f->size)
			return boot_file_bad(f, err, "truncated");
		ret = boot_file_read(f, eh.e_phoff + i * sizeof(ph), &ph, sizeof(ph), err);
		if (!ret && ph.p_type == PT_LOAD)
			ret = elf_load_segment(cfg, f, &ph, end, err);
		else if (!ret && ph.p_type == PT_NOTE)
			ret = elf_read_notes(f, &ph, entry, err);
	}
	if (ret)
		return ret;
	if (!*entry)
		return boot_file_bad(f, err, "no PVH entry (build the kernel with CONFIG_PVH, or use "
				     "its bzImage)");
	if (*entry < HVM_HIGH_RAM_START || *entry >= *end)
		return boot_file_bad(f, err, "the PVH entry 0x%x is outside of the kernel", *entry);
	return 0;
}

/* ---- The start info ---- */

static int pvh_put_params(const struct hvm_boot_config *cfg, uint64_t kernel_end,
			  struct hv_err *err)
{
	struct pvh_params *p = guest_mem_ptr(&cfg->ram->mem, HVM_BOOT_PARAMS, sizeof(*p));
	struct boot_mem_entry map[BOOT_MEM_MAX];
	uint64_t initrd, initrd_size;
	int ret;

	if (!p)
		return hv_err_set(err, -EINVAL, "no memory for the start info");
	ret = boot_put_cmdline(cfg, HVM_BOOT_CMDLINE_MAX - 1, err);
	if (!ret)
		ret = boot_put_initrd(cfg, kernel_end, HVM_HOLE_START, &initrd, &initrd_size, err);
	if (ret)
		return ret;
	memset(p, 0, sizeof(*p));
	p->info.magic = START_INFO_MAGIC;
	p->info.version = START_INFO_VERSION;
	p->info.cmdline_paddr = HVM_BOOT_CMDLINE;
	p->info.rsdp_paddr = cfg->rsdp;
	if (initrd_size) {
		p->info.nr_modules = 1;
		p->info.modlist_paddr = HVM_BOOT_PARAMS + offsetof(struct pvh_params, module);
		p->module.paddr = initrd;
		p->module.size = initrd_size;
	}
	p->info.memmap_entries = boot_memory_map(cfg->ram->size, map);
	p->info.memmap_paddr = HVM_BOOT_PARAMS + offsetof(struct pvh_params, map);
	for (uint32_t i = 0; i < p->info.memmap_entries; i++)
		p->map[i] = (struct pvh_memmap){ map[i].addr, map[i].size, map[i].type, 0 };
	return 0;
}

int boot_pvh_load(const struct hvm_boot_config *cfg, const struct boot_file *f,
		  struct hvm_boot_regs *regs, struct hv_err *err)
{
	uint64_t end;
	uint32_t entry;
	int ret = elf_load(cfg, f, &entry, &end, err);

	if (!ret)
		ret = pvh_put_params(cfg, end, err);
	if (ret)
		return ret;
	regs->long_mode = false;
	regs->rip = entry;
	regs->rbx = HVM_BOOT_PARAMS;
	return boot_put_gdt(cfg->ram, regs, err);
}
