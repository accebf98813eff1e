// SPDX-License-Identifier: MIT
/* Numbers, addresses and names as JSON has them. */
#include <float.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nt_emit.h"

bool nt_write(struct nt_emit_out *o, const char *text, size_t len)
{
	if ((size_t)(o->end - o->at) < len) {
		o->why = NT_EE_ROOM;
		return false;
	}
	memcpy(o->at, text, len);
	o->at += len;
	return true;
}

bool nt_write_whole(struct nt_emit_out *o, uint64_t v)
{
	char buf[20], *p = buf + sizeof(buf);

	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	return nt_write(o, p, (size_t)(buf + sizeof(buf) - p));
}

/*
 * Digits of d.ddd and a power of ten, as Python writes a float: 0.001, 25.0, 1e-05, 1e+16.
 */
static bool put_digits(struct nt_emit_out *o, bool minus, const char *digits, int n, int power)
{
	char buf[48];
	int len = 0;

	if (minus)
		buf[len++] = '-';
	if (power < -4 || power >= 16) {
		buf[len++] = digits[0];
		if (n > 1)
			buf[len++] = '.';
		for (int i = 1; i < n; i++)
			buf[len++] = digits[i];
		len += snprintf(buf + len, sizeof(buf) - (size_t)len, "e%c%02d",
				power < 0 ? '-' : '+', abs(power));
		return nt_write(o, buf, (size_t)len);
	}
	if (power < 0) {
		buf[len++] = '0';
		buf[len++] = '.';
		for (int i = -1; i > power; i--)
			buf[len++] = '0';
		for (int i = 0; i < n; i++)
			buf[len++] = digits[i];
		return nt_write(o, buf, (size_t)len);
	}
	for (int i = 0; i < n || i <= power; i++) {
		if (i == power + 1)
			buf[len++] = '.';
		buf[len++] = i < n ? digits[i] : '0';
	}
	if (n <= power + 1) {
		buf[len++] = '.';
		buf[len++] = '0';
	}
	return nt_write(o, buf, (size_t)len);
}

/* Six digits where they are the same 32-bit float, else nine. */
bool nt_write_real(struct nt_emit_out *o, double v)
{
	char text[32], digits[16];
	int n = 0;

	if (v == 0)
		return nt_write(o, "0.0", 3);
	if (!isfinite(v) || fabs(v) > (double)FLT_MAX) {
		o->why = NT_EE_REFUSED;
		return false;
	}
	snprintf(text, sizeof(text), "%.5e", v);
	if ((float)strtod(text, NULL) != (float)v)
		snprintf(text, sizeof(text), "%.8e", v);
	const char *p = text + (text[0] == '-');

	for (; *p && *p != 'e'; p++)
		if (*p != '.')
			digits[n++] = *p;
	while (n > 1 && digits[n - 1] == '0')
		n--;
	return put_digits(o, text[0] == '-', digits, n, (int)strtol(p + 1, NULL, 10));
}

bool nt_write_cell(struct nt_emit_out *o, double v)
{
	if (!nt_write_real(o, v))
		return false;
	if (!memcmp(o->at - 2, ".0", 2)) /* a real has three characters or more */
		o->at -= 2;
	return true;
}

bool nt_write_share(struct nt_emit_out *o, uint64_t percent)
{
	char digits[3] = { (char)('0' + percent / 100), (char)('0' + percent / 10 % 10),
			   (char)('0' + percent % 10) };

	if (percent > 999) {
		o->why = NT_EE_REFUSED;
		return false;
	}
	char text[] = { digits[0], '.', digits[1], digits[2] };

	return nt_write(o, text, digits[2] == '0' ? 3 : 4);
}

static char *put_byte(char *p, uint8_t v)
{
	if (v >= 100)
		*p++ = (char)('0' + v / 100);
	if (v >= 10)
		*p++ = (char)('0' + v / 10 % 10);
	*p++ = (char)('0' + v % 10);
	return p;
}

static const uint8_t MAPPED[12] = { [10] = 0xff, [11] = 0xff };

/* RFC 5952, all in hexadecimal. */
static size_t write_inet6(char *buf, const uint8_t *a)
{
	char *p = buf;
	int best = -1, best_len = 1;
	uint16_t w[8];

	for (int i = 0; i < 8; i++)
		w[i] = (uint16_t)(a[2 * i] << 8 | a[2 * i + 1]);
	for (int i = 0; i < 8; i++) {
		int n = 0;

		while (i + n < 8 && !w[i + n])
			n++;
		if (n > best_len) {
			best = i;
			best_len = n;
		}
		i += n;
	}
	for (int i = 0; i < 8; i++) {
		if (i == best) {
			*p++ = ':';
			*p++ = ':';
			i += best_len - 1;
			continue;
		}
		if (i && !(best >= 0 && i == best + best_len))
			*p++ = ':';
		p += sprintf(p, "%x", w[i]);
	}
	return (size_t)(p - buf);
}

bool nt_write_address(struct nt_emit_out *o, uint8_t family, const uint8_t *a)
{
	char buf[64], *p = buf;

	if (family != AF_INET) {
		/* How Python writes those differs from version to version. */
		if (!memcmp(a, MAPPED, sizeof(MAPPED))) {
			o->why = NT_EE_REFUSED;
			return false;
		}
		return nt_write(o, buf, write_inet6(buf, a));
	}
	for (int i = 0; i < 4; i++) {
		if (i)
			*p++ = '.';
		p = put_byte(p, a[i]);
	}
	return nt_write(o, buf, (size_t)(p - buf));
}

bool nt_write_comm(struct nt_emit_out *o, const char *comm, bool bare)
{
	size_t n = strnlen(comm, 16);

	/* A spreadsheet would take the first four for a formula's beginning. */
	if (bare && n && strchr("=+-@", comm[0]))
		goto refused;
	for (size_t i = 0; i < n; i++)
		if (comm[i] < ' ' || comm[i] > '~' || comm[i] == '"' || comm[i] == '\\' ||
		    (bare && comm[i] == ','))
			goto refused;
	if (bare)
		return nt_write(o, comm, n);
	return nt_write(o, "\"", 1) && nt_write(o, comm, n) && nt_write(o, "\"", 1);
refused:
	o->why = NT_EE_REFUSED;
	return false;
}
