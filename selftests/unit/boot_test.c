// SPDX-License-Identifier: GPL-2.0-or-later
/* Boot loaders: where things are put, and files that are not what they should be. */
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "../../vmm-user/boot/boot.h"
#include "../../vmm-user/memory/layout.h"
#include "unit_test.h"

#define SETUP_SECTS	4
#define SETUP_LEN	((SETUP_SECTS + 1) * 512)
#define KERNEL_LEN	0x3000
#define FILE_LEN	(SETUP_LEN + KERNEL_LEN)
#define MEM		(64ULL << 20)
#define PREFERRED	0x1000000ULL
#define INIT_SIZE	0x800000u

static char dir[] = "/tmp/hvm-boot-XXXXXX";
static char kernel_path[64], initrd_path[64];
static struct hvm_ram ram;
static struct hvm_boot_config cfg;
static struct hvm_boot_regs regs;
static struct hv_err err;

static void write_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, data, len), len);
	close(fd);
}

static void set_up(uint64_t mem)
{
	CHECK_EQ(hvm_ram_create(&ram, mem, false, &err), 0);
	cfg = (struct hvm_boot_config){
		.kernel = kernel_path, .cmdline = "console=ttyS0", .ram = &ram, .rsdp = 0xe0000,
	};
	err.msg[0] = '\0';
}

static void tear_down(void)
{
	hvm_ram_destroy(&ram);
}

static void *at(uint64_t gpa, uint64_t len)
{
	return guest_mem_ptr(&ram.mem, gpa, len);
}

/* A bzImage with a header as Linux' build makes it, and a kernel of counted bytes. */
static void make_bzimage(uint8_t *f)
{
	struct setup_header *h = (struct setup_header *)(f + 0x1f1);

	memset(f, 0, FILE_LEN);
	h->setup_sects = SETUP_SECTS;
	h->boot_flag = 0xaa55;
	h->jump = 0x6aeb;	/* the header ends at 0x26c */
	h->header = 0x53726448;
	h->version = 0x020f;
	h->loadflags = LOADED_HIGH;
	h->initrd_addr_max = 0x7fffffff;
	h->kernel_alignment = 0x200000;
	h->relocatable_kernel = 1;
	h->xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G;
	h->cmdline_size = 2047;
	h->pref_address = PREFERRED;
	h->init_size = INIT_SIZE;
	for (unsigned int i = 0; i < KERNEL_LEN; i++)
		f[SETUP_LEN + i] = (uint8_t)(i * 7);
}

/* Load a bzImage after a change of its header. */
static int load_changed(void (*change)(struct setup_header *h))
{
	static uint8_t f[FILE_LEN];

	make_bzimage(f);
	if (change)
		change((struct setup_header *)(f + 0x1f1));
	write_file(kernel_path, f, sizeof(f));
	return hvm_boot_load(&cfg, &regs, &err);
}

/* ---- bzImage ---- */

static void test_linux(void)
{
	struct boot_params *bp;
	const uint8_t *k;

	set_up(MEM);
	CHECK_EQ(load_changed(NULL), 0);
	CHECK(regs.long_mode);
	CHECK_EQ(regs.rip, PREFERRED + 0x200);
	k = at(PREFERRED, KERNEL_LEN);
	for (unsigned int i = 0; i < KERNEL_LEN; i++)
		CHECK(k[i] == (uint8_t)(i * 7));
	bp = at(regs.rsi, sizeof(*bp));
	CHECK_EQ(bp->hdr.header, 0x53726448);
	CHECK_EQ(bp->hdr.type_of_loader, 0xff);
	CHECK_EQ(bp->acpi_rsdp_addr, 0xe0000);
	CHECK_EQ(bp->hdr.ramdisk_size, 0);
	CHECK_STR((char *)at(bp->hdr.cmd_line_ptr, 64), "console=ttyS0");
	tear_down();
}

