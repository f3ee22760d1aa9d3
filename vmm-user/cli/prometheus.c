// SPDX-License-Identifier: GPL-2.0-or-later
/* Statistics as Prometheus reads them; see prometheus.h. */
#include "prometheus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define METRIC_MAX	96

struct hvm_sample {
	char metric[METRIC_MAX];
	char *labels;		/* allocated; between the braces */
	double value;
	size_t order;
};

/* Metrics that hvm itself makes; all others are what the kernel and devices count. */
static const struct {
	const char *metric, *type, *help;
} known[] = {
	{ "hvm_up", "gauge", "Whether the guest answers." },
	{ "hvm_info", "gauge", "What the guest is, in labels." },
	{ "hvm_running", "gauge", "Whether its processors run." },
	{ "hvm_cpus", "gauge", "Processors of the guest." },
	{ "hvm_memory_bytes", "gauge", "Memory of the guest." },
	{ "hvm_uptime_seconds", "gauge", "Time since the guest was started." },
	{ "hvm_process_resident_bytes", "gauge", "Memory of the process that is present." },
	{ "hvm_process_private_bytes", "gauge", "Of that, neither shared nor guest memory." },
	{ "hvm_process_guest_bytes", "gauge", "Of that, guest memory." },
	{ "hvm_process_cpu_seconds_total", "counter", "Processor time of the process." },
	{ "hvm_process_threads", "gauge", "Threads of the process." },
};

/* ---- Collecting ---- */

static void add(struct hvm_prometheus *p, const char *metric, char *labels, double value)
{
	struct hvm_sample *s;

	if (p->nr == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 64;

		s = realloc(p->sample, cap * sizeof(*s));
		if (s) {
			p->sample = s;
			p->cap = cap;
		}
	}
	if (!labels || p->nr == p->cap) {
		free(labels);
		p->failed = -ENOMEM;
		return;
	}
	s = &p->sample[p->nr];
	snprintf(s->metric, sizeof(s->metric), "%s", metric);
	s->labels = labels;
	s->value = value;
	s->order = p->nr++;
}

static void put_label(FILE *f, const char *key, const char *value)
{
	fprintf(f, "%s%s=\"", ftell(f) ? "," : "", key);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", f);
		else if (*value == '\\' || *value == '"')
			fprintf(f, "\\%c", *value);
		else
			fputc(*value, f);
	}
	fputc('"', f);
}

/* The guest's name and perhaps one label more; allocated, NULL: out of memory. */
static char *labels(const char *guest, const char *key, const char *value)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	put_label(f, "name", guest);
	if (key && value)
		put_label(f, key, value);
	if (!fclose(f))
		return text;
	free(text);
	return NULL;
}

/* A metric's name has only these characters. */
static void metric_name(char buf[METRIC_MAX], const char *scope, const char *name)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

	snprintf(buf, METRIC_MAX, "hvm_%s_%s", scope, name);
	for (char *c = buf; *c; c++)
		if (!strchr(good, *c))
			*c = '_';
}

static double number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* Names and numbers of one owner. */
static void add_counters(struct hvm_prometheus *p, const char *guest, const char *scope,
			 const char *key, const char *id, const json_t *stats)
{
	char metric[METRIC_MAX];
	const char *name;
	json_t *v;

	json_object_foreach((json_t *)stats, name, v) {
		if (!json_is_number(v))
			continue;
		metric_name(metric, scope, name);
		add(p, metric, labels(guest, key, id), json_number_value(v));
	}
}

static void add_list(struct hvm_prometheus *p, const char *guest, const char *scope,
		     const char *key, const json_t *list)
{
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v) {
		const char *id = json_string_value(json_object_get(v, "id"));

		if (id)
			add_counters(p, guest, scope, key, id, json_object_get(v, "stats"));
	}
}

static void add_guest(struct hvm_prometheus *p, const char *guest, const json_t *info)
{
	const char *version = json_string_value(json_object_get(info, "version"));
	const char *status = json_string_value(json_object_get(info, "status"));

	add(p, "hvm_info", labels(guest, "version", version ? version : ""), 1);
	add(p, "hvm_running", labels(guest, NULL, NULL), status && !strcmp(status, "running"));
	add(p, "hvm_cpus", labels(guest, NULL, NULL), number(info, "cpus"));
	add(p, "hvm_memory_bytes", labels(guest, NULL, NULL), number(info, "mem"));
	add(p, "hvm_uptime_seconds", labels(guest, NULL, NULL), number(info, "uptime-ms") / 1e3);
}

static void add_process(struct hvm_prometheus *p, const char *guest, const json_t *o)
{
	add(p, "hvm_process_resident_bytes", labels(guest, NULL, NULL),
	    number(o, "resident-bytes"));
	add(p, "hvm_process_private_bytes", labels(guest, NULL, NULL), number(o, "private-bytes"));
	add(p, "hvm_process_guest_bytes", labels(guest, NULL, NULL), number(o, "guest-bytes"));
	add(p, "hvm_process_cpu_seconds_total", labels(guest, NULL, NULL),
	    number(o, "cpu-ns") / 1e9);
	add(p, "hvm_process_threads", labels(guest, NULL, NULL), number(o, "threads"));
}

void hvm_prometheus_add(struct hvm_prometheus *p, const char *guest, const json_t *info,
			const json_t *stats)
{
	add(p, "hvm_up", labels(guest, NULL, NULL), info && stats);
	if (!info || !stats)
		return;
	add_guest(p, guest, info);
	add_process(p, guest, json_object_get(stats, "process"));
	add_counters(p, guest, "vm", NULL, NULL, json_object_get(stats, "vm"));
	add_list(p, guest, "vcpu", "vcpu", json_object_get(stats, "vcpus"));
	add_list(p, guest, "device", "device", json_object_get(stats, "devices"));
}

/* ---- Printing ---- */

static int compare(const void *a, const void *b)
{
	const struct hvm_sample *x = a, *y = b;
	int c = strcmp(x->metric, y->metric);

	return c ? c : x->order < y->order ? -1 : x->order > y->order;
}

static void print_head(const char *metric, FILE *f)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(metric, known[i].metric))
			continue;
		fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", metric, known[i].help, metric,
			known[i].type);
		return;
	}
	fprintf(f, "# TYPE %s untyped\n", metric);
}

int hvm_prometheus_print(struct hvm_prometheus *p, FILE *f)
{
	if (p->nr)
		qsort(p->sample, p->nr, sizeof(p->sample[0]), compare);
	for (size_t i = 0; i < p->nr; i++) {
		const struct hvm_sample *s = &p->sample[i];

		if (!i || strcmp(s->metric, s[-1].metric))
			print_head(s->metric, f);
		fprintf(f, "%s{%s} %.17g\n", s->metric, s->labels, s->value);
	}
	return p->failed;
}

void hvm_prometheus_free(struct hvm_prometheus *p)
{
	for (size_t i = 0; i < p->nr; i++)
		free(p->sample[i].labels);
	free(p->sample);
	*p = (struct hvm_prometheus){ 0 };
}
