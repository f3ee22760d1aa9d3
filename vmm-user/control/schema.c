// SPDX-License-Identifier: GPL-2.0-or-later
/* Checking values against the schema, and telling it to clients; see schema.h. */
#include "schema.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct qmp_type qmp_int = { .kind = QMP_INT, .name = "int" };
const struct qmp_type qmp_number = { .kind = QMP_NUMBER, .name = "number" };
const struct qmp_type qmp_bool = { .kind = QMP_BOOL, .name = "bool" };
const struct qmp_type qmp_str = { .kind = QMP_STR, .name = "str" };
const struct qmp_type qmp_any = { .kind = QMP_ANY, .name = "any" };

/* ---- Checking ---- */

static bool in_list(const char *const *values, const char *s)
{
	for (; s && *values; values++)
		if (!strcmp(*values, s))
			return true;
	return false;
}

static const struct qmp_member *find_member(const struct qmp_member *members, const char *name)
{
	for (; members && members->name; members++)
		if (!strcmp(members->name, name))
			return members;
	return NULL;
}

static int check_array(const struct qmp_type *type, const json_t *value, const char *what,
		       struct hv_err *err)
{
	int ret = 0;

	if (!json_is_array(value))
		return hv_err_set(err, -EINVAL, "%s: an array is wanted", what);
	for (size_t i = 0; !ret && i < json_array_size(value); i++)
		ret = qmp_check_value(type->of, json_array_get(value, i), what, err);
	return ret;
}

int qmp_check_value(const struct qmp_type *type, const json_t *value, const char *what,
		    struct hv_err *err)
{
	switch (type->kind) {
	case QMP_INT:
		return json_is_integer(value) ? 0 :
		       hv_err_set(err, -EINVAL, "%s: an integer is wanted", what);
	case QMP_NUMBER:
		return json_is_number(value) ? 0 :
		       hv_err_set(err, -EINVAL, "%s: a number is wanted", what);
	case QMP_BOOL:
		return json_is_boolean(value) ? 0 :
		       hv_err_set(err, -EINVAL, "%s: true or false is wanted", what);
	case QMP_STR:
		return json_is_string(value) ? 0 :
		       hv_err_set(err, -EINVAL, "%s: a string is wanted", what);
	case QMP_ENUM:
		return in_list(type->values, json_string_value(value)) ? 0 :
		       hv_err_set(err, -EINVAL, "%s: this is no %s", what, type->name);
	case QMP_OBJECT:
		return qmp_check_members(type->members, value, what, err);
	case QMP_ARRAY:
		return check_array(type, value, what, err);
	case QMP_ANY:
		break;
	}
	return value ? 0 : -EINVAL;
}

static int check_range(const struct qmp_member *m, const json_t *value, const char *what,
		       struct hv_err *err)
{
	bool str = m->type->kind == QMP_STR;
	json_int_t n = str ? (json_int_t)json_string_length(value) : json_integer_value(value);

	if ((!m->min && !m->max) || (n >= m->min && n <= m->max))
		return 0;
	return hv_err_set(err, -EINVAL, "%s: %s%lld to %lld is wanted", what,
			  str ? "a length of " : "", (long long)m->min, (long long)m->max);
}

static int check_member(const struct qmp_member *m, const json_t *value, const char *what,
			struct hv_err *err)
{
	char where[160];
	int ret;

	snprintf(where, sizeof(where), "%s: %s", what, m->name);
	ret = qmp_check_value(m->type, value, where, err);
	return ret ? ret : check_range(m, value, where, err);
}

int qmp_check_members(const struct qmp_member *members, const json_t *value, const char *what,
		      struct hv_err *err)
{
	const struct qmp_member *m;
	const char *name;
	json_t *v;
	int ret = 0;

	if (value && !json_is_object(value))
		return hv_err_set(err, -EINVAL, "%s: an object is wanted", what);
	json_object_foreach((json_t *)value, name, v) {
		m = find_member(members, name);
		if (!m)
			return hv_err_set(err, -EINVAL, "%s: \"%.64s\" is not known here", what, name);
	}
	for (m = members; !ret && m && m->name; m++) {
		v = json_object_get(value, m->name);
		if (v)
			ret = check_member(m, v, what, err);
		else if (!m->optional)
			ret = hv_err_set(err, -EINVAL, "%s: \"%s\" is missing", what, m->name);
	}
	return ret;
}

/* ---- query-qmp-schema ---- */

/* Types are told once, when they are first referred to. */
struct teller {
	json_t *list;
	bool failed;
};

static void tell_type(struct teller *t, const struct qmp_type *type);