/* The page tables map the first 4 GiB one to one; the GDT has the segments of the protocol. */
static void test_linux_tables(void)
{
	const uint64_t addrs[] = { 0, 0x200000, 0x3fffffff, 0x40000000, 0xfee00000, 0xffffffff };
	uint64_t *gdt;

	set_up(MEM);
	CHECK_EQ(load_changed(NULL), 0);
	for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
		uint64_t a = addrs[i], *t = at(regs.cr3, 4096), e = t[a >> 39 & 511];

		CHECK(e & 1);
		t = at(e & ~0xfffULL, 4096);
		e = t[a >> 30 & 511];
		CHECK(e & 1);
		t = at(e & ~0xfffULL, 4096);
		e = t[a >> 21 & 511];
		CHECK((e & 0x83) == 0x83);
		CHECK_EQ(e & ~0x1fffffULL, a & ~0x1fffffULL);
	}
	gdt = at(regs.gdt, regs.gdt_limit + 1u);
	CHECK_EQ(regs.cs, 0x10);
	CHECK_EQ(regs.ds, 0x18);
	CHECK_EQ(gdt[regs.cs / 8] >> 40 & 0xff, 0x9b);	/* present code */
	CHECK(gdt[regs.cs / 8] >> 53 & 1);			/* long */
	CHECK_EQ(gdt[regs.ds / 8] >> 40 & 0xff, 0x93);
	tear_down();
}

static uint64_t e820_total(const struct boot_params *bp)
{
	uint64_t ram_bytes = 0, last = 0;

	for (unsigned int i = 0; i < bp->e820_entries; i++) {
		CHECK(bp->e820_table[i].addr >= last);	/* sorted, no overlap */
		last = bp->e820_table[i].addr + bp->e820_table[i].size;
		if (bp->e820_table[i].type == 1)
			ram_bytes += bp->e820_table[i].size;
	}
	return ram_bytes;
}

static void test_linux_memory_map(void)
{
	static const uint64_t sizes[] = { 64ULL << 20, 2ULL << 30, (2ULL << 30) + (1 << 20),
					  8ULL << 30 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct boot_params *bp;

		set_up(sizes[i]);
		CHECK_EQ(load_changed(NULL), 0);
		bp = at(regs.rsi, sizeof(*bp));
		/* All but what lies between 639 KiB and 1 MiB. */
		CHECK_EQ(e820_total(bp), sizes[i] - (0x100000 - 0x9fc00));
		CHECK_EQ(ram.mem.nr, sizes[i] > HVM_HOLE_START ? 2 : 1);
		tear_down();
	}
}

static void test_linux_initrd(void)
{
	uint8_t data[5000];
	struct boot_params *bp;

	memset(data, 0xa5, sizeof(data));
	write_file(initrd_path, data, sizeof(data));
	set_up(MEM);
	cfg.initrd = initrd_path;
	CHECK_EQ(load_changed(NULL), 0);
	bp = at(regs.rsi, sizeof(*bp));
	CHECK_EQ(bp->hdr.ramdisk_size, sizeof(data));
	CHECK_EQ(bp->hdr.ramdisk_image % 4096, 0);
	CHECK(bp->hdr.ramdisk_image >= PREFERRED + INIT_SIZE);
	CHECK(bp->hdr.ramdisk_image + sizeof(data) <= MEM);
	CHECK(!memcmp(at(bp->hdr.ramdisk_image, sizeof(data)), data, sizeof(data)));
	tear_down();
}

static void initrd_low(struct setup_header *h)
{
	h->initrd_addr_max = 0x27fffff;
}

static void test_linux_initrd_limit(void)
{
	struct boot_params *bp;

	set_up(MEM);
	cfg.initrd = initrd_path;
	CHECK_EQ(load_changed(initrd_low), 0);
	bp = at(regs.rsi, sizeof(*bp));
	CHECK(bp->hdr.ramdisk_image + bp->hdr.ramdisk_size <= 0x2800000);
	tear_down();
}

static void initrd_nowhere(struct setup_header *h)
{
	h->initrd_addr_max = (uint32_t)PREFERRED;	/* below the kernel's end */
}

