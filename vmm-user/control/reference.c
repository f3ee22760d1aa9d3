// SPDX-License-Identifier: GPL-2.0-or-later
/* Documentation/qmp.rst, made of the schema. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema.h"

static const char intro[] =
".. SPDX-License-Identifier: GPL-2.0-or-later\n"
".. Made by \"make qmp-reference\" of vmm-user/control/table.c; changes belong there.\n"
"\n"
"=============================\n"
"The control socket of a guest\n"
"=============================\n"
"\n"
"A running guest listens on *NAME.sock* in the directory that hvm(1) names under FILES, and speaks\n"
"QMP there, the protocol of QEMU's monitor: JSON objects, in UTF-8, any number of clients up to 16.\n"
"Commands and events have QEMU's names and shapes where QEMU has them; what is only hvm's begins with\n"
"``x-hv-``. ``hvm qmp NAME`` connects a terminal or a script to it.\n"
"\n"
"- The guest greets: ``{\"QMP\": {\"version\": {...}, \"capabilities\": []}}``. Before everything else the\n"
"  client sends ``{\"execute\": \"qmp_capabilities\"}``.\n"
"- A command is ``{\"execute\": NAME, \"arguments\": {...}, \"id\": ANYTHING}``, of which only the first is\n"
"  needed. The answer is one line, ``{\"return\": ..., \"id\": ...}`` or\n"
"  ``{\"error\": {\"class\": CLASS, \"desc\": TEXT}, \"id\": ...}``. Answers come in the order of the commands.\n"
"- Classes: *CommandNotFound*, *DeviceNotActive* (the guest has no such device), *DeviceNotFound*,\n"
"  *GenericError*. The text is for people, and changes.\n"
"- An event is ``{\"event\": NAME, \"data\": {...}, \"timestamp\": {\"seconds\": ..., \"microseconds\": ...}}``,\n"
"  at any time between answers.\n"
"- Arguments that a command does not know, that lack or that are of another type are refused before it\n"
"  does anything. A command may have up to 64 KiB and 256 levels of brackets. Objects may follow each\n"
"  other without newlines, or have some inside. After something that is no object the rest of its line\n"
"  is skipped.\n"
"- A client that does not read its answers is not heard meanwhile. One that leaves more than 1 MiB of\n"
"  events and answers unread is disconnected. Neither makes the guest wait.\n"
"\n";

static void put_title(FILE *p, const char *title, char line)
{
	fprintf(p, "%s\n", title);
	for (size_t i = 0; i < strlen(title); i++)
		fprintf(p, "%c", line);
	fprintf(p, "\n\n");
}

static void put_type(FILE *p, const struct qmp_type *type)
{
	if (type->kind == QMP_ARRAY)
		fprintf(p, "array of %s", type->of->name);
	else
		fprintf(p, "%s", type->name);
}

static void put_range(FILE *p, const struct qmp_member *m)
{
	if (!m->min && !m->max)
		return;
	if (m->max == INT64_MAX)
		fprintf(p, ", at least %lld", (long long)m->min);
	else
		fprintf(p, ", %s%lld to %lld", m->type->kind == QMP_STR ? "of length " : "",
		    (long long)m->min, (long long)m->max);
}

static void put_members(FILE *p, const struct qmp_member *members)
{
	for (; members && members->name; members++) {
		fprintf(p, "``%s`` (", members->name);
		put_type(p, members->type);
		put_range(p, members);
		fprintf(p, "%s)\n    %s\n", members->optional ? ", optional" : "", members->doc);
	}
	fprintf(p, "\n");
}

static void put_command(FILE *p, const struct qmp_command *c)
{
	put_title(p, c->name, '-');
	fprintf(p, "%s\n\n", c->doc);
	if (c->arguments) {
		fprintf(p, "Arguments:\n\n");
		put_members(p, c->arguments);
	}
	if (c->returns) {
		fprintf(p, "Returns: ");
		put_type(p, c->returns);
		fprintf(p, ".\n\n");
	}
	if (c->errors)
		fprintf(p, "Errors: %s\n\n", c->errors);
}

static void put_event(FILE *p, const struct qmp_event *e)
{
	put_title(p, e->name, '-');
	fprintf(p, "%s", e->doc);
	if (e->limit_ms)
		fprintf(p, " At most one in %u ms; the last one tells.", e->limit_ms);
	fprintf(p, "\n\n");
	if (e->data) {
		fprintf(p, "Data:\n\n");
		put_members(p, e->data);
	}
}

/* ---- Types that commands and events refer to, each once ---- */

#define MAX_TYPES 64

struct types {
	const struct qmp_type *type[MAX_TYPES];
	unsigned int nr;
};

static void collect_members(struct types *t, const struct qmp_member *members);

static void collect(struct types *t, const struct qmp_type *type)
{
	if (type->kind == QMP_ARRAY)
		type = type->of;
	if (type->kind != QMP_OBJECT && type->kind != QMP_ENUM)
		return;
	for (unsigned int i = 0; i < t->nr; i++)
		if (t->type[i] == type)
			return;
	if (t->nr == MAX_TYPES)
		return;
	t->type[t->nr++] = type;
	collect_members(t, type->members);
}

static void collect_members(struct types *t, const struct qmp_member *members)
{
	for (; members && members->name; members++)
		collect(t, members->type);
}

static int compare_types(const void *a, const void *b)
{
	const struct qmp_type *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static void put_types(FILE *p)
{
	struct types t = { 0 };

	for (const struct qmp_command *c = qmp_commands; c->name; c++) {
		collect_members(&t, c->arguments);
		if (c->returns)
			collect(&t, c->returns);
	}
	for (const struct qmp_event *e = qmp_events; e->name; e++)
		collect_members(&t, e->data);
	qsort(t.type, t.nr, sizeof(t.type[0]), compare_types);
	for (unsigned int i = 0; i < t.nr; i++) {
		const struct qmp_type *type = t.type[i];

		put_title(p, type->name, '-');
		if (type->kind == QMP_OBJECT) {
			put_members(p, type->members);
			continue;
		}
		fprintf(p, "One of");
		for (const char *const *v = type->values; *v; v++)
			fprintf(p, "%s ``%s``", v == type->values ? "" : ",", *v);
		fprintf(p, ".\n\n");
	}
}

char *qmp_reference(void)
{
	char *text = NULL;
	size_t len;
	FILE *p = open_memstream(&text, &len);
	bool failed;

	if (!p)
		return NULL;
	fputs(intro, p);
	put_title(p, "Commands", '=');
	for (const struct qmp_command *c = qmp_commands; c->name; c++)
		put_command(p, c);
	put_title(p, "Events", '=');
	for (const struct qmp_event *e = qmp_events; e->name; e++)
		put_event(p, e);
	put_title(p, "Types", '=');
	put_types(p);
	failed = ferror(p);
	if (fclose(p) || failed) {
		free(text);
		return NULL;
	}
	text[len - 1] = '\0';	/* one newline at the end is enough */
	return text;
}
