// SPDX-License-Identifier: MIT
/* Packed rows as text, by a program that says what is written of each. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_emit.h"
#include "nt_filter.h"

#define NAMES_MOST (1U << 16)
#define NAME_BYTES_MOST (1U << 24)

struct name {
	uint64_t number;
	uint32_t kind; /* 0: free */
	uint32_t at, len;
};

struct nt_emitter {
	struct nt_emit_step *steps;
	char *literals;
	struct nt_emit_word *words;
	struct nt_term *terms;
	uint32_t n_steps, n_literals, n_words, n_terms;
	struct name *names; /* open addressing, at most half full */
	uint32_t n_names, cap_names;
	char *texts;
	uint32_t n_texts, cap_texts;
};

struct row {
	const struct nt_rec *rec;
	const struct nt_proc *proc;
	const struct nt_plane *plane;
	const struct nt_detail *detail; /* NULL: not known */
};

static const uint32_t size_of[NT_EB_BASES] = {
	[NT_EB_REC] = sizeof(struct nt_rec),
	[NT_EB_PROC] = sizeof(struct nt_proc),
	[NT_EB_PLANE] = sizeof(struct nt_plane),
	[NT_EB_DETAIL] = sizeof(struct nt_detail),
	[NT_EB_KNOWN] = 0,
};

/* --- the program --- */

static bool goes(uint8_t code)
{
	return code >= NT_E_IF_ANY && code <= NT_E_GO;
}

static uint32_t bytes_read(const struct nt_emit_step *s)
{
	switch (s->code) {
	case NT_E_NUMBER:
	case NT_E_SHARE:
	case NT_E_WORD:
	case NT_E_NAME:
	case NT_E_IF_ANY:
	case NT_E_IF_NOT:
	case NT_E_IF_LEAST:
	case NT_E_IF_ONE_OF:
		return s->size;
	case NT_E_REAL:
		return 4;
	case NT_E_ADDRESS:
	case NT_E_COMM:
		return 16;
	default:
		return 0;
	}
}

/* Each step reads within its record and goes forward, so a program ends. */
static bool good_steps(const struct nt_emitter *m)
{
	for (uint32_t i = 0; i < m->n_steps; i++) {
		const struct nt_emit_step *s = &m->steps[i];
		uint32_t reads = bytes_read(s);

		if (s->code >= NT_E_CODES || s->base >= NT_EB_BASES || s->size > 8 ||
		    s->shift > 63 || s->width > 63)
			return false;
		if (s->base != NT_EB_KNOWN && (uint64_t)s->offset + reads > size_of[s->base])
			return false;
		if (s->base == NT_EB_KNOWN && reads && !goes(s->code))
			return false;
		if ((uint64_t)s->literal_at + s->literal_len > m->n_literals)
			return false;
		if (goes(s->code) && (s->n <= i || s->n > m->n_steps))
			return false;
		if ((s->code == NT_E_WORD || s->code == NT_E_CELL) &&
		    (uint64_t)s->word + s->n > m->n_words)
			return false;
		if ((s->code == NT_E_TERM || s->code == NT_E_CELL) && s->a >= m->n_terms)
			return false;
	}
	for (uint32_t i = 0; i < m->n_words; i++)
		if ((uint64_t)m->words[i].at + m->words[i].len > m->n_literals)
			return false;
	return true;
}

static void *copy_of(const void *v, size_t bytes)
{
	void *made = malloc(bytes ? bytes : 1);

	if (made && bytes)
		memcpy(made, v, bytes);
	return made;
}

struct nt_emitter *nt_emitter_new(const struct nt_emit_step *steps, uint32_t n_steps,
				  const char *literals, uint32_t n_literals,
				  const struct nt_emit_word *words, uint32_t n_words,
				  const struct nt_term *terms, uint32_t n_terms)
{
	struct nt_emitter *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	*m = (struct nt_emitter){
		.steps = copy_of(steps, n_steps * sizeof(*steps)),
		.literals = copy_of(literals, n_literals),
		.words = copy_of(words, n_words * sizeof(*words)),
		.terms = copy_of(terms, n_terms * sizeof(*terms)),
		.n_steps = n_steps,
		.n_literals = n_literals,
		.n_words = n_words,
		.n_terms = n_terms,
	};
	if (!m->steps || !m->literals || !m->words || !m->terms) {
		nt_emitter_free(m);
		errno = ENOMEM;
		return NULL;
	}
	if (!good_steps(m)) {
		nt_emitter_free(m);
		errno = EINVAL;
		return NULL;
	}
	return m;
}

