// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU that only waits for another one gives its time to it.
 *
 * The guest says so by a hypercall. vcpu->pid is the thread that was last in KVM_RUN for the vCPU;
 * vcpu->displaced says that it wants to run and does not.
 */
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "hv.h"

void hv_vcpu_adopt_thread(struct hv_vcpu *vcpu)
{
	struct pid *old = rcu_dereference_protected(vcpu->pid, lockdep_is_held(&vcpu->mutex));
	struct pid *me = task_pid(current);

	if (likely(old == me))
		return;
	rcu_assign_pointer(vcpu->pid, get_pid(me));
	if (!old)
		return;
	synchronize_rcu();
	put_pid(old);
}

void hv_vcpu_forget_thread(struct hv_vcpu *vcpu)
{
	put_pid(rcu_dereference_protected(vcpu->pid, 1));
	RCU_INIT_POINTER(vcpu->pid, NULL);
}

bool hv_vcpu_yield_to(struct hv_vcpu *target)
{
	struct task_struct *task = NULL;
	struct pid *pid;
	bool yielded;

	rcu_read_lock();
	pid = rcu_dereference(target->pid);
	if (pid)
		task = get_pid_task(pid, PIDTYPE_PID);
	rcu_read_unlock();
	if (!task)
		return false;
	yielded = yield_to(task, true) > 0;
	put_task_struct(task);
	return yielded;
}

void hv_vcpu_yield_to_displaced(struct hv_vcpu *vcpu)
{
	struct hv_vm *vm = vcpu->vm;
	u32 n = READ_ONCE(vm->online_vcpus), first = READ_ONCE(vm->last_yielded) + 1, i;
	struct hv_vcpu *target;

	/* Another one each time, so that all have their turn. */
	for (i = 0; i < n; i++) {
		target = xa_load(&vm->vcpus, (first + i) % n);
		if (target == vcpu || !READ_ONCE(target->displaced))
			continue;
		if (hv_vcpu_yield_to(target)) {
			WRITE_ONCE(vm->last_yielded, target->index);
			return;
		}
	}
}

/*
 * A vCPU that spins: what it waits for is probably held by one that the host has preempted. PAUSE
 * runs again afterwards: it has no other effect.
 */
int hv_exit_pause(struct hv_vcpu *vcpu, bool may_sleep)
{
	if (!may_sleep)
		return HV_NEXT_SLEEP;
	vcpu->stats.pause_exits++;
	hv_vcpu_yield_to_displaced(vcpu);
	return HV_NEXT_RESUME;
}
