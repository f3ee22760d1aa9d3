// SPDX-License-Identifier: GPL-2.0-or-later
/* Counters; see stats.h. */
#include "stats.h"

#include <dirent.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "accel.h"

/* ---- Of the kernel (KVM's documentation, 4.133) ---- */

#define MAX_STATS	1024
#define MAX_NAME	256

/* struct kvm_stats_desc without its flexible array, which not all headers declare alike. */
struct stats_desc {
	uint32_t flags;
	int16_t exponent;
	uint16_t size;		/* numbers */
	uint32_t offset;
	uint32_t bucket_size;
};
_Static_assert(sizeof(struct stats_desc) == offsetof(struct kvm_stats_desc, name),
	       "the kernel's layout");

static bool read_at(int fd, void *buf, size_t len, uint64_t off)
{
	return pread(fd, buf, len, (off_t)off) == (ssize_t)len;
}

static bool is_histogram(uint32_t flags)
{
	uint32_t type = flags & KVM_STATS_TYPE_MASK;

	return type == KVM_STATS_TYPE_LINEAR_HIST || type == KVM_STATS_TYPE_LOG_HIST;
}

static void read_stat(int fd, const struct kvm_stats_header *h, unsigned int n,
		      struct hvm_stat *s, hvm_stat_fn fn, void *opaque)
{
	char name[MAX_NAME + 1];
	struct stats_desc desc;
	uint64_t at = h->desc_offset + (uint64_t)n * (sizeof(desc) + h->name_size);

	if (!read_at(fd, &desc, sizeof(desc), at) ||
	    !read_at(fd, name, h->name_size, at + sizeof(desc)) || desc.size != 1 ||
	    is_histogram(desc.flags) ||
	    !read_at(fd, &s->value, sizeof(s->value), (uint64_t)h->data_offset + desc.offset))
		return;
	name[h->name_size] = '\0';
	s->name = name;
	fn(opaque, s);
}

void hvm_kvm_stats(int fd, enum hvm_stat_scope scope, const char *id, hvm_stat_fn fn, void *opaque)
{
	struct hvm_stat s = { .scope = scope, .id = id };
	struct kvm_stats_header h;
	int stats = hvm_ioctl_val(fd, KVM_GET_STATS_FD, 0);

	if (stats < 0)
		return;
	if (read_at(stats, &h, sizeof(h), 0) && h.name_size <= MAX_NAME)
		for (unsigned int i = 0; i < h.num_desc && i < MAX_STATS; i++)
			read_stat(stats, &h, i, &s, fn, opaque);
	close(stats);
}

/* ---- Of the process ---- */

/* A line of /proc/self/smaps: "Rss:   12 kB". */
static uint64_t smaps_value(const char *line, const char *key)
{
	size_t len = strlen(key);

	return strncmp(line, key, len) ? 0 : strtoull(line + len, NULL, 10) << 10;
}

/* The first line of a mapping begins with its addresses; others have a name and a colon. */
static bool smaps_mapping(const char *line, uintptr_t *start)
{
	char *end;

	*start = (uintptr_t)strtoull(line, &end, 16);
	return end != line && *end == '-';
}

static void add_memory(FILE *f, uintptr_t ram, uint64_t size, struct hvm_process_stats *p)
{
	bool is_ram = false;
	uintptr_t start;
	char line[512];

	while (fgets(line, sizeof(line), f)) {
		uint64_t rss, private;

		if (smaps_mapping(line, &start)) {
			is_ram = start >= ram && start - ram < size;
			continue;
		}
		rss = smaps_value(line, "Rss:");
		private = smaps_value(line, "Private_Clean:") + smaps_value(line, "Private_Dirty:");
		p->resident += rss;
		p->guest += is_ram ? rss : 0;
		p->private += is_ram ? 0 : private;
	}
}

static unsigned int count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned int n = 0;
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		n += e->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

void hvm_process_stats(const void *ram, uint64_t size, struct hvm_process_stats *p)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	struct timespec ts;

	*p = (struct hvm_process_stats){ 0 };
	if (f) {
		add_memory(f, (uintptr_t)ram, size, p);
		fclose(f);
	}
	if (!clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts))
		p->cpu_ns = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	p->threads = count_threads();
}