void nt_emitter_free(struct nt_emitter *m)
{
	if (!m)
		return;
	free(m->steps);
	free(m->literals);
	free(m->words);
	free(m->terms);
	free(m->names);
	free(m->texts);
	free(m);
}

/* --- names --- */

static struct name *place(struct name *names, uint32_t cap, uint32_t kind, uint64_t number)
{
	uint64_t h = (number ^ (uint64_t)kind << 56) * 0x9e3779b97f4a7c15ULL;

	for (uint32_t i = (uint32_t)(h >> 32);; i++) {
		struct name *one = &names[i & (cap - 1)];

		if (!one->kind || (one->kind == kind && one->number == number))
			return one;
	}
}

static int more_names(struct nt_emitter *m)
{
	uint32_t cap = m->cap_names ? m->cap_names * 2 : 64;
	struct name *names = calloc(cap, sizeof(*names));

	if (!names)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->cap_names; i++)
		if (m->names[i].kind)
			*place(names, cap, m->names[i].kind, m->names[i].number) = m->names[i];
	free(m->names);
	m->names = names;
	m->cap_names = cap;
	return 0;
}

int nt_emitter_name(struct nt_emitter *m, uint32_t kind, uint64_t number, const char *text,
		    uint32_t len)
{
	struct name *one;

	if (!kind)
		return -EINVAL;
	if (m->n_names >= NAMES_MOST || (uint64_t)m->n_texts + len > NAME_BYTES_MOST)
		nt_emitter_forget(m);
	if (len > NAME_BYTES_MOST)
		return -EINVAL;
	if (m->n_names * 2 >= m->cap_names && more_names(m))
		return -ENOMEM;
	one = place(m->names, m->cap_names, kind, number);
	if (one->kind)
		return 0;
	if ((uint64_t)m->n_texts + len > m->cap_texts) {
		uint32_t cap = m->cap_texts ? m->cap_texts : 4096;

		while (cap < m->n_texts + len)
			cap *= 2;
		char *texts = realloc(m->texts, cap);

		if (!texts)
			return -ENOMEM;
		m->texts = texts;
		m->cap_texts = cap;
	}
	*one = (struct name){ number, kind, m->n_texts, len };
	if (len)
		memcpy(m->texts + m->n_texts, text, len);
	m->n_texts += len;
	m->n_names++;
	return 0;
}

void nt_emitter_forget(struct nt_emitter *m)
{
	if (m->names)
		memset(m->names, 0, m->cap_names * sizeof(*m->names));
	m->n_names = m->n_texts = 0;
}

/* --- a row --- */

static const uint8_t *member(const struct row *r, const struct nt_emit_step *s)
{
	switch (s->base) {
	case NT_EB_REC:
		return (const uint8_t *)r->rec + s->offset;
	case NT_EB_PROC:
		return (const uint8_t *)r->proc + s->offset;
	case NT_EB_PLANE:
		return (const uint8_t *)r->plane + s->offset;
	default:
		return r->detail ? (const uint8_t *)r->detail + s->offset : NULL;
	}
}

/* The compiler's own loads: bytes copied one by one and then read as a word wait for the store. */
static uint64_t load(const uint8_t *p, uint32_t size)
{
	uint64_t v = 0; /* little endian, as all that nettop builds for */

	switch (size) {
	case 1:
		return *p;
	case 2:
		memcpy(&v, p, 2);
		return v;
	case 4:
		memcpy(&v, p, 4);
		return v;
	case 8:
		memcpy(&v, p, 8);
		return v;
	default:
		memcpy(&v, p, size);
		return v;
	}
}