static void test_initrd_does_not_fit(void)
{
	set_up(MEM);
	cfg.initrd = initrd_path;
	CHECK_EQ(load_changed(initrd_nowhere), -EINVAL);
	CHECK(strstr(err.msg, initrd_path) && strstr(err.msg, "--mem"));
	truncate(initrd_path, 1LL << 40);
	CHECK_EQ(load_changed(NULL), -EINVAL);
	truncate(initrd_path, 0);
	CHECK_EQ(load_changed(NULL), -EINVAL);
	CHECK(strstr(err.msg, "empty"));
	cfg.initrd = "/nonexistent/initrd";
	CHECK_EQ(load_changed(NULL), -ENOENT);
	cfg.initrd = dir;
	CHECK_EQ(load_changed(NULL), -EINVAL);
	tear_down();
}

static void prefer_high(struct setup_header *h)
{
	h->pref_address = 0x40000000;
}

static void prefer_high_fixed(struct setup_header *h)
{
	h->pref_address = 0x40000000;
	h->relocatable_kernel = 0;
}

/* A kernel that can be moved goes where there is memory; others do not run. */
static void test_linux_moved(void)
{
	set_up(MEM);
	CHECK_EQ(load_changed(prefer_high), 0);
	CHECK_EQ(regs.rip, 0x200000 + 0x200);
	CHECK_EQ(load_changed(prefer_high_fixed), -EINVAL);
	CHECK(strstr(err.msg, "--mem"));
	tear_down();
}

static void no_magic(struct setup_header *h) { h->header ^= 1; }
static void no_flag(struct setup_header *h) { h->boot_flag = 0; }
static void old_protocol(struct setup_header *h) { h->version = 0x020b; }
static void only_32(struct setup_header *h) { h->xloadflags = 0; }
static void not_high(struct setup_header *h) { h->loadflags = 0; }
static void no_size(struct setup_header *h) { h->init_size = 0; }
static void huge(struct setup_header *h) { h->init_size = 0xffffffff; }
static void too_big(struct setup_header *h) { h->init_size = 0x10000000; }
static void odd_alignment(struct setup_header *h) { h->kernel_alignment = 0x300000; }
static void no_alignment(struct setup_header *h) { h->kernel_alignment = 0; }
static void max_alignment(struct setup_header *h)
{
	h->kernel_alignment = 0x80000000;
	h->pref_address = 0;
}

static void fixed_low(struct setup_header *h)
{
	h->relocatable_kernel = 0;
	h->pref_address = HVM_BOOT_GDT;
}

static void fixed_wrap(struct setup_header *h)
{
	h->relocatable_kernel = 0;
	h->pref_address = ~0ULL - 0xfff;
}

static void all_setup(struct setup_header *h) { h->setup_sects = 0xff; }

static void test_linux_bad_headers(void)
{
	static void (*const change[])(struct setup_header *h) = {
		no_magic, no_flag, old_protocol, only_32, not_high, no_size, huge, too_big,
		odd_alignment, no_alignment, max_alignment, fixed_low, fixed_wrap, all_setup,
	};

	set_up(MEM);
	for (size_t i = 0; i < sizeof(change) / sizeof(change[0]); i++) {
		err.msg[0] = '\0';
		CHECK_EQ(load_changed(change[i]), -EINVAL);
		/* One line that names the file. */
		CHECK(strstr(err.msg, kernel_path) && !strchr(err.msg, '\n'));
	}
	tear_down();
}

static void short_cmdline(struct setup_header *h) { h->cmdline_size = 4; }

static void test_cmdline_too_long(void)
{
	char *longest = malloc(HVM_BOOT_CMDLINE_MAX + 1);

	set_up(MEM);
	CHECK_EQ(load_changed(short_cmdline), -E2BIG);
	memset(longest, 'x', HVM_BOOT_CMDLINE_MAX);
	longest[HVM_BOOT_CMDLINE_MAX] = '\0';
	cfg.cmdline = longest;
	CHECK_EQ(load_changed(NULL), -E2BIG);
	free(longest);
	tear_down();
}

static void test_truncated(void)
{
	static uint8_t f[FILE_LEN];

	set_up(MEM);
	make_bzimage(f);
	for (size_t len = 0; len <= SETUP_LEN + 0x200; len += len < 0x280 ? 1 : 97) {
		write_file(kernel_path, f, len);
		err.msg[0] = '\0';
		CHECK_EQ(hvm_boot_load(&cfg, &regs, &err), -EINVAL);
		CHECK(strstr(err.msg, kernel_path));
	}
	tear_down();
}

