// SPDX-License-Identifier: GPL-2.0-or-later
/* The table of commands and events: it is sound, answers keep to it, and its page is up to date. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "../../vmm-user/control/commands.h"
#include "control_conn.h"
#include "control_world.h"
#include "unit_test.h"

static struct hv_err err;

/* ---- The table ---- */

static void check_members(const struct qmp_member *members, const char *where)
{
	for (const struct qmp_member *m = members; m && m->name; m++) {
		size_t len = m->doc ? strlen(m->doc) : 0;

		if (!m->type || !len || m->doc[len - 1] != '.' || m->min > m->max) {
			printf("# %s: %s\n", where, m->name);
			CHECK(false);
		}
		for (const struct qmp_member *n = m + 1; n->name; n++)
			CHECK(strcmp(m->name, n->name));
		if (m->type->kind == QMP_OBJECT)
			check_members(m->type->members, m->type->name);
		if (m->type->kind == QMP_ARRAY)
			check_members(m->type->of->members, m->type->of->name);
	}
}

static void test_table(void)
{
	for (const struct qmp_command *c = qmp_commands; c->name; c++) {
		CHECK(c->doc && c->doc[strlen(c->doc) - 1] == '.');
		CHECK(!c->errors || c->errors[strlen(c->errors) - 1] == '.');
		CHECK((c->run == NULL) == !strcmp(c->name, "qmp_capabilities"));
		check_members(c->arguments, c->name);
		for (const struct qmp_command *d = c + 1; d->name; d++)
			CHECK(strcmp(c->name, d->name));
	}
	for (const struct qmp_event *e = qmp_events; e->name; e++) {
		CHECK(e->doc && e->doc[strlen(e->doc) - 1] == '.');
		check_members(e->data, e->name);
		for (const struct qmp_event *f = e + 1; f->name; f++)
			CHECK(strcmp(e->name, f->name));
	}
}

/* ---- Checking ---- */

static const char *const colours[] = { "red", "green", NULL };
static const struct qmp_type colour = { .kind = QMP_ENUM, .name = "Colour", .values = colours };
static const struct qmp_type ints = { .kind = QMP_ARRAY, .of = &qmp_int };
static const struct qmp_member inner_members[] = {
	{ .name = "a", .type = &qmp_int, .min = -2, .max = 3 }, { .name = NULL }
};
static const struct qmp_type inner = {
	.kind = QMP_OBJECT, .name = "Inner", .members = inner_members,
};
static const struct qmp_type inners = { .kind = QMP_ARRAY, .of = &inner };
static const struct qmp_member members[] = {
	{ .name = "i", .type = &qmp_int, .optional = true, .min = 0, .max = 10 },
	{ .name = "s", .type = &qmp_str, .optional = true, .min = 1, .max = 3 },
	{ .name = "b", .type = &qmp_bool, .optional = true },
	{ .name = "n", .type = &qmp_number, .optional = true },
	{ .name = "c", .type = &colour, .optional = true },
	{ .name = "l", .type = &ints, .optional = true },
	{ .name = "o", .type = &inner, .optional = true },
	{ .name = "m", .type = &inners, .optional = true },
	{ .name = "any", .type = &qmp_any, .optional = true },
	{ .name = NULL }
};

static void test_check(void)
{
	static const char *const good[] = {
		"{}", "{\"i\": 0}", "{\"i\": 10}", "{\"s\": \"a\"}", "{\"s\": \"abc\"}",
		"{\"b\": true}", "{\"n\": 1}", "{\"n\": 1.5}", "{\"c\": \"green\"}", "{\"l\": []}",
		"{\"l\": [1, -9223372036854775808]}", "{\"o\": {\"a\": -2}}",
		"{\"m\": [{\"a\": 3}, {\"a\": 0}]}", "{\"any\": null}", "{\"any\": [{}]}",
	};
	static const char *const bad[] = {
		"[]", "1", "null", "{\"i\": -1}", "{\"i\": 11}", "{\"i\": null}", "{\"i\": true}",
		"{\"i\": 1.0}", "{\"s\": \"\"}", "{\"s\": \"abcd\"}", "{\"s\": 1}", "{\"b\": 1}",
		"{\"n\": \"1\"}", "{\"c\": \"blue\"}", "{\"c\": 1}", "{\"c\": \"\"}", "{\"l\": {}}",
		"{\"l\": [1, \"2\"]}", "{\"o\": {}}", "{\"o\": {\"a\": 4}}", "{\"o\": {\"a\": 1, "
		"\"b\": 2}}", "{\"o\": null}", "{\"m\": [{\"a\": 3}, {\"a\": -3}]}", "{\"m\": [1]}",
		"{\"x\": 1}", "{\"I\": 1}",
	};

	CHECK_EQ(qmp_check_members(members, NULL, "t", &err), 0);
	CHECK_EQ(qmp_check_members(NULL, NULL, "t", &err), 0);
	CHECK_EQ(qmp_check_members(inner_members, NULL, "t", &err), -EINVAL);
	CHECK_STR(err.msg, "t: \"a\" is missing");
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		json_t *v = json_loads(good[i], JSON_DECODE_ANY, NULL);

		CHECK_EQ(qmp_check_members(members, v, "t", &err), 0);
		json_decref(v);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *v = json_loads(bad[i], JSON_DECODE_ANY, NULL);

		CHECK(v);
		err.msg[0] = '\0';
		CHECK_EQ(qmp_check_members(members, v, "t", &err), -EINVAL);
		CHECK(!strncmp(err.msg, "t: ", 3));
		json_decref(v);
	}
}

