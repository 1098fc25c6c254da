/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/go_json.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static TR_RC add(tr_jnode n, struct tr_buf *b, unsigned depth, struct tr_err *err);

static void add_str(struct tr_buf *b, struct tr_view v)
{
	static const char escapes[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";

	tr_buf_add8(b, '"');
	for (size_t i = 0; i < v.n; i++) {
		uint8_t c = v.p[i];
		const char *e = c ? memchr(escapes, c, sizeof(escapes) - 1) : NULL;

		if (e) {
			tr_buf_addf(b, "\\%c", letters[e - escapes]);
		} else if (c < 0x20 || c == '<' || c == '>' || c == '&') {
			tr_buf_addf(b, "\\u%04x", c);
		} else if (c == 0xe2 && v.n - i >= 3 && v.p[i + 1] == 0x80 && (v.p[i + 2] & 0xfe) == 0xa8) {
			tr_buf_addf(b, "\\u202%x", v.p[i + 2] & 0xf);
			i += 2;
		} else {
			tr_buf_add8(b, c);
		}
	}
	tr_buf_add8(b, '"');
}

/* A positive finite number in decimal: 0.d1d2d3… times ten to the `point`. */
struct decimal {
	char digits[24];
	size_t n;
	int point;
};

/* Is this text, as a number, v? Text of ours: the decimal point is the locale's on the way out and back in. */
static bool reads_as(const char *text, double v)
{
	double back = strtod(text, NULL);

	return !(back < v) && !(back > v);
}

/* The last digit of d.ddd…e±dd one higher, with its carry. */
static void count_up(char *text, char *e)
{
	for (char *p = e - 1; p >= text; p--) {
		if (*p < '0' || *p > '9')
			continue;
		if (*p != '9') {
			(*p)++;
			return;
		}
		*p = '0';
	}
}

/* The fewest digits that read as v again; of several, the nearest. At a power of two the nearest of so few digits can lie
 * on the narrow side, outside, while its upper neighbour is inside: both are tried. */
static void shortest(double v, struct decimal *d)
{
	char text[40];
	char *e = NULL;

	for (int digits = 1; digits <= DBL_DECIMAL_DIG; digits++) {
		(void)snprintf(text, sizeof(text), "%.*e", digits - 1, v);
		e = strchr(text, 'e');
		if (reads_as(text, v))
			break;
		count_up(text, e);
		if (reads_as(text, v))
			break;
	}
	d->n = 0;
	for (const char *p = text; p < e; p++)
		if (*p >= '0' && *p <= '9')
			d->digits[d->n++] = *p;
	while (d->n > 1 && d->digits[d->n - 1] == '0')
		d->n--;
	d->point = (int)strtol(e + 1, NULL, 10) + 1;
}

static void add_plain(struct tr_buf *b, const struct decimal *d)
{
	int n = (int)d->n;

	if (d->point <= 0)
		tr_buf_adds(b, "0.");
	for (int i = d->point; i < 0; i++)
		tr_buf_add8(b, '0');
	for (int i = 0; i < n || i < d->point; i++) {
		if (i && i == d->point)
			tr_buf_add8(b, '.');
		tr_buf_add8(b, i < n ? (uint8_t)d->digits[i] : '0');
	}
}

/* With an exponent outside 1e-6 to 1e21, as JavaScript has it; Go writes e-07 as e-7. */
static void add_real(struct tr_buf *b, double v)
{
	struct decimal d = { .n = 0 };
	double size = fabs(v);

	if (signbit(v))
		tr_buf_add8(b, '-');
	if (!(size > 0)) {
		tr_buf_add8(b, '0');
		return;
	}
	shortest(size, &d);
	if (size >= 1e-6 && size < 1e21) {
		add_plain(b, &d);
		return;
	}
	tr_buf_add8(b, (uint8_t)d.digits[0]);
	if (d.n > 1)
		tr_buf_addf(b, ".%.*s", (int)d.n - 1, d.digits + 1);
	tr_buf_addf(b, size < 1 ? "e-%d" : "e+%d", abs(d.point - 1));
}

struct member {
	const char *name;
	tr_jnode value;
};

struct members {
	struct member *all;
	size_t n;
};

static bool take_member(void *arg, const char *name, tr_jnode value)
{
	struct members *m = arg;

	m->all[m->n++] = (struct member){ name, value };
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

static TR_RC add_object(tr_jnode n, struct tr_buf *b, unsigned depth, struct tr_err *err)
{
	struct members m = { NULL, 0 };
	enum tr_code rc = TR_OK;

	m.all = calloc(tr_json_len(n) + 1, sizeof(*m.all));
	if (!m.all)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "members");
	tr_json_each(n, take_member, &m);
	qsort(m.all, m.n, sizeof(*m.all), by_name);
	tr_buf_add8(b, '{');
	for (size_t i = 0; !rc && i < m.n; i++) {
		if (i)
			tr_buf_add8(b, ',');
		add_str(b, tr_view_str(m.all[i].name));
		tr_buf_add8(b, ':');
		rc = add(m.all[i].value, b, depth + 1, err);
	}
	tr_buf_add8(b, '}');
	free(m.all);
	return rc;
}

static TR_RC add_array(tr_jnode n, struct tr_buf *b, unsigned depth, struct tr_err *err)
{
	enum tr_code rc = TR_OK;

	tr_buf_add8(b, '[');
	for (size_t i = 0; !rc && i < tr_json_len(n); i++) {
		if (i)
			tr_buf_add8(b, ',');
		rc = add(tr_json_at(n, i), b, depth + 1, err);
	}
	tr_buf_add8(b, ']');
	return rc;
}

static TR_RC add(tr_jnode n, struct tr_buf *b, unsigned depth, struct tr_err *err)
{
	struct tr_view text;
	double real;
	bool truth;

	if (depth > TR_JSON_DEPTH_MAX)
		return tr_err_set(err, TR_E_INVALID, "the JSON text is nested too deeply", "Go JSON");
	if (tr_json_is_object(n))
		return add_object(n, b, depth, err);
	if (tr_json_is_array(n))
		return add_array(n, b, depth, err);
	if (tr_json_str(n, &text))
		add_str(b, text);
	else if (tr_json_bool(n, &truth))
		tr_buf_adds(b, truth ? "true" : "false");
	else if (tr_json_real(n, &real))
		add_real(b, real);
	else if (!n || tr_json_is_null(n))
		tr_buf_adds(b, "null");
	else
		return tr_err_set(err, TR_E_INTERNAL, "the JSON text was read with whole numbers", "Go JSON");
	return TR_OK;
}

TR_RC tr_go_json_add(tr_jnode n, struct tr_buf *b, struct tr_err *err)
{
	enum tr_code rc = add(n, b, 0, err);

	return rc ? rc : tr_buf_check(b, err);
}
