// SPDX-License-Identifier: GPL-2.0-only
/*
 * Debug registers. DR0-DR3 are not in the control block: they are put into the CPU while the guest
 * (or user space, through KVM_SET_GUEST_DEBUG) has breakpoints on, or once the guest has touched
 * them, and taken out when the inner loop ends. DR6 and DR7 belong to HV_REGS_DR.
 */
#include <linux/percpu.h>
#include <asm/processor.h>
#include <asm/debugreg.h>
#include <asm/processor-flags.h>

#include "x86.h"

#define HV_DR7_ENABLED	0xffULL		/* L0-G3 */
#define HV_DR7_FIXED_1	BIT_ULL(10)
#define HV_DR7_VOLATILE	0xffff2bffULL	/* bits that hold what is written, SDM vol. 3, 17.2.4 */
#define HV_DR7_GD	BIT_ULL(13)
#define HV_DR6_FIXED_1	0xfffe0ff0ULL
#define HV_DR6_VOLATILE	0x0001e00fULL
#define HV_DR6_BD	BIT_ULL(13)
#define HV_DR6_RTM	BIT_ULL(16)	/* active low */

static bool hv_user_breakpoints(const struct hv_vcpu *vcpu)
{
	return vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP;
}

/* User space's GD is not for the CPU: it sees each access to debug registers as an exit. */
u64 hv_debug_dr7(const struct hv_vcpu *vcpu)
{
	return hv_user_breakpoints(vcpu) ? vcpu->debug_dr7 & ~HV_DR7_GD : vcpu->regs.dr7;
}

bool hv_debug_user_guards(struct hv_vcpu *vcpu)
{
	if (likely(!hv_user_breakpoints(vcpu) || !(vcpu->debug_dr7 & HV_DR7_GD)))
		return false;
	hv_regs_need(vcpu, HV_REGS_SEG);
	if (vcpu->regs.seg[HV_SS].dpl)
		return false;
	hv_debug_exit(vcpu, 1, HV_DR6_BD);
	return true;
}

static bool hv_host_breakpoints(void)
{
	return this_cpu_read(cpu_dr7) & (DR_GLOBAL_ENABLE_MASK | DR_LOCAL_ENABLE_MASK);
}

static void hv_db_load(const u64 *db)
{
	set_debugreg(db[0], 0);
	set_debugreg(db[1], 1);
	set_debugreg(db[2], 2);
	set_debugreg(db[3], 3);
}

static void hv_db_save(u64 *db)
{
	get_debugreg(db[0], 0);
	get_debugreg(db[1], 1);
	get_debugreg(db[2], 2);
	get_debugreg(db[3], 3);
}

void hv_debug_enter(struct hv_vcpu *vcpu)
{
	if (likely(!vcpu->dr_wanted) || vcpu->dr_loaded)
		return;
	vcpu->dr_loaded = true;
	if (hv_host_breakpoints()) {
		/* They must not fire on the guest's addresses in between. */
		set_debugreg(0, 7);
		hv_db_save(vcpu->host_db);
	}
	hv_db_load(hv_user_breakpoints(vcpu) ? vcpu->debug_db : vcpu->regs.db);
}

void hv_debug_leave(struct hv_vcpu *vcpu)
{
	if (unlikely(vcpu->dr_loaded)) {
		if (!hv_user_breakpoints(vcpu)) {
			hv_db_save(vcpu->regs.db);
			hv_regs_need(vcpu, HV_REGS_DR);
			vcpu->dr_wanted = vcpu->regs.dr7 & HV_DR7_ENABLED;
		}
		vcpu->dr_loaded = false;
		hv_ops.update(vcpu);
		if (hv_host_breakpoints())
			hv_db_load(vcpu->host_db);
	}
	/* An exit clears DR7 (APM2 15.6, SDM vol. 3, 27.5.1). */
	if (unlikely(hv_host_breakpoints()))
		set_debugreg(this_cpu_read(cpu_dr7), 7);
}

/* Whose registers are in force may have changed: are any enabled? */
void hv_debug_changed(struct hv_vcpu *vcpu)
{
	hv_regs_need(vcpu, HV_REGS_DR);
	vcpu->dr_wanted = hv_debug_dr7(vcpu) & HV_DR7_ENABLED;
	hv_regs_dirty(vcpu, HV_REGS_DR);
	hv_ops.update(vcpu);
}

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE makes them undefined (SDM vol. 3, 17.2.2). */
static bool hv_debug_alias(struct hv_vcpu *vcpu, unsigned int *dr)
{
	if (*dr != 4 && *dr != 5)
		return true;
	hv_regs_need(vcpu, HV_REGS_CR);
	if (vcpu->regs.cr4 & X86_CR4_DE) {
		hv_queue_exception(vcpu, 6);
		return false;
	}
	*dr += 2;
	return true;
}