static void type_name(const struct qmp_type *type, char *buf, size_t len)
{
	if (type->kind == QMP_ARRAY)
		snprintf(buf, len, "[%s]", type->of->name);
	else
		snprintf(buf, len, "%s", type->name);
}

static bool told(const struct teller *t, const char *name)
{
	size_t i;
	json_t *v;

	json_array_foreach(t->list, i, v) {
		const char *n = json_string_value(json_object_get(v, "name"));

		if (n && !strcmp(n, name))
			return true;
	}
	return false;
}

static void tell(struct teller *t, json_t *entry)
{
	if (json_array_append_new(t->list, entry))
		t->failed = true;
}

static json_t *members_json(const struct qmp_member *members)
{
	json_t *list = json_array();

	for (; members && members->name; members++) {
		char name[64];
		json_t *m;

		type_name(members->type, name, sizeof(name));
		m = json_pack("{s:s, s:s}", "name", members->name, "type", name);
		if (members->optional && m)
			json_object_set_new(m, "default", json_null());
		json_array_append_new(list, m);
	}
	return list;
}

static void tell_object(struct teller *t, const char *name, const struct qmp_member *members)
{
	tell(t, json_pack("{s:s, s:s, s:o}", "name", name, "meta-type", "object", "members",
			  members_json(members)));
	for (; members && members->name; members++)
		tell_type(t, members->type);
}

static void tell_enum(struct teller *t, const struct qmp_type *type)
{
	json_t *members = json_array(), *values = json_array();

	for (const char *const *v = type->values; *v; v++) {
		json_array_append_new(values, json_string(*v));
		json_array_append_new(members, json_pack("{s:s}", "name", *v));
	}
	tell(t, json_pack("{s:s, s:s, s:o, s:o}", "name", type->name, "meta-type", "enum",
			  "members", members, "values", values));
}

static const char *builtin_name(const struct qmp_type *type)
{
	switch (type->kind) {
	case QMP_INT:
		return "int";
	case QMP_NUMBER:
		return "number";
	case QMP_BOOL:
		return "boolean";
	case QMP_STR:
		return "string";
	default:
		return "value";
	}
}

static void tell_type(struct teller *t, const struct qmp_type *type)
{
	char name[64];

	type_name(type, name, sizeof(name));
	if (told(t, name))
		return;
	switch (type->kind) {
	case QMP_OBJECT:
		tell_object(t, name, type->members);
		break;
	case QMP_ARRAY:
		tell(t, json_pack("{s:s, s:s, s:s}", "name", name, "meta-type", "array",
				  "element-type", type->of->name));
		tell_type(t, type->of);
		break;
	case QMP_ENUM:
		tell_enum(t, type);
		break;
	default:
		tell(t, json_pack("{s:s, s:s, s:s}", "name", name, "meta-type", "builtin",
				  "json-type", builtin_name(type)));
	}
}

/* The type of what a command takes, or of an event's data; without members: that of nothing. */
static void tell_arguments(struct teller *t, const char *owner, const struct qmp_member *members,
			   char *name, size_t len)
{
	snprintf(name, len, members ? "%s-arg" : "empty", owner);
	if (!told(t, name))
		tell_object(t, name, members);
}

json_t *qmp_schema_json(void)
{
	static const struct qmp_type empty = { .kind = QMP_OBJECT, .name = "empty" };
	struct teller t = { .list = json_array() };
	char arg[80], ret[80];

	for (const struct qmp_command *c = qmp_commands; c->name; c++) {
		const struct qmp_type *type = c->returns ? c->returns : &empty;

		tell_arguments(&t, c->name, c->arguments, arg, sizeof(arg));
		tell_type(&t, type);
		type_name(type, ret, sizeof(ret));
		tell(&t, json_pack("{s:s, s:s, s:s, s:s, s:b}", "name", c->name, "meta-type",
				   "command", "arg-type", arg, "ret-type", ret, "allow-oob", 0));
	}
	for (const struct qmp_event *e = qmp_events; e->name; e++) {
		tell_arguments(&t, e->name, e->data, arg, sizeof(arg));
		tell(&t, json_pack("{s:s, s:s, s:s}", "name", e->name, "meta-type", "event",
				   "arg-type", arg));
	}
	if (t.failed) {
		json_decref(t.list);
		return NULL;
	}
	return t.list;
}

json_t *qmp_commands_json(void)
{
	json_t *list = json_array();

	for (const struct qmp_command *c = qmp_commands; c->name; c++)
		json_array_append_new(list, json_pack("{s:s}", "name", c->name));
	return list;
}
