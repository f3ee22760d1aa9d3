// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_GET_STATS_FD: counters of a VM or of a vCPU in the binary format of KVM's documentation
 * (struct kvm_stats_header, the owner's name, descriptors, values).
 *
 * A statistics descriptor holds a reference on the VM, so it may outlive the VM's own.
 */
#include <linux/anon_inodes.h>
#include <linux/build_bug.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hv.h"

#define HV_STATS_NAME_SIZE	48

/* struct kvm_stats_desc as user space sees it: kernels differ in whether theirs holds the name. */
struct hv_stats_desc {
	u32 flags;
	s16 exponent;
	u16 size;
	u32 offset;
	u32 bucket_size;
	char name[HV_STATS_NAME_SIZE];
};
static_assert(offsetof(struct hv_stats_desc, name) == offsetof(struct kvm_stats_desc, name));

struct hv_stats_info {
	const char *name;
	u32 offset;		/* of the value in the owner's structure */
	u32 kind;
};

#define HV_STAT_INFO(owner, n, k) \
	{ .name = #n, .offset = offsetof(struct owner, n), .kind = KVM_STATS_TYPE_##k }
#define HV_VM_STAT_INFO(n, k) HV_STAT_INFO(hv_vm_stats, n, k),
#define HV_VCPU_STAT_INFO(n, k) HV_STAT_INFO(hv_vcpu_stats, n, k),

static const struct hv_stats_info hv_vm_stats_info[] = { HV_VM_STATS(HV_VM_STAT_INFO) };
static const struct hv_stats_info hv_vcpu_stats_info[] = { HV_VCPU_STATS(HV_VCPU_STAT_INFO) };

/* One open descriptor: the whole file, in which only the values change. */
struct hv_stats_file {
	struct hv_vm *vm;
	struct hv_vcpu *vcpu;	/* NULL: the VM's statistics */
	struct mutex lock;	/* values[] while a reader refreshes and copies it */
	void *values;
	size_t size;
	u8 data[] __aligned(8);
};

static void hv_stats_refresh(struct hv_stats_file *sf)
{
	struct hv_vm *vm = sf->vm;
	struct hv_vm_stats *s;

	if (sf->vcpu) {
		memcpy(sf->values, &sf->vcpu->stats, sizeof(sf->vcpu->stats));
		return;
	}
	s = sf->values;
	*s = vm->stats;
	s->pages_4k = atomic_long_read(&vm->mmu.pages_4k);
	s->pages_2m = atomic_long_read(&vm->mmu.pages_2m);
	s->pages_1g = atomic_long_read(&vm->mmu.pages_1g);
	s->mmu_tables = atomic_long_read(&vm->mmu.tables);
}

static ssize_t hv_stats_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct hv_stats_file *sf = file->private_data;
	ssize_t r;

	if (mutex_lock_interruptible(&sf->lock))
		return -EINTR;
	hv_stats_refresh(sf);
	r = simple_read_from_buffer(buf, len, pos, sf->data, sf->size);
	mutex_unlock(&sf->lock);
	return r;
}

static int hv_stats_release(struct inode *inode, struct file *file)
{
	struct hv_stats_file *sf = file->private_data;

	hv_vm_put(sf->vm);
	kvfree(sf);
	return 0;
}

static const struct file_operations hv_stats_fops = {
	.owner = THIS_MODULE,
	.read = hv_stats_read,
	.release = hv_stats_release,
	.llseek = noop_llseek,
};

static struct hv_stats_file *hv_stats_build(struct hv_vm *vm, struct hv_vcpu *vcpu,
					    const struct hv_stats_info *info, u32 nr,
					    size_t values_size)
{
	u32 id_offset = sizeof(struct kvm_stats_header);
	u32 desc_offset = id_offset + HV_STATS_NAME_SIZE;
	u32 data_offset = desc_offset + nr * sizeof(struct hv_stats_desc);
	struct kvm_stats_header *header;
	struct hv_stats_desc *desc;
	struct hv_stats_file *sf;
	u32 i;

	BUILD_BUG_ON(sizeof(struct kvm_stats_header) % 8 || HV_STATS_NAME_SIZE % 8);
	sf = kvzalloc(struct_size(sf, data, data_offset + values_size), GFP_KERNEL_ACCOUNT);
	if (!sf)
		return NULL;
	mutex_init(&sf->lock);
	sf->vm = vm;
	sf->vcpu = vcpu;
	sf->size = data_offset + values_size;
	sf->values = sf->data + data_offset;

	header = (void *)sf->data;
	header->name_size = HV_STATS_NAME_SIZE;
	header->num_desc = nr;
	header->id_offset = id_offset;
	header->desc_offset = desc_offset;
	header->data_offset = data_offset;
	if (vcpu)
		snprintf(sf->data + id_offset, HV_STATS_NAME_SIZE, "kvm-%d/vcpu-%u",
			 task_pid_nr(current), vcpu->id);
	else
		snprintf(sf->data + id_offset, HV_STATS_NAME_SIZE, "kvm-%d", task_pid_nr(current));
	desc = (void *)sf->data + desc_offset;
	for (i = 0; i < nr; i++) {
		desc[i].flags = info[i].kind | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10;
		desc[i].size = 1;
		desc[i].offset = info[i].offset;
		strscpy(desc[i].name, info[i].name, HV_STATS_NAME_SIZE);
	}
	return sf;
}

static int hv_stats_open(struct hv_vm *vm, struct hv_stats_file *sf)
{
	struct file *file;
	int fd;

	if (!sf)
		return -ENOMEM;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		kvfree(sf);
		return fd;
	}
	file = anon_inode_getfile("hv-stats", &hv_stats_fops, sf, O_RDONLY);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		kvfree(sf);
		return PTR_ERR(file);
	}
	/* Readers use pread(): descriptors once, values again and again. */
	file->f_mode |= FMODE_PREAD;
	hv_vm_get(vm);
	fd_install(fd, file);
	return fd;
}

int hv_vm_stats_fd(struct hv_vm *vm)
{
	return hv_stats_open(vm, hv_stats_build(vm, NULL, hv_vm_stats_info,
						ARRAY_SIZE(hv_vm_stats_info),
						sizeof(struct hv_vm_stats)));
}

int hv_vcpu_stats_fd(struct hv_vcpu *vcpu)
{
	return hv_stats_open(vcpu->vm, hv_stats_build(vcpu->vm, vcpu, hv_vcpu_stats_info,
						      ARRAY_SIZE(hv_vcpu_stats_info),
						      sizeof(struct hv_vcpu_stats)));
}
