/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints of hv (perf list 'hv:*'); created in trace.c. @vcpu is the vCPU's id. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM hv

#if !defined(HV_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define HV_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(hv_entry,
	TP_PROTO(u32 vcpu, u64 rip),
	TP_ARGS(vcpu, rip),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, rip)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->rip = rip;
	),
	TP_printk("vcpu %u rip 0x%llx", __entry->vcpu, __entry->rip)
);

/* @code, @info1, @info2: the vendor's exit reason and its two qualifications. */
TRACE_EVENT(hv_exit,
	TP_PROTO(u32 vcpu, u64 rip, u64 code, u64 info1, u64 info2),
	TP_ARGS(vcpu, rip, code, info1, info2),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, rip)
		__field(u64, code)
		__field(u64, info1)
		__field(u64, info2)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->rip = rip;
		__entry->code = code;
		__entry->info1 = info1;
		__entry->info2 = info2;
	),
	TP_printk("vcpu %u rip 0x%llx code 0x%llx info1 0x%llx info2 0x%llx", __entry->vcpu,
		  __entry->rip, __entry->code, __entry->info1, __entry->info2)
);

TRACE_EVENT(hv_pio,
	TP_PROTO(u32 vcpu, bool write, u16 port, u32 size, u32 value),
	TP_ARGS(vcpu, write, port, size, value),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(bool, write)
		__field(u16, port)
		__field(u32, size)
		__field(u32, value)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->write = write;
		__entry->port = port;
		__entry->size = size;
		__entry->value = value;
	),
	TP_printk("vcpu %u %s port 0x%x size %u value 0x%x", __entry->vcpu,
		  __entry->write ? "out" : "in", __entry->port, __entry->size, __entry->value)
);

TRACE_EVENT(hv_mmio,
	TP_PROTO(u32 vcpu, bool write, u64 gpa, u32 len, u64 value),
	TP_ARGS(vcpu, write, gpa, len, value),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(bool, write)
		__field(u64, gpa)
		__field(u32, len)
		__field(u64, value)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->write = write;
		__entry->gpa = gpa;
		__entry->len = len;
		__entry->value = value;
	),
	TP_printk("vcpu %u %s gpa 0x%llx len %u value 0x%llx", __entry->vcpu,
		  __entry->write ? "write" : "read", __entry->gpa, __entry->len, __entry->value)
);

/* @error: not 0 when the guest got #GP. */
TRACE_EVENT(hv_msr,
	TP_PROTO(u32 vcpu, bool write, u32 index, u64 value, int error),
	TP_ARGS(vcpu, write, index, value, error),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(bool, write)
		__field(u32, index)
		__field(u64, value)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->write = write;
		__entry->index = index;
		__entry->value = value;
		__entry->error = error;
	),
	TP_printk("vcpu %u %s msr 0x%x value 0x%llx%s", __entry->vcpu,
		  __entry->write ? "write" : "read", __entry->index, __entry->value,
		  __entry->error ? " #GP" : "")
);

TRACE_EVENT(hv_cpuid,
	TP_PROTO(u32 vcpu, u32 function, u32 index, u32 eax, u32 ebx, u32 ecx, u32 edx),
	TP_ARGS(vcpu, function, index, eax, ebx, ecx, edx),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, function)
		__field(u32, index)
		__field(u32, eax)
		__field(u32, ebx)
		__field(u32, ecx)
		__field(u32, edx)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->function = function;
		__entry->index = index;
		__entry->eax = eax;
		__entry->ebx = ebx;
		__entry->ecx = ecx;
		__entry->edx = edx;
	),
	TP_printk("vcpu %u leaf 0x%x/0x%x eax 0x%x ebx 0x%x ecx 0x%x edx 0x%x", __entry->vcpu,
		  __entry->function, __entry->index, __entry->eax, __entry->ebx, __entry->ecx,
		  __entry->edx)
);

TRACE_EVENT(hv_inj_irq,
	TP_PROTO(u32 vcpu, u32 vector),
	TP_ARGS(vcpu, vector),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, vector)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->vector = vector;
	),
	TP_printk("vcpu %u vector 0x%x", __entry->vcpu, __entry->vector)
);

TRACE_EVENT(hv_inj_exception,
	TP_PROTO(u32 vcpu, u8 vector, bool has_error, u32 error_code),
	TP_ARGS(vcpu, vector, has_error, error_code),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u8, vector)
		__field(bool, has_error)
		__field(u32, error_code)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->vector = vector;
		__entry->has_error = has_error;
		__entry->error_code = has_error ? error_code : 0;
	),
	TP_printk("vcpu %u exception %u%s0x%x", __entry->vcpu, __entry->vector,
		  __entry->has_error ? " error " : " no error ", __entry->error_code)
);

/* @access: HV_ACCESS_*; @result: enum hv_fault_result or -errno. */
TRACE_EVENT(hv_fault,
	TP_PROTO(u32 vcpu, u64 gpa, u32 access, int result),
	TP_ARGS(vcpu, gpa, access, result),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, gpa)
		__field(u32, access)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->gpa = gpa;
		__entry->access = access;
		__entry->result = result;
	),
	TP_printk("vcpu %u gpa 0x%llx access 0x%x result %d", __entry->vcpu, __entry->gpa,
		  __entry->access, __entry->result)
);

