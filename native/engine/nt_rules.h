/* SPDX-License-Identifier: MIT */
/* What the rules of nt_verdict.c find in an interval, and what becomes of it (nt_settle.c). */
#ifndef NT_RULES_H
#define NT_RULES_H

#include "nt_engine.h"

/* The conditions of one interval: value and threshold of each that holds. */
struct nt_held {
	uint16_t mask;
	uint16_t spanning; /* the value itself covers more than two intervals */
	uint16_t unwell;
	float value[NT_V_COUNT];
	float over[NT_V_COUNT]; /* value / threshold */
	uint8_t who[NT_V_COUNT], because[NT_V_COUNT];
};

void nt_hold(struct nt_held *h, enum nt_verdict v, float value, float threshold, bool unwell);
/* Which of the conditions of the last intervals are verdicts of the socket, and how loud it is. */
void nt_choose(struct nt_rec *rec, struct nt_held *h, uint32_t now_s);

#endif