static void test_no_file(void)
{
	set_up(MEM);
	cfg.kernel = "/nonexistent/kernel";
	CHECK_EQ(hvm_boot_load(&cfg, &regs, &err), -ENOENT);
	CHECK(strstr(err.msg, "/nonexistent/kernel"));
	cfg.kernel = dir;
	CHECK_EQ(hvm_boot_load(&cfg, &regs, &err), -EINVAL);
	cfg.kernel = "/dev/zero";
	CHECK_EQ(hvm_boot_load(&cfg, &regs, &err), -EINVAL);
	tear_down();
}

/* ---- ELF with a PVH entry ---- */

struct elf_file {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	Elf64_Nhdr nh;
	char name[4];
	uint32_t entry, pad;
	uint8_t text[64];
};

static struct elf_file elf;

static void make_elf(void)
{
	memset(&elf, 0, sizeof(elf));
	memcpy(elf.eh.e_ident, ELFMAG, SELFMAG);
	elf.eh.e_ident[EI_CLASS] = ELFCLASS64;
	elf.eh.e_ident[EI_DATA] = ELFDATA2LSB;
	elf.eh.e_type = ET_EXEC;
	elf.eh.e_machine = EM_X86_64;
	elf.eh.e_phoff = offsetof(struct elf_file, ph);
	elf.eh.e_phentsize = sizeof(Elf64_Phdr);
	elf.eh.e_phnum = 2;
	elf.ph[0] = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_offset = offsetof(struct elf_file, text),
		.p_paddr = 0x200000, .p_filesz = sizeof(elf.text), .p_memsz = 0x1000,
	};
	elf.ph[1] = (Elf64_Phdr){
		.p_type = PT_NOTE, .p_offset = offsetof(struct elf_file, nh),
		.p_filesz = sizeof(elf.nh) + 12,
	};
	elf.nh = (Elf64_Nhdr){ .n_namesz = 4, .n_descsz = 8, .n_type = 18 };
	memcpy(elf.name, "Xen", 4);
	elf.entry = 0x200010;
	memset(elf.text, 0x90, sizeof(elf.text));
}

static int load_elf(void)
{
	err.msg[0] = '\0';
	write_file(kernel_path, &elf, sizeof(elf));
	return hvm_boot_load(&cfg, &regs, &err);
}

static void test_pvh(void)
{
	const uint32_t *si;
	uint8_t *text;

	write_file(initrd_path, "initrd", 6);
	set_up(MEM);
	cfg.initrd = initrd_path;
	make_elf();
	memset(at(0x200000, 0x1000), 0xff, 0x1000);
	CHECK_EQ(load_elf(), 0);
	CHECK(!regs.long_mode);
	CHECK_EQ(regs.rip, 0x200010);
	text = at(0x200000, 0x1000);
	CHECK_EQ(text[63], 0x90);
	CHECK_EQ(text[64], 0);	/* what is not in the file is zero */
	CHECK_EQ(text[0xfff], 0);
	si = at(regs.rbx, 56);
	CHECK_EQ(si[0], 0x336ec578);
	CHECK_EQ(si[1], 1);
	CHECK_EQ(si[3], 1);	/* one module */
	CHECK_EQ(*(uint64_t *)(si + 8), 0xe0000);
	CHECK(!memcmp(at(*(uint64_t *)at(*(uint64_t *)(si + 4), 8), 6), "initrd", 6));
	CHECK_STR((char *)at(*(uint64_t *)(si + 6), 64), "console=ttyS0");
	tear_down();
}