static uint64_t number_of(const struct row *r, const struct nt_emit_step *s)
{
	const uint8_t *p;
	uint64_t v;

	if (s->base == NT_EB_KNOWN)
		return r->detail != NULL;
	p = member(r, s);
	if (!p)
		return 0;
	v = load(p, s->size) >> s->shift;
	return s->width ? v & ((1ULL << s->width) - 1) : v;
}

static bool passes(const struct nt_emit_step *s, uint64_t v)
{
	switch (s->code) {
	case NT_E_IF_ANY:
		return v & s->a;
	case NT_E_IF_NOT:
		return v != s->a;
	case NT_E_IF_LEAST:
		return v >= s->a;
	case NT_E_IF_ONE_OF:
		return v < 64 && s->a >> v & 1;
	default:
		return false;
	}
}

static struct nt_filter_view view_of(const struct row *r)
{
	const struct nt_detail *d = r->detail;
	struct nt_filter_view view = { .rec = r->rec, .proc = r->proc, .plane = r->plane };

	if (d && r->rec->proto == NT_PROTO_TCP) {
		view.info = d->info;
		view.info_len = d->info_len < sizeof(d->info) ? d->info_len : sizeof(d->info);
	}
	return view;
}

/* From here on a double may be another whole number; what is scaled up is one. */
#define WHOLE_MOST 9007199254740992.0

/* A whole number in base units, scaled up or not; a ratio never is one. */
static bool is_whole(const struct nt_term *t)
{
	return t->how == NT_HOW_ALONE && t->a.type != NT_F32 && t->a.scale >= 1;
}

/* Of the step's words that of a number, or NULL. */
static const struct nt_emit_word *word_of(const struct nt_emitter *m, const struct nt_emit_step *s,
					  uint64_t v)
{
	const struct nt_emit_word *w = v < s->n ? &m->words[s->word + v] : NULL;

	return w && w->len ? w : NULL;
}

static bool put_cell(const struct nt_emitter *m, const struct row *r, struct nt_emit_out *o,
		     const struct nt_emit_step *s)
{
	const struct nt_term *t = &m->terms[s->a];
	struct nt_filter_view view = view_of(r);
	const struct nt_emit_word *w;
	uint64_t whole;
	double v;

	if (is_whole(t) && t->a.scale == 1) {
		if (!nt_term_whole(t, &view, &whole))
			return true;
		w = word_of(m, s, whole);
		return w ? nt_write(o, m->literals + w->at, w->len) : nt_write_whole(o, whole);
	}
	if (!nt_term_value(t, &view, &v))
		return true;
	if (!is_whole(t))
		return nt_write_cell(o, v);
	if (v >= WHOLE_MOST) {
		o->why = NT_EE_REFUSED;
		return false;
	}
	return nt_write_whole(o, (uint64_t)v);
}

static bool put_literal(const struct nt_emitter *m, struct nt_emit_out *o,
			const struct nt_emit_step *s)
{
	if (s->element && o->depth) {
		if (o->open[o->depth - 1].any && !nt_write(o, ",", 1))
			return false;
		o->open[o->depth - 1].any = true;
	}
	return nt_write(o, m->literals + s->literal_at, s->literal_len);
}

static bool put_name(const struct nt_emitter *m, const struct row *r, struct nt_emit_out *o,
		     const struct nt_emit_step *s)
{
	const struct name *one = NULL;

	if (m->cap_names)
		one = place(m->names, m->cap_names, (uint32_t)s->a, number_of(r, s));
	if (!one || !one->kind) {
		o->why = NT_EE_NAME;
		return false;
	}
	/* Its comma would stand before nothing. */
	return !one->len || (put_literal(m, o, s) && nt_write(o, m->texts + one->at, one->len));
}

static bool put_word(const struct nt_emitter *m, const struct row *r, struct nt_emit_out *o,
		     const struct nt_emit_step *s)
{
	const struct nt_emit_word *w = word_of(m, s, number_of(r, s));

	if (!w) {
		o->why = NT_EE_REFUSED;
		return false;
	}
	return put_literal(m, o, s) && nt_write(o, m->literals + w->at, w->len);
}

