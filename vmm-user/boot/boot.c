// SPDX-License-Identifier: GPL-2.0-or-later
/* What all boot protocols share; see boot.h. */
#include "boot.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../memory/layout.h"

#define PAGE		4096ULL

/* ---- Files ---- */

int boot_file_bad(const struct boot_file *f, struct hv_err *err, const char *fmt, ...)
{
	char msg[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	return hv_err_set(err, -EINVAL, "%s %s: %s", f->what, f->path, msg);
}

int boot_file_open(struct boot_file *f, const char *path, const char *what, struct hv_err *err)
{
	struct stat st;
	int ret;

	*f = (struct boot_file){ .path = path, .what = what };
	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (f->fd < 0)
		return hv_err_set(err, -errno, "%s %s: %s", what, path, strerror(errno));
	if (fstat(f->fd, &st)) {
		ret = hv_err_set(err, -errno, "%s %s: %s", what, path, strerror(errno));
		goto fail;
	}
	if (!S_ISREG(st.st_mode)) {
		ret = boot_file_bad(f, err, "not a regular file");
		goto fail;
	}
	f->size = (uint64_t)st.st_size;
	if (f->size)
		return 0;
	ret = boot_file_bad(f, err, "empty");
fail:
	boot_file_close(f);
	return ret;
}

void boot_file_close(struct boot_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

int boot_file_read(const struct boot_file *f, uint64_t off, void *buf, uint64_t len,
		   struct hv_err *err)
{
	if (off > f->size || len > f->size - off)
		return boot_file_bad(f, err, "truncated");
	while (len) {
		ssize_t n = pread(f->fd, buf, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return hv_err_set(err, -errno, "%s %s: %s", f->what, f->path,
					  strerror(errno));
		if (!n)
			return boot_file_bad(f, err, "truncated while it was read");
		buf = (char *)buf + n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

int boot_file_load(const struct boot_file *f, uint64_t off, uint64_t len,
		   const struct guest_mem *mem, uint64_t gpa, struct hv_err *err)
{
	void *p = guest_mem_ptr(mem, gpa, len);

	if (!p)
		return boot_file_bad(f, err, "%llu bytes at 0x%llx are outside of the guest's "
				     "memory (give it more with --mem)", (unsigned long long)len,
				     (unsigned long long)gpa);
	return boot_file_read(f, off, p, len, err);
}

/* ---- Parts of every protocol ---- */

unsigned int boot_memory_map(uint64_t ram_size, struct boot_mem_entry map[BOOT_MEM_MAX])
{
	uint64_t low = hvm_ram_low(ram_size);
	unsigned int n = 0;

	map[n++] = (struct boot_mem_entry){ 0, HVM_LOW_RAM_END, BOOT_MEM_RAM };
	map[n++] = (struct boot_mem_entry){ HVM_LOW_RAM_END, HVM_LEGACY_START - HVM_LOW_RAM_END,
					    BOOT_MEM_RESERVED };
	map[n++] = (struct boot_mem_entry){ HVM_ACPI_BASE, HVM_ACPI_SIZE, BOOT_MEM_RESERVED };
	map[n++] = (struct boot_mem_entry){ HVM_HIGH_RAM_START, low - HVM_HIGH_RAM_START,
					    BOOT_MEM_RAM };
	map[n++] = (struct boot_mem_entry){ HVM_ECAM_BASE, HVM_ECAM_SIZE, BOOT_MEM_RESERVED };
	if (ram_size > low)
		map[n++] = (struct boot_mem_entry){ HVM_HOLE_END, ram_size - low, BOOT_MEM_RAM };
	return n;
}

int boot_put_cmdline(const struct hvm_boot_config *cfg, uint64_t max, struct hv_err *err)
{
	size_t len = strlen(cfg->cmdline);
	char *p;

	if (max > HVM_BOOT_CMDLINE_MAX - 1)
		max = HVM_BOOT_CMDLINE_MAX - 1;
	if (len > max)
		return hv_err_set(err, -E2BIG, "kernel command line: %zu bytes, but the kernel takes "
				  "at most %llu", len, (unsigned long long)max);
	p = guest_mem_ptr(&cfg->ram->mem, HVM_BOOT_CMDLINE, HVM_BOOT_CMDLINE_MAX);
	if (!p)
		return hv_err_set(err, -EINVAL, "kernel command line: no memory for it");
	memcpy(p, cfg->cmdline, len + 1);
	return 0;
}

int boot_put_initrd(const struct hvm_boot_config *cfg, uint64_t kernel_end, uint64_t limit,
		    uint64_t *gpa, uint64_t *size, struct hv_err *err)
{
	uint64_t low = hvm_ram_low(cfg->ram->size);
	struct boot_file f;
	int ret;

	*gpa = *size = 0;
	if (!cfg->initrd)
		return 0;
	ret = boot_file_open(&f, cfg->initrd, "initrd", err);
	if (ret)
		return ret;
	if (limit > low)
		limit = low;
	limit &= ~(PAGE - 1);
	if (f.size > limit || ((limit - f.size) & ~(PAGE - 1)) < kernel_end) {
		ret = boot_file_bad(&f, err, "%llu MiB do not fit into the guest's memory beside "
				    "the kernel (give it more with --mem)",
				    (unsigned long long)(f.size >> 20) + 1);
	} else {
		*gpa = (limit - f.size) & ~(PAGE - 1);
		*size = f.size;
		ret = boot_file_load(&f, 0, f.size, &cfg->ram->mem, *gpa, err);
	}
	boot_file_close(&f);
	return ret;
}

/* Descriptors (AMD APM volume 2, 4.7 and 4.8): base 0, limit 4 GiB. */
#define GDT_CODE64	0x00af9b000000ffffULL
#define GDT_CODE32	0x00cf9b000000ffffULL
#define GDT_DATA	0x00cf93000000ffffULL

int boot_put_gdt(const struct hvm_ram *ram, struct hvm_boot_regs *regs, struct hv_err *err)
{
	/* Linux' protocol names the selectors: code at 0x10, data at 0x18. */
	const uint64_t gdt[] = { 0, 0, regs->long_mode ? GDT_CODE64 : GDT_CODE32, GDT_DATA };
	void *p = guest_mem_ptr(&ram->mem, HVM_BOOT_GDT, sizeof(gdt));

	if (!p)
		return hv_err_set(err, -EINVAL, "no memory for the GDT");
	memcpy(p, gdt, sizeof(gdt));
	regs->gdt = HVM_BOOT_GDT;
	regs->gdt_limit = sizeof(gdt) - 1;
	regs->cs = 0x10;
	regs->ds = 0x18;
	return 0;
}

int hvm_boot_load(const struct hvm_boot_config *cfg, struct hvm_boot_regs *regs,
		  struct hv_err *err)
{
	unsigned char magic[SELFMAG];
	struct boot_file f;
	int ret = boot_file_open(&f, cfg->kernel, "kernel", err);

	if (ret)
		return ret;
	memset(regs, 0, sizeof(*regs));
	ret = boot_file_read(&f, 0, magic, sizeof(magic), err);
	if (!ret && !memcmp(magic, ELFMAG, SELFMAG))
		ret = boot_pvh_load(cfg, &f, regs, err);
	else if (!ret)
		ret = boot_linux_load(cfg, &f, regs, err);
	boot_file_close(&f);
	return ret;
}
