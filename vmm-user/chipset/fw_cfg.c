// SPDX-License-Identifier: GPL-2.0-or-later
/* The firmware configuration device; see fw_cfg.h. */
#include "fw_cfg.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ITEMS	(FW_CFG_MAX_FILES + 16)
#define STATE_VERSION	1

/* What the DMA register reads as: "QEMU CFG", from the first port on. */
#define DMA_SIGNATURE	0x51454d5520434647ULL

struct item {
	uint16_t key;
	char name[FW_CFG_NAME_LEN];	/* empty: not a file */
	bool late;
	uint8_t *data;
	size_t len;
};

struct hvm_fw_cfg {
	struct hvm_fw_cfg_config cfg;
	struct bus_range *ports;
	struct item item[MAX_ITEMS];
	unsigned int nr_items, nr_files;

	pthread_mutex_t lock;	/* all below, and late items' data */
	uint16_t key;
	uint32_t pos;		/* in the selected item */
	uint32_t dma_high;
	bool fresh;		/* late items are up to date */
};

/* ---- Items ---- */

static struct item *find_key(struct hvm_fw_cfg *f, uint16_t key)
{
	for (unsigned int i = 0; i < f->nr_items; i++)
		if (f->item[i].key == key)
			return &f->item[i];
	return NULL;
}

static struct item *find_name(struct hvm_fw_cfg *f, const char *name)
{
	for (unsigned int i = 0; i < f->nr_items; i++)
		if (f->item[i].name[0] && !strcmp(f->item[i].name, name))
			return &f->item[i];
	return NULL;
}

static int set_data(struct item *it, const void *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		return -ENOMEM;
	if (len)
		memcpy(copy, data, len);
	free(it->data);
	it->data = copy;
	it->len = len;
	return 0;
}

int hvm_fw_cfg_add(struct hvm_fw_cfg *f, uint16_t key, const void *data, size_t len,
		   struct hv_err *err)
{
	struct item *it = &f->item[f->nr_items];
	int ret = f->nr_items == MAX_ITEMS ? -ENOSPC : find_key(f, key) ? -EEXIST : 0;

	if (!ret)
		ret = set_data(it, data, len);
	if (ret)
		return hv_err_set(err, ret, "firmware's configuration: item 0x%x: %s", key,
				  strerror(-ret));
	it->key = key;
	f->nr_items++;
	return 0;
}

/* The directory: how many, then a struct fw_cfg_file for each. */
static int update_directory(struct hvm_fw_cfg *f)
{
	struct {
		uint32_t count;
		struct fw_cfg_file file[FW_CFG_MAX_FILES];
	} dir = { .count = htobe32(f->nr_files) };
	struct fw_cfg_file *file = dir.file;

	for (unsigned int i = 0; i < f->nr_items; i++) {
		const struct item *it = &f->item[i];

		if (!it->name[0])
			continue;
		file->size = htobe32((uint32_t)it->len);
		file->select = htobe16(it->key);
		memcpy(file++->name, it->name, sizeof(it->name));
	}
	return set_data(find_key(f, FW_CFG_FILE_DIR), &dir,
			sizeof(dir.count) + f->nr_files * sizeof(dir.file[0]));
}

int hvm_fw_cfg_add_file(struct hvm_fw_cfg *f, const char *name, const void *data, size_t len,
			bool late, struct hv_err *err)
{
	struct item *it = &f->item[f->nr_items];
	int ret;

	if (!*name || strlen(name) >= FW_CFG_NAME_LEN || find_name(f, name) ||
	    f->nr_files == FW_CFG_MAX_FILES || len > UINT32_MAX)
		return hv_err_set(err, -EINVAL, "firmware's configuration: no file \"%s\" can be "
				  "added", name);
	ret = hvm_fw_cfg_add(f, (uint16_t)(FW_CFG_FILE_FIRST + f->nr_files), data, len, err);
	if (ret)
		return ret;
	snprintf(it->name, sizeof(it->name), "%s", name);
	it->late = late;
	f->nr_files++;
	ret = update_directory(f);
	return ret ? hv_err_set(err, ret, "firmware's configuration: out of memory") : 0;
}