static void test_pvh_bad(void)
{
	set_up(MEM);
#define BAD(change) do {								\
	make_elf();									\
	change;										\
	CHECK_EQ(load_elf(), -EINVAL);							\
	CHECK(strstr(err.msg, kernel_path));						\
} while (0)
	BAD(elf.eh.e_ident[EI_CLASS] = ELFCLASS32);
	BAD(elf.eh.e_ident[EI_DATA] = ELFDATA2MSB);
	BAD(elf.eh.e_machine = EM_386);
	BAD(elf.eh.e_type = ET_DYN);
	BAD(elf.eh.e_phentsize = 1);
	BAD(elf.eh.e_phnum = 0);
	BAD(elf.eh.e_phnum = 0xffff);
	BAD(elf.eh.e_phoff = ~0ULL);
	BAD(elf.eh.e_phoff = sizeof(elf) - 8);
	BAD(elf.ph[0].p_paddr = 0x1000);
	BAD(elf.ph[0].p_paddr = MEM);
	BAD(elf.ph[0].p_paddr = ~0ULL - 0xfff);
	BAD(elf.ph[0].p_memsz = MEM);
	BAD(elf.ph[0].p_memsz = ~0ULL);
	BAD(elf.ph[0].p_filesz = 0x1001);
	BAD(elf.ph[0].p_offset = ~0ULL);
	BAD(elf.ph[0].p_offset = sizeof(elf) - 8);
	BAD(elf.ph[1].p_filesz = ~0ULL);
	BAD(elf.ph[1].p_offset = ~0ULL - 4);
	BAD(elf.ph[1].p_type = PT_NULL);
	BAD(elf.nh.n_namesz = 0xffffffff);
	BAD(elf.nh.n_descsz = 0xfffffffd);
	BAD(elf.nh.n_type = 17);
	BAD(elf.name[0] = 'x');
	BAD(elf.entry = 0);
	BAD(elf.entry = 0x201000);
	BAD(elf.entry = 0x1000);
	tear_down();
}

/* Random damage: any result is right, as long as nothing outside of guest memory is touched. */
static void test_random_damage(void)
{
	static uint8_t f[FILE_LEN];

	srandom(1);
	set_up(MEM);
	for (int i = 0; i < 3000; i++) {
		uint8_t *p = i % 2 ? (uint8_t *)&elf : f + 0x1f1;
		size_t len = i % 2 ? offsetof(struct elf_file, text) : 0x7b;

		make_bzimage(f);
		make_elf();
		for (int n = random() % 4; n >= 0; n--)
			p[(size_t)random() % len] = (uint8_t)random();
		write_file(kernel_path, i % 2 ? (void *)&elf : f, i % 2 ? sizeof(elf) : sizeof(f));
		hvm_boot_load(&cfg, &regs, &err);
	}
	tear_down();
}

static void test_ram(void)
{
	struct hvm_ram r;

	CHECK_EQ(hvm_ram_create(&r, (32ULL << 20) + 4096, false, &err), -EINVAL);
	CHECK_EQ(hvm_ram_create(&r, 16ULL << 20, false, &err), -EINVAL);
	CHECK_EQ(hvm_ram_create(&r, 5ULL << 30, false, &err), 0);
	CHECK_EQ(hvm_ram_end(5ULL << 30), 7ULL << 30);
	CHECK(guest_mem_ptr(&r.mem, HVM_HOLE_START - 1, 1));
	CHECK(!guest_mem_ptr(&r.mem, HVM_HOLE_START - 1, 2));
	CHECK(!guest_mem_ptr(&r.mem, HVM_HOLE_START, 1));
	CHECK(guest_mem_ptr(&r.mem, (7ULL << 30) - 1, 1));
	CHECK(!guest_mem_ptr(&r.mem, 7ULL << 30, 1));
	CHECK_EQ((uintptr_t)r.mem.region[0].hva % (2 << 20), 0);
	hvm_ram_destroy(&r);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	snprintf(kernel_path, sizeof(kernel_path), "%s/kernel", dir);
	snprintf(initrd_path, sizeof(initrd_path), "%s/initrd", dir);
	TEST_RUN(test_ram);
	TEST_RUN(test_linux);
	TEST_RUN(test_linux_tables);
	TEST_RUN(test_linux_memory_map);
	TEST_RUN(test_linux_initrd);
	TEST_RUN(test_linux_initrd_limit);
	TEST_RUN(test_initrd_does_not_fit);
	TEST_RUN(test_linux_moved);
	TEST_RUN(test_linux_bad_headers);
	TEST_RUN(test_cmdline_too_long);
	TEST_RUN(test_truncated);
	TEST_RUN(test_no_file);
	TEST_RUN(test_pvh);
	TEST_RUN(test_pvh_bad);
	TEST_RUN(test_random_damage);
	unlink(kernel_path);
	unlink(initrd_path);
	rmdir(dir);
	return TEST_EXIT();
}
