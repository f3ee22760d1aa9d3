// SPDX-License-Identifier: GPL-2.0-or-later
/* PC firmware; see firmware.h. */
#include "firmware.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../../virtio-backends/util/log.h"
#include "../chipset/acpi.h"
#include "../chipset/acpi_loader.h"
#include "../chipset/fw_cfg.h"
#include "../chipset/pflash.h"
#include "../memory/layout.h"
#include "boot.h"

#define SLOT_CODE	HVM_SLOT_ROM
#define SLOT_VARS	(HVM_SLOT_ROM + 1)

#define ROM_END		0x100000000ULL
#define ROM_ALIGN	4096u
#define ECAM_WINDOW	0x10000000ULL	/* what firmware takes for ECAM, of which bus 0 answers */
#define WINDOW_ALIGN	HVM_PCI_MMIO64_ALIGN
#define FIRST_DISK_SLOT	1u		/* of PCI; devices.c creates disks first */
#define FILE_E820	"etc/e820"
#define FILE_SERCON	"etc/sercon-port"	/* SeaBIOS: text goes there, too */
#define FILE_BOOTORDER	"bootorder"

struct hvm_firmware {
	struct hvm_firmware_params p;
	uint8_t *code;
	uint64_t size;
	bool mapped;
	struct hvm_pflash *vars;	/* NULL: the image has its own, or needs none */
	struct hvm_fw_cfg *fw_cfg;
};

/* ---- The images ---- */

static int image_open(struct boot_file *f, const char *path, const char *what, struct hv_err *err)
{
	int ret = boot_file_open(f, path, what, err);

	if (ret)
		return ret;
	if (f->size % ROM_ALIGN || f->size > HVM_FIRMWARE_SIZE_MAX) {
		ret = boot_file_bad(f, err, "a firmware image is whole 4 KiB pages, and at most "
				    "%llu MiB", HVM_FIRMWARE_SIZE_MAX >> 20);
		boot_file_close(f);
	}
	return ret;
}

static int load_code(struct hvm_firmware *fw, struct hv_err *err)
{
	struct boot_file f;
	void *p;
	int ret = image_open(&f, fw->p.cfg->firmware.path, "firmware", err);

	if (ret)
		return ret;
	fw->size = f.size;
	p = mmap(NULL, f.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		ret = hv_err_set(err, -errno, "firmware: %s", strerror(errno));
	} else {
		fw->code = p;
		ret = boot_file_read(&f, 0, p, f.size, err);
	}
	boot_file_close(&f);
	if (ret)
		return ret;
	ret = hvm_vm_set_rom(fw->p.vm, SLOT_CODE, ROM_END - fw->size, fw->size, fw->code);
	if (ret)
		return hv_err_set(err, ret, "firmware: no read-only memory: %s", strerror(-ret));
	fw->mapped = true;
	return 0;
}

/* The template's contents; without one, as much as the store itself has. */
static int load_template(const struct hvm_firmware_config *cfg, uint8_t **data, uint64_t *size,
			 struct hv_err *err)
{
	struct boot_file f;
	struct stat st;
	int ret;

	*data = NULL;
	if (!cfg->vars_template) {
		if (stat(cfg->vars, &st))
			return hv_err_set(err, -errno, "variable store %s: %s; copy the one that "
					  "belongs to the firmware there", cfg->vars,
					  strerror(errno));
		*size = (uint64_t)st.st_size;
		return 0;
	}
	ret = image_open(&f, cfg->vars_template, "variable store", err);
	if (ret)
		return ret;
	*size = f.size;
	*data = malloc(f.size);
	ret = *data ? boot_file_read(&f, 0, *data, f.size, err) :
		      hv_err_set(err, -ENOMEM, "variable store: out of memory");
	boot_file_close(&f);
	return ret;
}

static int create_vars(struct hvm_firmware *fw, struct hv_err *err)
{
	const struct hvm_firmware_config *cfg = &fw->p.cfg->firmware;
	struct hvm_pflash_config flash = {
		.vm = fw->p.vm, .slot = SLOT_VARS, .path = cfg->vars, .log = hv_log,
	};
	uint8_t *data = NULL;
	int ret;

	if (!cfg->vars && !cfg->vars_template)
		return 0;
	ret = load_template(cfg, &data, &flash.size, err);
	if (!ret && (!flash.size || flash.size % HVM_PFLASH_BLOCK ||
		     flash.size > HVM_FIRMWARE_SIZE_MAX - fw->size))
		ret = hv_err_set(err, -EINVAL, "variable store: %llu bytes do not fit beside the "
				 "firmware", (unsigned long long)flash.size);
	if (!ret) {
		flash.gpa = ROM_END - fw->size - flash.size;
		flash.contents = data;
		ret = hvm_pflash_create(&flash, &fw->vars, err);
	}
	free(data);
	return ret;
}

/* ---- ACPI tables, made when firmware reads them: it has placed PCI's windows by then ---- */