int hvm_fw_cfg_replace(struct hvm_fw_cfg *f, const char *name, const void *data, size_t len)
{
	struct item *it = find_name(f, name);

	if (!it || !it->late || it->len != len)
		return -EINVAL;
	memcpy(it->data, data, len);
	return 0;
}

/* ---- Reading, with the lock held ---- */

static void cfg_select(struct hvm_fw_cfg *f, uint16_t key)
{
	f->key = key;
	f->pos = 0;
}

/* What the selected item still has; an item that does not exist is empty. */
static const uint8_t *cfg_rest(struct hvm_fw_cfg *f, size_t *len)
{
	const struct item *it = find_key(f, f->key);

	*len = 0;
	if (!it || f->pos >= it->len)
		return NULL;
	if (it->late && !f->fresh && f->cfg.refresh) {
		f->fresh = true;
		f->cfg.refresh(f->cfg.opaque, f);
	}
	*len = it->len - f->pos;
	return it->data + f->pos;
}

static void cfg_advance(struct hvm_fw_cfg *f, uint32_t len)
{
	f->pos = len > UINT32_MAX - f->pos ? UINT32_MAX : f->pos + len;
}

/* Behind its end every item reads as zeroes. */
static uint8_t cfg_read_byte(struct hvm_fw_cfg *f)
{
	size_t len;
	const uint8_t *p = cfg_rest(f, &len);
	uint8_t v = len ? *p : 0;

	cfg_advance(f, 1);
	return v;
}

static bool dma_read(struct hvm_fw_cfg *f, uint64_t gpa, uint32_t len)
{
	uint8_t *to = guest_mem_ptr(f->cfg.mem, gpa, len);
	const uint8_t *from;
	size_t have;

	if (!to)
		return false;
	from = cfg_rest(f, &have);
	if (have > len)
		have = len;
	if (have)
		memcpy(to, from, have);
	memset(to + have, 0, len - have);
	cfg_advance(f, len);
	return true;
}

static void cfg_dma(struct hvm_fw_cfg *f, uint64_t gpa)
{
	void *p = guest_mem_ptr(f->cfg.mem, gpa, sizeof(struct fw_cfg_dma));
	struct fw_cfg_dma dma;
	uint32_t control, len, status = 0;

	if (!p)
		return;		/* nowhere to say so */
	memcpy(&dma, p, sizeof(dma));
	control = be32toh(dma.control);
	len = be32toh(dma.length);
	if (control & FW_CFG_DMA_SELECT)
		cfg_select(f, (uint16_t)(control >> 16));
	if (control & FW_CFG_DMA_READ) {
		if (len && !dma_read(f, be64toh(dma.address), len))
			status = FW_CFG_DMA_ERROR;
	} else if (control & FW_CFG_DMA_WRITE) {
		status = FW_CFG_DMA_ERROR;
	} else if (control & FW_CFG_DMA_SKIP) {
		cfg_advance(f, len);
	}
	/* Last, for this is what the guest waits for. */
	status = htobe32(status);
	memcpy(p, &status, sizeof(status));
}

/* ---- Ports ---- */

static uint64_t cfg_read(void *opaque, uint64_t off, unsigned int size)
{
	struct hvm_fw_cfg *f = opaque;
	uint64_t v = 0;

	if (off >= FW_CFG_PORT_DMA) {
		/* The register is big-endian: its first port has the highest byte. */
		for (unsigned int i = 0; i < size; i++) {
			unsigned int byte = 7 - (unsigned int)(off - FW_CFG_PORT_DMA + i);

			v |= (DMA_SIGNATURE >> (8 * byte) & 0xff) << (8 * i);
		}
		return v;
	}
	if (off != FW_CFG_PORT_DATA || size != 1)
		return 0;
	pthread_mutex_lock(&f->lock);
	v = cfg_read_byte(f);
	pthread_mutex_unlock(&f->lock);
	return v;
}