static bool open_object(const struct nt_emitter *m, struct nt_emit_out *o,
			const struct nt_emit_step *s)
{
	char *begin = o->at;
	bool before = o->depth && o->open[o->depth - 1].any;

	if (o->depth == NT_EMIT_DEPTH) {
		o->why = NT_EE_REFUSED;
		return false;
	}
	if (!put_literal(m, o, s))
		return false;
	o->open[o->depth].begin = begin;
	o->open[o->depth].any = false;
	o->open[o->depth].before = before;
	o->depth++;
	return true;
}

static bool close_object(const struct nt_emitter *m, struct nt_emit_out *o,
			 const struct nt_emit_step *s)
{
	if (!o->depth) {
		o->why = NT_EE_REFUSED;
		return false;
	}
	o->depth--;
	if (!s->n || o->open[o->depth].any)
		return nt_write(o, m->literals + s->literal_at, s->literal_len);
	o->at = o->open[o->depth].begin;
	if (o->depth)
		o->open[o->depth - 1].any = o->open[o->depth].before;
	return true;
}

static bool step(const struct nt_emitter *m, const struct row *r, struct nt_emit_out *o,
		 const struct nt_emit_step *s)
{
	double real;
	float single;

	switch (s->code) {
	case NT_E_LITERAL:
		return put_literal(m, o, s);
	case NT_E_NUMBER:
		return put_literal(m, o, s) && nt_write_whole(o, number_of(r, s));
	case NT_E_REAL: {
		const uint8_t *p = member(r, s);

		memcpy(&single, p ? p : (const uint8_t *)"\0\0\0", 4);
		return put_literal(m, o, s) && nt_write_real(o, (double)single);
	}
	case NT_E_SHARE:
		return put_literal(m, o, s) && nt_write_share(o, number_of(r, s));
	case NT_E_TERM: {
		struct nt_filter_view view = view_of(r);

		if (!nt_term_value(&m->terms[s->a], &view, &real))
			return true;
		return put_literal(m, o, s) && nt_write_real(o, real);
	}
	case NT_E_CELL:
		return put_cell(m, r, o, s);
	case NT_E_WORD:
		return put_word(m, r, o, s);
	case NT_E_NAME:
		return put_name(m, r, o, s);
	case NT_E_ADDRESS: {
		const uint8_t *p = member(r, s);

		return p && put_literal(m, o, s) && nt_write_address(o, r->rec->family, p);
	}
	case NT_E_COMM: {
		const uint8_t *p = member(r, s);

		return p && put_literal(m, o, s) && nt_write_comm(o, (const char *)p, s->n);
	}
	case NT_E_OPEN:
		return open_object(m, o, s);
	case NT_E_CLOSE:
		return close_object(m, o, s);
	default:
		o->why = NT_EE_REFUSED;
		return false;
	}
}

static bool put_row(const struct nt_emitter *m, const struct row *r, struct nt_emit_out *o)
{
	o->depth = 0;
	o->why = NT_EE_REFUSED;
	for (uint32_t i = 0; i < m->n_steps;) {
		const struct nt_emit_step *s = &m->steps[i];

		if (s->code == NT_E_GO || (goes(s->code) && !passes(s, number_of(r, s))))
			i = s->n;
		else if (goes(s->code) || step(m, r, o, s))
			i++;
		else
			return false;
	}
	return true;
}

void nt_emit(const struct nt_emitter *m, const struct nt_row *rows, const struct nt_detail *details,
	     const uint8_t *known, uint32_t n, uint64_t written, const char *between, char *ret,
	     uint64_t room, struct nt_emitted *out)
{
	struct nt_emit_out o = { .at = ret, .end = ret + room };

	*out = (struct nt_emitted){ 0 };
	for (uint32_t i = 0; i < n; i++) {
		struct row r = { &rows[i].rec, &rows[i].proc, &rows[i].plane,
				 known[i] ? &details[i] : NULL };
		char *before = o.at;

		if (((written || i) && !nt_write(&o, between, strlen(between))) ||
		    !put_row(m, &r, &o)) {
			o.at = before;
			out->end = o.why;
			break;
		}
		out->rows_done++;
	}
	out->bytes = (uint64_t)(o.at - ret);
}
