// SPDX-License-Identifier: MIT
/* From the conditions of an interval to verdicts: what has held, what is worst, who, how loud. */
#include "nt_rules.h"

void nt_hold(struct nt_held *h, enum nt_verdict v, float value, float threshold, bool unwell)
{
	h->mask |= (uint16_t)(1U << v);
	h->who[v] = (uint8_t)nt_who_of(v);
	h->because[v] = NT_B_PLAIN;
	h->value[v] = value;
	h->over[v] = threshold > 0 ? value / threshold : value;
	if (unwell)
		h->unwell |= (uint16_t)(1U << v);
}

static enum nt_level level_of(const struct nt_held *h, enum nt_verdict v)
{
	if (h->unwell >> v & 1)
		return NT_LEVEL_UNWELL;
	/* A full congestion window is how a bulk transfer looks when all is well. */
	return v == NT_V_CWND ? NT_LEVEL_OK : NT_LEVEL_WATCH;
}

static uint8_t log2_bucket(float over)
{
	uint8_t n = 0;

	while (over >= 2 && n < 30) {
		over /= 2;
		n++;
	}
	return n;
}

/* Beside what is known to be wrong, what is unusual comes last. */
static bool is_unusual(const struct nt_held *h, enum nt_verdict v)
{
	return h->because[v] == NT_B_UNUSUAL || h->because[v] == NT_B_SIBLINGS;
}

static bool is_open(uint8_t who)
{
	return who == NT_WHO_UNKNOWN || who & NT_WHO_MAYBE;
}

/*
 * The longer a round trip, the more of a send buffer waits for its end; and what this host drops
 * comes when it is sent again, so that round trips are long and what is received has holes.
 */
static bool follows_from(const struct nt_held *h, enum nt_verdict a, enum nt_verdict b)
{
	if (a == NT_V_RTT && (b == NT_V_LOSS || b == NT_V_RTO))
		return h->because[b] == NT_B_HERE;
	if (a == NT_V_ORDER && b == NT_V_DROPS)
		return h->because[a] == NT_B_PLAIN && h->because[b] == NT_B_HERE;
	return a == NT_V_SNDBUF && b == NT_V_RTT && !is_open(h->who[b]) &&
	       level_of(h, b) >= level_of(h, a);
}

static bool worse(const struct nt_held *h, enum nt_verdict a, enum nt_verdict b)
{
	if (follows_from(h, a, b) || follows_from(h, b, a))
		return follows_from(h, b, a);
	if (level_of(h, a) > NT_LEVEL_OK && level_of(h, b) > NT_LEVEL_OK &&
	    is_unusual(h, a) != is_unusual(h, b))
		return is_unusual(h, b);
	if (level_of(h, a) != level_of(h, b))
		return level_of(h, a) > level_of(h, b);
	if (log2_bucket(h->over[a]) != log2_bucket(h->over[b]))
		return h->over[a] > h->over[b];
	return a < b;
}

/* A socket rises at once; it sinks one level after ten quiet seconds, its strength every five. */
static void settle(struct nt_rec *rec, enum nt_level level, uint8_t strength, uint32_t now_s)
{
	if (level >= rec->level) {
		if (level > rec->level || strength > rec->strength ||
		    now_s - rec->well_since_s >= 5)
			rec->strength = strength;
		if (level > NT_LEVEL_OK && strength >= rec->strength)
			rec->well_since_s = now_s;
		rec->level = (uint8_t)level;
	} else if (now_s - rec->well_since_s >= 10) {
		rec->level--;
		rec->strength = strength;
		rec->well_since_s = now_s;
	}
}

/* So long the blame stays where it is while its cause still holds: of two that take turns. */
#define WHO_STAYS_S 5

/*
 * The worst active verdict of the party that is blamed now, if it is to stay; else `first`. What is
 * no louder takes the blame over once it has held for three intervals in a row; what is known takes
 * it at once from what is not.
 */
static uint8_t steady(const struct nt_rec *rec, const struct nt_held *h, uint16_t active,
		      uint8_t first, uint32_t now_s)
{
	uint8_t stays = NT_V_COUNT;

	bool lasts = rec->verdict_past[0] & rec->verdict_past[1] & rec->verdict_past[2] &
		     1U << first;

	if (!rec->verdicts || rec->who == h->who[first] ||
	    (is_open(rec->who) && !is_open(h->who[first])))
		return first;
	for (uint8_t v = 0; v < NT_V_COUNT; v++)
		if (active >> v & 1 && h->who[v] == rec->who && level_of(h, v) > NT_LEVEL_OK &&
		    (stays == NT_V_COUNT || worse(h, v, stays)))
			stays = v;
	if (stays == NT_V_COUNT)
		return first;
	bool takes_over = lasts || level_of(h, first) > level_of(h, stays);

	return takes_over && now_s - rec->who_since_s >= WHO_STAYS_S ? first : stays;
}

/* Of a verdict that held before and not in this interval: its last number. */
static bool recall(const struct nt_rec *rec, uint8_t v, struct nt_held *h)
{
	if (!(rec->verdicts >> v & 1) || (rec->verdict != v && rec->verdict2 != v))
		return false;
	bool first = rec->verdict == v;

	h->value[v] = first ? rec->verdict_value : rec->verdict2_value;
	h->who[v] = first ? rec->who : rec->who2;
	h->because[v] = first ? rec->because : rec->because2;
	h->over[v] = 1;
	return true;
}

void nt_choose(struct nt_rec *rec, struct nt_held *h, uint32_t now_s)
{
	uint16_t *past = rec->verdict_past;

	past[2] = past[1];
	past[1] = (uint16_t)(past[0] | h->spanning);
	past[0] = h->mask;
	uint16_t active = (uint16_t)((past[0] & past[1]) | (past[0] & past[2]) |
				     (past[1] & past[2]));
	uint8_t first = NT_V_COUNT, second = NT_V_COUNT;

	for (uint8_t v = 0; v < NT_V_COUNT; v++) {
		if (!(active >> v & 1))
			continue;
		/* Held in two of three intervals but not in this one: its last number stands. */
		if (!(h->mask >> v & 1)) {
			if (!recall(rec, v, h)) {
				active &= (uint16_t) ~(1U << v);
				continue;
			}
		}
		if (first == NT_V_COUNT || worse(h, v, first)) {
			second = first;
			first = v;
		} else if (second == NT_V_COUNT || worse(h, v, second)) {
			second = v;
		}
	}
	if (first == NT_V_COUNT) {
		rec->verdicts = rec->verdicts_unwell = 0;
		settle(rec, NT_LEVEL_OK, 0, now_s);
		return;
	}
	uint8_t worst = first;

	first = steady(rec, h, active, worst, now_s);
	if (first != worst)
		second = worst;
	if (!rec->verdicts || rec->verdict != first)
		rec->verdict_since_s = now_s;
	if (!rec->verdicts || rec->who != h->who[first])
		rec->who_since_s = now_s;
	rec->verdicts = active;
	rec->verdicts_unwell = active & h->unwell;
	rec->verdict = first;
	rec->verdict_value = h->value[first];
	rec->verdict2 = second == NT_V_COUNT ? first : second;
	rec->verdict2_value = h->value[rec->verdict2];
	rec->who = h->who[first];
	rec->who2 = h->who[rec->verdict2];
	rec->because = h->because[first];
	rec->because2 = h->because[rec->verdict2];
	settle(rec, level_of(h, worst), log2_bucket(h->over[worst]), now_s);
}