static void cfg_write(void *opaque, uint64_t off, unsigned int size, uint64_t value)
{
	struct hvm_fw_cfg *f = opaque;

	pthread_mutex_lock(&f->lock);
	if (off == FW_CFG_PORT_SELECTOR && size == 2) {
		cfg_select(f, (uint16_t)value);
	} else if (off == FW_CFG_PORT_DMA && size == 4) {
		f->dma_high = be32toh((uint32_t)value);
	} else if (off == FW_CFG_PORT_DMA + 4 && size == 4) {
		uint64_t gpa = (uint64_t)f->dma_high << 32 | be32toh((uint32_t)value);

		f->dma_high = 0;
		cfg_dma(f, gpa);
	}
	pthread_mutex_unlock(&f->lock);
}

static const struct bus_ops cfg_ops = { .read = cfg_read, .write = cfg_write };

/* ---- Life ---- */

static int add_basics(struct hvm_fw_cfg *f, struct hv_err *err)
{
	const uint32_t id = htole32(FW_CFG_ID_PORTS | FW_CFG_ID_DMA);
	const uint32_t none = 0;
	int ret = hvm_fw_cfg_add(f, FW_CFG_SIGNATURE, "QEMU", 4, err);

	if (!ret)
		ret = hvm_fw_cfg_add(f, FW_CFG_ID, &id, sizeof(id), err);
	if (!ret)
		ret = hvm_fw_cfg_add(f, FW_CFG_FILE_DIR, &none, sizeof(none), err);
	return ret;
}

int hvm_fw_cfg_create(const struct hvm_fw_cfg_config *cfg, struct hvm_fw_cfg **res,
		      struct hv_err *err)
{
	struct hvm_fw_cfg *f = calloc(1, sizeof(*f));
	int ret;

	if (!f)
		return hv_err_set(err, -ENOMEM, "firmware's configuration: out of memory");
	f->cfg = *cfg;
	pthread_mutex_init(&f->lock, NULL);
	ret = add_basics(f, err);
	if (!ret) {
		ret = bus_add(cfg->pio, cfg->port, FW_CFG_PORTS, &cfg_ops, f, "fw-cfg", &f->ports);
		if (ret)
			hv_err_set(err, ret, "firmware's configuration: ports: %s", strerror(-ret));
	}
	if (ret) {
		hvm_fw_cfg_destroy(f);
		return ret;
	}
	*res = f;
	return 0;
}

void hvm_fw_cfg_destroy(struct hvm_fw_cfg *f)
{
	if (!f)
		return;
	bus_remove(f->cfg.pio, f->ports);
	for (unsigned int i = 0; i < MAX_ITEMS; i++)
		free(f->item[i].data);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void hvm_fw_cfg_reset(struct hvm_fw_cfg *f)
{
	pthread_mutex_lock(&f->lock);
	cfg_select(f, 0);
	f->dma_high = 0;
	f->fresh = false;
	pthread_mutex_unlock(&f->lock);
}

void hvm_fw_cfg_save(struct hvm_fw_cfg *f, struct hv_state_writer *w)
{
	pthread_mutex_lock(&f->lock);
	hv_state_begin(w, "fw-cfg", STATE_VERSION);
	hv_state_put_u16(w, f->key);
	hv_state_put_u32(w, f->pos);
	hv_state_put_u32(w, f->dma_high);
	hv_state_end(w);
	pthread_mutex_unlock(&f->lock);
}

int hvm_fw_cfg_load(struct hvm_fw_cfg *f, struct hv_state_reader *r, struct hv_err *err)
{
	int ret = hv_state_open(r, "fw-cfg", STATE_VERSION, err);
	uint32_t pos, dma_high;
	uint16_t key;

	if (ret < 0)
		return ret;
	key = hv_state_get_u16(r);
	pos = hv_state_get_u32(r);
	dma_high = hv_state_get_u32(r);
	ret = hv_state_close(r, err);
	if (ret)
		return ret;
	pthread_mutex_lock(&f->lock);
	f->key = key;
	f->pos = pos;
	f->dma_high = dma_high;
	f->fresh = false;	/* made again from the loaded devices when somebody reads on */
	pthread_mutex_unlock(&f->lock);
	return 0;
}
