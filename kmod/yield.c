// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU that spins: what it waits for is probably held by another vCPU of the VM that the host has
 * preempted. Give that one this one's time.
 */
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "hv.h"

void hv_vcpu_set_thread(struct hv_vcpu *vcpu)
{
	struct pid *old = rcu_dereference_protected(vcpu->pid, lockdep_is_held(&vcpu->mutex));

	if (likely(old == task_pid(current)))
		return;
	rcu_assign_pointer(vcpu->pid, get_task_pid(current, PIDTYPE_PID));
	if (old)
		synchronize_rcu();
	put_pid(old);
}

void hv_vcpu_put_thread(struct hv_vcpu *vcpu)
{
	put_pid(rcu_dereference_protected(vcpu->pid, true));
}

/* Whether it got the CPU. */
static bool hv_yield_to(struct hv_vcpu *vcpu)
{
	struct task_struct *task = NULL;
	struct pid *pid;
	int r;

	rcu_read_lock();
	pid = rcu_dereference(vcpu->pid);
	if (pid)
		task = get_pid_task(pid, PIDTYPE_PID);
	rcu_read_unlock();
	if (!task)
		return false;
	r = yield_to(task, true);
	put_task_struct(task);
	return r > 0;
}

static bool hv_yield_candidate(const struct hv_vcpu *vcpu, const struct hv_vcpu *me)
{
	return vcpu != me && READ_ONCE(vcpu->preempted);
}

int hv_exit_pause(struct hv_vcpu *vcpu, bool may_sleep)
{
	struct hv_vm *vm = vcpu->vm;
	u32 nr = READ_ONCE(vm->online_vcpus), first = READ_ONCE(vm->last_yielded_to) + 1, i;
	struct hv_vcpu *other;

	if (!may_sleep)
		return HV_NEXT_SLEEP;
	vcpu->stats.pause_exits++;
	for (i = 0; i < nr; i++) {
		other = xa_load(&vm->vcpus, (first + i) % nr);
		if (!other || !hv_yield_candidate(other, vcpu) || !hv_yield_to(other))
			continue;
		/* The next one that spins tries those after it first. */
		WRITE_ONCE(vm->last_yielded_to, other->index);
		break;
	}
	/* PAUSE runs again: it has no effect but this one. */
	return HV_NEXT_RESUME;
}
