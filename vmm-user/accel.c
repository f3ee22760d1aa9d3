// SPDX-License-Identifier: GPL-2.0-or-later
/* The hypervisor device; see accel.h. */
#include "accel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

int hvm_ioctl_val(int fd, unsigned long request, unsigned long arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

int hvm_ioctl(int fd, unsigned long request, void *arg)
{
	return hvm_ioctl_val(fd, request, (unsigned long)arg);
}

int hvm_accel_cap(const struct hvm_accel *accel, int cap)
{
	int ret = hvm_ioctl_val(accel->fd, KVM_CHECK_EXTENSION, (unsigned long)cap);

	return ret > 0 ? ret : 0;
}

/* What hvm cannot do without. */
static const struct {
	int cap;
	const char *name;
} required_caps[] = {
	{ KVM_CAP_IRQCHIP, "IRQCHIP" },
	{ KVM_CAP_USER_MEMORY, "USER_MEMORY" },
	{ KVM_CAP_EXT_CPUID, "EXT_CPUID" },
	{ KVM_CAP_MP_STATE, "MP_STATE" },
	{ KVM_CAP_IRQ_ROUTING, "IRQ_ROUTING" },
	{ KVM_CAP_IRQFD, "IRQFD" },
	{ KVM_CAP_IOEVENTFD, "IOEVENTFD" },
	{ KVM_CAP_PIT2, "PIT2" },
	{ KVM_CAP_PIT_STATE2, "PIT_STATE2" },
	{ KVM_CAP_VCPU_EVENTS, "VCPU_EVENTS" },
	{ KVM_CAP_DEBUGREGS, "DEBUGREGS" },
	{ KVM_CAP_SIGNAL_MSI, "SIGNAL_MSI" },
	{ KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT" },
};

static int open_error(const char *path, int error, struct hv_err *err)
{
	bool hv = !strcmp(path, "/dev/hv");

	switch (error) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return hv_err_set(err, -error, "%s: no such device; %s", path,
				  hv ? "load it with \"modprobe hv\", or use --accel /dev/kvm" :
				       "load its module, or use --accel /dev/hv");
	case EACCES:
	case EPERM:
		return hv_err_set(err, -error, "%s: permission denied; join the group that owns "
				  "it (often \"kvm\") and log in again", path);
	case EBUSY:
		return hv_err_set(err, -error, "%s: busy; another hypervisor module holds the "
				  "processor's virtualization, unload it first", path);
	default:
		return hv_err_set(err, -error, "%s: %s", path, strerror(error));
	}
}

static int check_device(struct hvm_accel *accel, struct hv_err *err)
{
	int ret = hvm_ioctl_val(accel->fd, KVM_GET_API_VERSION, 0);

	if (ret == -ENOTTY || ret == -EINVAL)
		return hv_err_set(err, ret, "%s: not a hypervisor device (--accel wants /dev/hv or "
				  "/dev/kvm)", accel->path);
	if (ret != KVM_API_VERSION)
		return hv_err_set(err, ret < 0 ? ret : -EPROTO, "%s: speaks version %d of the "
				  "interface, but hvm needs %d", accel->path, ret, KVM_API_VERSION);
	for (size_t i = 0; i < sizeof(required_caps) / sizeof(required_caps[0]); i++)
		if (!hvm_accel_cap(accel, required_caps[i].cap))
			return hv_err_set(err, -ENOTSUP, "%s: lacks KVM_CAP_%s, which hvm needs; "
					  "update the module", accel->path, required_caps[i].name);
	accel->vcpu_map_size = hvm_ioctl_val(accel->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (accel->vcpu_map_size < (int)sizeof(struct kvm_run))
		return hv_err_set(err, -EPROTO, "%s: struct kvm_run of %d bytes is too small",
				  accel->path, accel->vcpu_map_size);
	accel->max_vcpus = (unsigned int)hvm_accel_cap(accel, KVM_CAP_MAX_VCPUS);
	if (!accel->max_vcpus)
		accel->max_vcpus = 4;	/* what the interface promises without the capability */
	accel->tsc_deadline = hvm_accel_cap(accel, KVM_CAP_TSC_DEADLINE_TIMER);
	accel->xsave = hvm_accel_cap(accel, KVM_CAP_XSAVE);
	accel->xcrs = hvm_accel_cap(accel, KVM_CAP_XCRS);
	return 0;
}

int hvm_accel_open(struct hvm_accel *accel, const char *path, struct hv_err *err)
{
	int ret;

	memset(accel, 0, sizeof(*accel));
	accel->path = path;
	accel->fd = open(path, O_RDWR | O_CLOEXEC);
	if (accel->fd < 0)
		return open_error(path, errno, err);
	ret = check_device(accel, err);
	if (ret)
		hvm_accel_close(accel);
	return ret;
}

void hvm_accel_close(struct hvm_accel *accel)
{
	if (accel->fd >= 0)
		close(accel->fd);
	accel->fd = -1;
}
