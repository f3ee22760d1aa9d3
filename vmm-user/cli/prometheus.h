/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_CLI_PROMETHEUS_H
#define HVM_CLI_PROMETHEUS_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

/*
 * Statistics of guests in Prometheus's text format 0.0.4. All samples of a metric have to come
 * together, so they are collected first. Names and labels are from guests' processes, and may be
 * anything.
 */
struct hvm_prometheus {
	struct hvm_sample *sample;
	size_t nr, cap;
	int failed;		/* -ENOMEM */
};

/* @info, @stats: what x-hv-info and x-hv-stats returned; NULL: the guest did not answer. */
void hvm_prometheus_add(struct hvm_prometheus *p, const char *guest, const json_t *info,
			const json_t *stats);
/* Print all; 0 or -ENOMEM if something was lost on the way here. */
int hvm_prometheus_print(struct hvm_prometheus *p, FILE *f);
void hvm_prometheus_free(struct hvm_prometheus *p);

#endif