TRACE_EVENT(hv_hypercall,
	TP_PROTO(u32 vcpu, u64 nr, u64 a0, u64 a1, u64 a2, u64 a3),
	TP_ARGS(vcpu, nr, a0, a1, a2, a3),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, nr)
		__field(u64, a0)
		__field(u64, a1)
		__field(u64, a2)
		__field(u64, a3)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->nr = nr;
		__entry->a0 = a0;
		__entry->a1 = a1;
		__entry->a2 = a2;
		__entry->a3 = a3;
	),
	TP_printk("vcpu %u nr 0x%llx a0 0x%llx a1 0x%llx a2 0x%llx a3 0x%llx", __entry->vcpu,
		  __entry->nr, __entry->a0, __entry->a1, __entry->a2, __entry->a3)
);

TRACE_EVENT(hv_hyperv_hypercall,
	TP_PROTO(u32 vcpu, u64 control, u64 in, u64 out),
	TP_ARGS(vcpu, control, in, out),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, control)
		__field(u64, in)
		__field(u64, out)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->control = control;
		__entry->in = in;
		__entry->out = out;
	),
	TP_printk("vcpu %u control 0x%llx in 0x%llx out 0x%llx", __entry->vcpu, __entry->control,
		  __entry->in, __entry->out)
);

/* A synthetic timer has expired; result 0: the guest was told. */
TRACE_EVENT(hv_stimer,
	TP_PROTO(u32 vcpu, u32 timer, bool direct, int result),
	TP_ARGS(vcpu, timer, direct, result),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, timer)
		__field(bool, direct)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->timer = timer;
		__entry->direct = direct;
		__entry->result = result;
	),
	TP_printk("vcpu %u timer %u%s result %d", __entry->vcpu, __entry->timer,
		  __entry->direct ? " direct" : "", __entry->result)
);

/* The guest is told that a page is missing, or that it has come. */
TRACE_EVENT(hv_async_pf,
	TP_PROTO(u32 vcpu, u32 token, bool ready),
	TP_ARGS(vcpu, token, ready),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, token)
		__field(bool, ready)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->token = token;
		__entry->ready = ready;
	),
	TP_printk("vcpu %u token 0x%x %s", __entry->vcpu, __entry->token,
		  __entry->ready ? "ready" : "missing")
);

/* A write of the ICR. */
TRACE_EVENT(hv_apic_ipi,
	TP_PROTO(u32 vcpu, u32 icr, u32 dest),
	TP_ARGS(vcpu, icr, dest),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, icr)
		__field(u32, dest)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->icr = icr;
		__entry->dest = dest;
	),
	TP_printk("vcpu %u vector 0x%x mode %u dest 0x%x icr 0x%x", __entry->vcpu,
		  __entry->icr & 0xff, __entry->icr >> 8 & 7, __entry->dest, __entry->icr)
);

/* A local APIC takes a message. */
TRACE_EVENT(hv_apic_accept,
	TP_PROTO(u32 vcpu, u8 mode, u8 vector, bool level),
	TP_ARGS(vcpu, mode, vector, level),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u8, mode)
		__field(u8, vector)
		__field(bool, level)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->mode = mode;
		__entry->vector = vector;
		__entry->level = level;
	),
	TP_printk("vcpu %u mode %u vector 0x%x %s", __entry->vcpu, __entry->mode,
		  __entry->vector, __entry->level ? "level" : "edge")
);

TRACE_EVENT(hv_msi,
	TP_PROTO(u64 address, u32 data),
	TP_ARGS(address, data),
	TP_STRUCT__entry(
		__field(u64, address)
		__field(u32, data)
	),
	TP_fast_assign(
		__entry->address = address;
		__entry->data = data;
	),
	TP_printk("address 0x%llx data 0x%x", __entry->address, __entry->data)
);

TRACE_EVENT(hv_irq_line,
	TP_PROTO(u32 gsi, int level, u32 source),
	TP_ARGS(gsi, level, source),
	TP_STRUCT__entry(
		__field(u32, gsi)
		__field(int, level)
		__field(u32, source)
	),
	TP_fast_assign(
		__entry->gsi = gsi;
		__entry->level = level;
		__entry->source = source;
	),
	TP_printk("gsi %u level %d source %u", __entry->gsi, __entry->level, __entry->source)
);

TRACE_EVENT(hv_eoi,
	TP_PROTO(u32 vcpu, u32 vector),
	TP_ARGS(vcpu, vector),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, vector)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->vector = vector;
	),
	TP_printk("vcpu %u vector 0x%x", __entry->vcpu, __entry->vector)
);

/* A halted vCPU goes on, after polling or after sleeping for @ns. */
TRACE_EVENT(hv_vcpu_wakeup,
	TP_PROTO(u32 vcpu, u64 ns, bool polled),
	TP_ARGS(vcpu, ns, polled),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, ns)
		__field(bool, polled)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->ns = ns;
		__entry->polled = polled;
	),
	TP_printk("vcpu %u %s %llu ns", __entry->vcpu, __entry->polled ? "polled" : "slept",
		  __entry->ns)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH kmod
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