static bool hv_debug_guarded(struct hv_vcpu *vcpu)
{
	hv_regs_need(vcpu, HV_REGS_DR | HV_REGS_SEG);
	if (vcpu->regs.seg[HV_SS].dpl) {
		hv_queue_gp(vcpu);
		return true;
	}
	if (vcpu->regs.dr7 & HV_DR7_GD) {
		hv_queue_exception_payload(vcpu, 1, HV_DR6_BD);
		return true;
	}
	return false;
}

int hv_debug_get_dr(struct hv_vcpu *vcpu, unsigned int dr, u64 *value)
{
	if (dr > 7) {
		hv_queue_exception(vcpu, 6);
		return 1;
	}
	if (!hv_debug_alias(vcpu, &dr) || hv_debug_guarded(vcpu))
		return 1;
	*value = dr < 4 ? vcpu->regs.db[dr] : dr == 6 ? vcpu->regs.dr6 : vcpu->regs.dr7;
	return 0;
}

int hv_debug_set_dr(struct hv_vcpu *vcpu, unsigned int dr, u64 value)
{
	if (dr > 7) {
		hv_queue_exception(vcpu, 6);
		return 1;
	}
	if (!hv_debug_alias(vcpu, &dr) || hv_debug_guarded(vcpu))
		return 1;
	if (dr >= 6 && value >> 32) {
		hv_queue_gp(vcpu);
		return 1;
	}
	if (dr < 4)
		vcpu->regs.db[dr] = value;
	else if (dr == 6)
		vcpu->regs.dr6 = (value & HV_DR6_VOLATILE) | HV_DR6_FIXED_1;
	else
		vcpu->regs.dr7 = (value & HV_DR7_VOLATILE) | HV_DR7_FIXED_1;
	hv_debug_changed(vcpu);
	return 0;
}

/*
 * KVM_GUESTDBG_SINGLESTEP: TF is on while KVM_RUN runs, and is not the guest's. True: the caller
 * takes it away afterwards.
 */
bool hv_debug_step_begin(struct hv_vcpu *vcpu)
{
	if (likely(!(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)) ||
	    (vcpu->regs.rflags & X86_EFLAGS_TF))
		return false;
	vcpu->regs.rflags |= X86_EFLAGS_TF;
	return true;
}

void hv_debug_stepped(struct hv_vcpu *vcpu)
{
	if (vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)
		hv_request(vcpu, HV_REQ_DEBUG);
	else
		hv_queue_exception_payload(vcpu, 1, HV_DR6_BS);
}

void hv_debug_exit(struct hv_vcpu *vcpu, u32 exception, u64 dr6)
{
	struct kvm_run *run = vcpu->run;

	hv_regs_need(vcpu, HV_REGS_SEG | HV_REGS_DR);
	run->exit_reason = KVM_EXIT_DEBUG;
	run->debug.arch.exception = exception;
	run->debug.arch.pc = vcpu->regs.seg[HV_CS].base + vcpu->regs.rip;
	run->debug.arch.dr6 = dr6 | HV_DR6_FIXED_1 | HV_DR6_RTM;
	run->debug.arch.dr7 = hv_user_breakpoints(vcpu) ? vcpu->debug_dr7 : vcpu->regs.dr7;
}

int hv_debug_set_guest_debug(struct hv_vcpu *vcpu, const struct kvm_guest_debug *dbg)
{
	u32 inject = dbg->control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP);
	unsigned int i;

	if (dbg->control & ~HV_GUESTDBG_VALID)
		return -EINVAL;
	if (inject) {
		if (vcpu->events.exception.pending)
			return -EBUSY;
		hv_queue_exception(vcpu, inject & KVM_GUESTDBG_INJECT_DB ? 1 : 3);
	}
	hv_request_take(vcpu, HV_REQ_DEBUG);
	hv_request(vcpu, HV_REQ_EVENT);		/* interrupts that were kept out may come in */
	hv_request(vcpu, HV_REQ_APIC);		/* or must not, whoever delivers them */
	vcpu->guest_debug = dbg->control & KVM_GUESTDBG_ENABLE ? dbg->control & ~inject : 0;
	for (i = 0; i < 4; i++)
		vcpu->debug_db[i] = dbg->arch.debugreg[i];
	vcpu->debug_dr7 = (dbg->arch.debugreg[7] & HV_DR7_VOLATILE) | HV_DR7_FIXED_1;
	hv_debug_changed(vcpu);
	return 0;
}
