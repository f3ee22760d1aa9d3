// SPDX-License-Identifier: GPL-2.0-or-later
/* Guest memory of a vhost-user front end; see vhost_user_mem.h. */
#include "vhost_user_mem.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* No machine has more: guest addresses of Intel and AMD are at most this wide. */
#define ADDRESS_BITS	52
#define MAX_PAGE	(1ULL << 30)

int vhost_user_map_fd(int fd, uint64_t offset, uint64_t size, void **map, size_t *len, void **p,
		      struct hv_err *err)
{
	uint64_t page, start, end;
	struct stat st;
	void *m;

	if (fstat(fd, &st))
		return hv_err_set(err, -errno, "shared memory: %s", strerror(errno));
	if (!size || size > 1ULL << ADDRESS_BITS || offset > 1ULL << ADDRESS_BITS)
		return hv_err_set(err, -EINVAL, "shared memory: 0x%llx bytes at 0x%llx cannot be",
				  (unsigned long long)size, (unsigned long long)offset);
	if (!S_ISREG(st.st_mode) || offset + size > (uint64_t)st.st_size)
		return hv_err_set(err, -EINVAL, "shared memory: the file does not have the 0x%llx bytes "
				  "at 0x%llx", (unsigned long long)size, (unsigned long long)offset);
	/* Files of huge pages can be mapped in those only. */
	page = (uint64_t)st.st_blksize;
	if (page < 4096 || page > MAX_PAGE || (page & (page - 1)))
		page = 4096;
	start = offset & ~(page - 1);
	end = (offset + size + page - 1) & ~(page - 1);
	m = mmap(NULL, end - start, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		 (off_t)start);
	if (m == MAP_FAILED)
		return hv_err_set(err, -errno, "shared memory: mapping 0x%llx bytes at 0x%llx: %s",
				  (unsigned long long)size, (unsigned long long)offset,
				  strerror(errno));
	madvise(m, end - start, MADV_DONTDUMP);
	*map = m;
	*len = end - start;
	*p = (char *)m + (offset - start);
	return 0;
}

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static int check_region(const struct vhost_user_mem *m, const struct vhost_user_region *r,
			struct hv_err *err)
{
	const uint64_t limit = 1ULL << ADDRESS_BITS;

	if (m->mem.nr == GUEST_MEM_MAX_REGIONS)
		return hv_err_set(err, -ENOSPC, "guest memory: more than %d regions",
				  GUEST_MEM_MAX_REGIONS);
	if (!r->size || r->size > limit || r->gpa > limit - r->size ||
	    r->user > UINT64_MAX - r->size)
		return hv_err_set(err, -EINVAL, "guest memory: 0x%llx bytes at 0x%llx cannot be",
				  (unsigned long long)r->size, (unsigned long long)r->gpa);
	for (unsigned int i = 0; i < m->mem.nr; i++) {
		const struct guest_mem_region *o = &m->mem.region[i];

		if (overlap(r->gpa, r->size, o->gpa, o->size) ||
		    overlap(r->user, r->size, m->map[i].user, o->size))
			return hv_err_set(err, -EINVAL, "guest memory: the regions at 0x%llx and 0x%llx "
					  "overlap", (unsigned long long)r->gpa,
					  (unsigned long long)o->gpa);
	}
	return 0;
}

int vhost_user_mem_add(struct vhost_user_mem *m, const struct vhost_user_region *r, int fd,
		       struct hv_err *err)
{
	struct vhost_user_map *map = &m->map[m->mem.nr];
	int ret = check_region(m, r, err);
	void *hva;

	if (!ret)
		ret = vhost_user_map_fd(fd, r->offset, r->size, &map->map, &map->len, &hva, err);
	close(fd);
	if (ret)
		return ret;
	map->user = r->user;
	m->mem.region[m->mem.nr++] = (struct guest_mem_region){
		.gpa = r->gpa, .size = r->size, .hva = hva,
	};
	return 0;
}

int vhost_user_mem_remove(struct vhost_user_mem *m, const struct vhost_user_region *r)
{
	for (unsigned int i = 0; i < m->mem.nr; i++) {
		const struct guest_mem_region *o = &m->mem.region[i];

		if (r->gpa != o->gpa || r->size != o->size || r->user != m->map[i].user)
			continue;
		munmap(m->map[i].map, m->map[i].len);
		m->mem.nr--;
		m->mem.region[i] = m->mem.region[m->mem.nr];
		m->map[i] = m->map[m->mem.nr];
		return 0;
	}
	return -ENOENT;
}

void vhost_user_mem_clear(struct vhost_user_mem *m)
{
	while (m->mem.nr) {
		m->mem.nr--;
		munmap(m->map[m->mem.nr].map, m->map[m->mem.nr].len);
	}
}

int vhost_user_mem_gpa(const struct vhost_user_mem *m, uint64_t user, uint64_t *gpa)
{
	for (unsigned int i = 0; i < m->mem.nr; i++) {
		const struct guest_mem_region *r = &m->mem.region[i];

		if (user >= m->map[i].user && user - m->map[i].user < r->size) {
			*gpa = r->gpa + (user - m->map[i].user);
			return 0;
		}
	}
	return -ENOENT;
}
