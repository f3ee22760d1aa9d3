// SPDX-License-Identifier: GPL-2.0-or-later
/* Guest RAM; see ram.h. */
#include "ram.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

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

int hvm_ram_create(struct hvm_ram *ram, uint64_t size, struct hv_err *err)
{
	uint64_t low = hvm_ram_low(size), shift;
	char *p;

	memset(ram, 0, sizeof(*ram));
	if (size < HVM_MEM_MIN || size % HVM_MEM_ALIGN)
		return hv_err_set(err, -EINVAL, "guest memory must be whole MiB, and at least %llu",
				  HVM_MEM_MIN >> 20);
	/* Two mebibytes more, so that guest and host addresses agree in their low 21 bits. */
	p = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return hv_err_set(err, -errno, "%llu MiB of guest memory: %s",
				  (unsigned long long)size >> 20, strerror(errno));
	shift = -(uintptr_t)p & (HUGE_PAGE - 1);
	if (shift)
		munmap(p, shift);
	munmap(p + shift + size, HUGE_PAGE - shift);
	p += shift;
	/* Both are wishes: a kernel without huge pages runs the guest, too. */
	madvise(p, size, MADV_HUGEPAGE);
	madvise(p, size, MADV_DONTDUMP);
	ram->map = p;
	ram->size = size;
	ram->mem.region[ram->mem.nr++] = (struct guest_mem_region){ 0, low, p };
	if (size > low)
		ram->mem.region[ram->mem.nr++] =
			(struct guest_mem_region){ HVM_HOLE_END, size - low, p + low };
	return 0;
}

void hvm_ram_destroy(struct hvm_ram *ram)
{
	if (ram->map)
		munmap(ram->map, ram->size);
	memset(ram, 0, sizeof(*ram));
}