/* What a command must be given, by its row of the table. */
static json_t *make_arguments(const struct qmp_command *c)
{
	json_t *arguments = json_object();

	for (const struct qmp_member *m = c->arguments; m && m->name; m++)
		if (!m->optional)
			json_object_set_new(arguments, m->name, m->type == &qmp_int ?
					    json_integer(5000) : json_string("blk0"));
	return arguments;
}

/* Every answer of a handler is of the type that the table says. */
static void test_answers(void)
{
	machine_balloon = 5000;
	for (const struct qmp_command *c = qmp_commands; c->name; c++) {
		json_t *arguments = make_arguments(c);
		json_t *value = c->run ? c->run(NULL, arguments, &err) : NULL;

		json_decref(arguments);
		if (!value) {
			/* The test's machine is busy with it. */
			CHECK(!c->run || !strcmp(c->name, "x-hv-balloon-trim"));
			continue;
		}
		if (c->returns)
			CHECK_EQ(qmp_check_value(c->returns, value, c->name, &err), 0);
		else
			CHECK(json_is_object(value) && !json_object_size(value));
		if (c->returns && qmp_check_value(c->returns, value, c->name, &err))
			printf("# %s\n", err.msg);
		json_decref(value);
	}
}

/* ---- What is made of it ---- */

static const json_t *find(const json_t *schema, const char *name)
{
	size_t i;
	json_t *v;

	json_array_foreach((json_t *)schema, i, v)
		if (!strcmp(json_string_value(json_object_get(v, "name")), name))
			return v;
	return NULL;
}

/* Every type that is referred to is there, and no name comes twice. */
static void test_schema(void)
{
	static const char *const refer[] = { "arg-type", "ret-type", "element-type" };
	json_t *schema = qmp_schema_json(), *v, *m;
	size_t i, j;

	CHECK(json_array_size(schema) > 40);
	json_array_foreach(schema, i, v) {
		CHECK(find(schema, json_string_value(json_object_get(v, "name"))) == v);
		for (j = 0; j < 3; j++) {
			const char *type = json_string_value(json_object_get(v, refer[j]));

			CHECK(!type || find(schema, type));
		}
		if (strcmp(json_string_value(json_object_get(v, "meta-type")), "object"))
			continue;
		json_array_foreach(json_object_get(v, "members"), j, m)
			CHECK(find(schema, json_string_value(json_object_get(m, "type"))));
	}
	CHECK(find(schema, "query-status") && find(schema, "STOP") && find(schema, "RunState"));
	json_decref(schema);
	v = qmp_commands_json();
	CHECK(find(v, "query-commands") && find(v, "qmp_capabilities"));
	json_decref(v);
}

static void test_reference(void)
{
	FILE *f = fopen("Documentation/qmp.rst", "re");
	char *want = qmp_reference(), *have = calloc(1, 1 << 20);

	CHECK(want && strstr(want, "\nquery-status\n------------\n"));
	CHECK(f);
	if (f) {
		CHECK(fread(have, 1, (1 << 20) - 1, f) > 0);
		fclose(f);
	}
	if (strcmp(have, want))
		printf("# Documentation/qmp.rst is not what the table says: make qmp-reference\n");
	CHECK(!strcmp(have, want));
	free(have);
	free(want);
}

int main(void)
{
	TEST_RUN(test_table);
	TEST_RUN(test_check);
	TEST_RUN(test_answers);
	TEST_RUN(test_schema);
	TEST_RUN(test_reference);
	return TEST_EXIT();
}