static void acpi_windows(struct hvm_acpi_config *acpi, uint64_t ecam)
{
	struct hvm_acpi_window *w = acpi->mem32;

	if (!ecam) {
		*w = (struct hvm_acpi_window){ HVM_HOLE_START, HVM_PCI_FW_END - HVM_HOLE_START };
		return;
	}
	if (ecam > HVM_HOLE_START)
		*w++ = (struct hvm_acpi_window){ HVM_HOLE_START, ecam - HVM_HOLE_START };
	if (ecam + ECAM_WINDOW < HVM_PCI_FW_END)
		*w = (struct hvm_acpi_window){ ecam + ECAM_WINDOW,
					       HVM_PCI_FW_END - ecam - ECAM_WINDOW };
}

static void acpi_config(const struct hvm_firmware *fw, struct hvm_acpi_config *acpi)
{
	uint64_t start = fw->p.pci64_base, end = start + fw->p.pci64_size;
	struct pci_layout layout;

	pci_host_layout(fw->p.pci, &layout);
	*acpi = (struct hvm_acpi_config){
		.cpus = fw->p.cfg->cpus, .ecam_base = layout.ecam_base,
	};
	acpi_windows(acpi, layout.ecam_base);
	/* Where firmware has put BARs is a window, too. */
	if (layout.mem64_start != layout.mem64_end) {
		if (layout.mem64_start < start)
			start = layout.mem64_start & ~(WINDOW_ALIGN - 1);
		if (layout.mem64_end > end)
			end = (layout.mem64_end + WINDOW_ALIGN - 1) & ~(WINDOW_ALIGN - 1);
	}
	acpi->mem64 = (struct hvm_acpi_window){ start, end - start };
}

typedef int (*put_file_fn)(struct hvm_fw_cfg *f, const char *name, const void *data, size_t len,
			   struct hv_err *err);

static int put_new(struct hvm_fw_cfg *f, const char *name, const void *data, size_t len,
		   struct hv_err *err)
{
	return hvm_fw_cfg_add_file(f, name, data, len, true, err);
}

static int put_again(struct hvm_fw_cfg *f, const char *name, const void *data, size_t len,
		     struct hv_err *err)
{
	int ret = hvm_fw_cfg_replace(f, name, data, len);

	return ret ? hv_err_set(err, ret, "%s has another length than before", name) : 0;
}

static int put_acpi(struct hvm_firmware *fw, struct hvm_fw_cfg *f, put_file_fn put,
		    struct hv_err *err)
{
	struct acpi_loader_entry entry[ACPI_LOADER_MAX];
	struct hvm_acpi_config acpi;
	struct hvm_acpi_tables t;
	unsigned int n;
	int ret;

	acpi_config(fw, &acpi);
	ret = hvm_acpi_build(&acpi, &t, err);
	if (ret)
		return ret;
	n = hvm_acpi_loader(&t, entry);
	ret = put(f, HVM_ACPI_FILE_TABLES, t.data, t.len, err);
	if (!ret)
		ret = put(f, HVM_ACPI_FILE_RSDP, &t.rsdp, sizeof(t.rsdp), err);
	if (!ret)
		ret = put(f, HVM_ACPI_FILE_LOADER, entry, n * sizeof(entry[0]), err);
	hvm_acpi_free(&t);
	return ret;
}

/* Should memory be short the guest gets the tables of the start, which have PCI elsewhere. */
static void refresh_acpi(void *opaque, struct hvm_fw_cfg *f)
{
	struct hv_err err = { 0 };

	if (put_acpi(opaque, f, put_again, &err))
		hv_log("ACPI tables for the firmware: %s", err.msg);
}

/* ---- What firmware is told ---- */

static int put_e820(struct hvm_firmware *fw, struct hv_err *err)
{
	const struct guest_mem *mem = &fw->p.vm->ram.mem;
	struct {
		uint64_t addr, size;
		uint32_t type;
	} __attribute__((packed)) map[GUEST_MEM_MAX_REGIONS];

	/* Firmware knows by itself what of the first megabyte is not for systems. */
	for (unsigned int i = 0; i < mem->nr; i++) {
		map[i].addr = htole64(mem->region[i].gpa);
		map[i].size = htole64(mem->region[i].size);
		map[i].type = htole32(BOOT_MEM_RAM);
	}
	return hvm_fw_cfg_add_file(fw->fw_cfg, FILE_E820, map, mem->nr * sizeof(map[0]), false,
				   err);
}

/* Disks in the order of the command line, by the names that Open Firmware would give them. */
static int put_bootorder(struct hvm_firmware *fw, struct hv_err *err)
{
	char text[HVM_MAX_DISKS * 40];
	size_t len = 0;

	if (!fw->p.cfg->nr_disks)
		return 0;
	for (unsigned int i = 0; i < fw->p.cfg->nr_disks; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%s/pci@i0cf8/scsi@%x/disk@0,0", i ? "\n" : "",
					FIRST_DISK_SLOT + i);
	return hvm_fw_cfg_add_file(fw->fw_cfg, FILE_BOOTORDER, text, len + 1, false, err);
}

