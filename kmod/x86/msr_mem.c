// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory types: PAT's and the MTRRs' rules. Nothing but the values is kept: with nested paging the
 * host decides how memory is cached, and devices are emulated.
 */
#include <asm/msr-index.h>

#include "msr_defs.h"
#include "x86.h"

static const u16 hv_mtrr_fixed_msr[] = {
	0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
};
static_assert(ARRAY_SIZE(hv_mtrr_fixed_msr) == ARRAY_SIZE(((struct hv_msrs *)0)->mtrr_fixed));

/* UC, WC, WT, WP, WB (SDM vol. 3, table 11-8). */
static bool hv_mtrr_type_valid(u8 type)
{
	return type < 8 && (BIT(type) & 0x73);
}

static bool hv_bytes_valid(u64 value, u8 types)
{
	unsigned int i;

	for (i = 0; i < 64; i += 8) {
		u8 type = value >> i;

		if (type >= 8 || !(BIT(type) & types))
			return false;
	}
	return true;
}

bool hv_pat_valid(u64 pat)
{
	return hv_bytes_valid(pat, 0xf3);	/* also UC- (SDM vol. 3, table 11-10) */
}

static u64 *hv_mtrr_reg(struct hv_vcpu *vcpu, u32 index)
{
	unsigned int i;

	if (index >= HV_MSR_MTRR_VAR_FIRST && index <= HV_MSR_MTRR_VAR_LAST)
		return &vcpu->msrs.mtrr_var[index - HV_MSR_MTRR_VAR_FIRST];
	for (i = 0; i < ARRAY_SIZE(hv_mtrr_fixed_msr); i++)
		if (hv_mtrr_fixed_msr[i] == index)
			return &vcpu->msrs.mtrr_fixed[i];
	return index == HV_MSR_MTRR_DEF_TYPE ? &vcpu->msrs.mtrr_def_type : NULL;
}

int hv_mtrr_get(struct hv_vcpu *vcpu, u32 index, u64 *value)
{
	const u64 *reg;

	if (index == HV_MSR_MTRRCAP) {
		*value = HV_MTRR_CAP;
		return 0;
	}
	reg = hv_mtrr_reg(vcpu, index);
	if (!reg)
		return -ENOENT;
	*value = *reg;
	return 0;
}

static bool hv_mtrr_valid(struct hv_vcpu *vcpu, u32 index, u64 value)
{
	u8 width = vcpu->cpuid->maxphyaddr;
	u64 reserved = width < 64 ? ~0ULL << width : 0;

	if (index == HV_MSR_MTRR_DEF_TYPE)
		return !(value & ~HV_MTRR_DEF_DEFINED) && hv_mtrr_type_valid(value);
	if (index > HV_MSR_MTRR_VAR_LAST)
		return hv_bytes_valid(value, 0x73);
	if (index & 1)
		return !(value & (reserved | 0x7ff));
	return !(value & (reserved | 0xf00)) && hv_mtrr_type_valid(value);
}

int hv_mtrr_set(struct hv_vcpu *vcpu, u32 index, u64 value)
{
	u64 *reg = hv_mtrr_reg(vcpu, index);

	if (!reg)
		return index == HV_MSR_MTRRCAP ? 1 : -ENOENT;
	if (!hv_mtrr_valid(vcpu, index, value))
		return 1;
	*reg = value;
	return 0;
}
