// SPDX-License-Identifier: GPL-2.0-or-later
/* Guest RAM; see ram.h. */
#include "ram.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "layout.h"

#define HUGE_PAGE	(2ULL << 20)

uint64_t hvm_ram_low(uint64_t size)
{
	return size < HVM_HOLE_START ? size : HVM_HOLE_START;
}

uint64_t hvm_ram_end(uint64_t size)
{
	return HVM_HOLE_END + (size - hvm_ram_low(size));
}

/* A file of memory that nobody can make smaller: an access would then be the end of who does it. */
static int ram_create_file(uint64_t size, struct hv_err *err)
{
	int fd = memfd_create("hvm-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int ret;

	if (fd >= 0 && !ftruncate(fd, (off_t)size) &&
	    !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return fd;
	ret = hv_err_set(err, -errno, "%llu MiB of shared guest memory: %s",
			 (unsigned long long)size >> 20, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ret;
}

/* Where guest and host addresses agree in their low 21 bits, so that huge pages fit both. */
static void *ram_map(uint64_t size, int fd, struct hv_err *err)
{
	uint64_t shift;
	char *p = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		goto fail;
	shift = -(uintptr_t)p & (HUGE_PAGE - 1);
	if (shift)
		munmap(p, shift);
	munmap(p + shift + size, HUGE_PAGE - shift);
	p += shift;
	if (fd >= 0 && mmap(p, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED,
			    fd, 0) == MAP_FAILED) {
		munmap(p, size);
		goto fail;
	}
	return p;
fail:
	hv_err_set(err, -errno, "%llu MiB of guest memory: %s", (unsigned long long)size >> 20,
		   strerror(errno));
	return NULL;
}

static void ram_add_region(struct hvm_ram *ram, uint64_t gpa, uint64_t offset, uint64_t size)
{
	ram->mem.region[ram->mem.nr++] = (struct guest_mem_region){
		.gpa = gpa, .size = size, .hva = (char *)ram->map + offset,
		.shared = ram->fd >= 0, .fd = ram->fd, .offset = offset,
	};
}

int hvm_ram_create(struct hvm_ram *ram, uint64_t size, bool shared, struct hv_err *err)
{
	uint64_t low = hvm_ram_low(size);

	*ram = (struct hvm_ram){ .fd = -1 };
	if (size < HVM_MEM_MIN || size % HVM_MEM_ALIGN)
		return hv_err_set(err, -EINVAL, "guest memory must be whole MiB, and at least %llu",
				  HVM_MEM_MIN >> 20);
	if (shared) {
		ram->fd = ram_create_file(size, err);
		if (ram->fd < 0)
			return ram->fd;
	}
	ram->map = ram_map(size, ram->fd, err);
	ram->size = size;
	if (!ram->map) {
		hvm_ram_destroy(ram);
		return -ENOMEM;
	}
	/* Both are wishes: a kernel without huge pages runs the guest, too. */
	madvise(ram->map, size, MADV_HUGEPAGE);
	madvise(ram->map, size, MADV_DONTDUMP);
	ram_add_region(ram, 0, 0, low);
	if (size > low)
		ram_add_region(ram, HVM_HOLE_END, low, size - low);
	return 0;
}

void hvm_ram_destroy(struct hvm_ram *ram)
{
	if (ram->map)
		munmap(ram->map, ram->size);
	/* All zeroes: it was never created. */
	if (ram->size && ram->fd >= 0)
		close(ram->fd);
	*ram = (struct hvm_ram){ .fd = -1 };
}