static int put_numbers(struct hvm_firmware *fw, struct hv_err *err)
{
	const struct hvm_config *cfg = fw->p.cfg;
	const uint64_t mem = htole64(cfg->mem), sercon = htole64(HVM_PORT_SERIAL);
	const uint16_t cpus = htole16((uint16_t)cfg->cpus), no_graphics = htole16(1);
	const uint8_t irq0 = 1;
	struct hvm_fw_cfg *f = fw->fw_cfg;
	int ret = hvm_fw_cfg_add(f, FW_CFG_RAM_SIZE, &mem, sizeof(mem), err);

	if (!ret)
		ret = hvm_fw_cfg_add(f, FW_CFG_NOGRAPHIC, &no_graphics, sizeof(no_graphics), err);
	if (!ret)
		ret = hvm_fw_cfg_add(f, FW_CFG_NB_CPUS, &cpus, sizeof(cpus), err);
	if (!ret)
		ret = hvm_fw_cfg_add(f, FW_CFG_MAX_CPUS, &cpus, sizeof(cpus), err);
	if (!ret)
		ret = hvm_fw_cfg_add(f, FW_CFG_IRQ0_OVERRIDE, &irq0, sizeof(irq0), err);
	if (!ret)
		ret = hvm_fw_cfg_add_file(f, FILE_SERCON, &sercon, sizeof(sercon), false, err);
	return ret;
}

static int create_fw_cfg(struct hvm_firmware *fw, struct hv_err *err)
{
	const struct hvm_fw_cfg_config cfg = {
		.pio = fw->p.vm->pio,
		.port = HVM_PORT_FW_CFG,
		.mem = &fw->p.vm->ram.mem,
		.refresh = refresh_acpi,
		.opaque = fw,
	};
	int ret = hvm_fw_cfg_create(&cfg, &fw->fw_cfg, err);

	if (!ret)
		ret = put_numbers(fw, err);
	if (!ret)
		ret = put_e820(fw, err);
	if (!ret)
		ret = put_acpi(fw, fw->fw_cfg, put_new, err);
	if (!ret)
		ret = put_bootorder(fw, err);
	return ret;
}

/* ---- Life ---- */

int hvm_firmware_create(const struct hvm_firmware_params *params, struct hvm_firmware **res,
			struct hv_err *err)
{
	struct hvm_firmware *fw = calloc(1, sizeof(*fw));
	int ret;

	if (!fw)
		return hv_err_set(err, -ENOMEM, "firmware: out of memory");
	fw->p = *params;
	ret = load_code(fw, err);
	if (!ret)
		ret = create_vars(fw, err);
	if (!ret)
		ret = create_fw_cfg(fw, err);
	if (ret) {
		hvm_firmware_destroy(fw, NULL);
		return ret;
	}
	*res = fw;
	return 0;
}

int hvm_firmware_destroy(struct hvm_firmware *fw, struct hv_err *err)
{
	int ret;

	if (!fw)
		return 0;
	hvm_fw_cfg_destroy(fw->fw_cfg);
	ret = hvm_pflash_destroy(fw->vars, err);
	if (fw->mapped)
		hvm_vm_set_rom(fw->p.vm, SLOT_CODE, ROM_END - fw->size, 0, fw->code);
	if (fw->code)
		munmap(fw->code, fw->size);
	free(fw);
	return ret;
}

/*
 * On a PC the end of the firmware is also seen below 1 MiB, until firmware makes that RAM and
 * copies itself there. Here it is RAM from the start, and the copy is fresh after each reset.
 */
int hvm_firmware_reset(struct hvm_firmware *fw, struct hv_err *err)
{
	uint64_t room = HVM_HIGH_RAM_START - HVM_BIOS_SHADOW;
	uint64_t len = fw->size < room ? fw->size : room;
	void *p = guest_mem_ptr(&fw->p.vm->ram.mem, HVM_HIGH_RAM_START - len, len);

	if (!p)
		return hv_err_set(err, -EINVAL, "firmware: no memory below 1 MiB");
	memcpy(p, fw->code + fw->size - len, len);
	hvm_fw_cfg_reset(fw->fw_cfg);
	if (fw->vars)
		hvm_pflash_reset(fw->vars);
	return 0;
}

void hvm_firmware_save(struct hvm_firmware *fw, struct hv_state_writer *w)
{
	hvm_fw_cfg_save(fw->fw_cfg, w);
	if (fw->vars)
		hvm_pflash_save(fw->vars, w);
}

int hvm_firmware_load(struct hvm_firmware *fw, struct hv_state_reader *r, struct hv_err *err)
{
	int ret = hvm_fw_cfg_load(fw->fw_cfg, r, err);

	if (!ret && fw->vars)
		ret = hvm_pflash_load(fw->vars, r, err);
	return ret;
}
