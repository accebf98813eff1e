/* SPDX-License-Identifier: MIT */
/* Requests and answers of PTP clocks and NIC stamping as bytes; nothing here calls the kernel. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "nt_api.h"

/* Layouts of include/uapi/linux/ptp_clock.h and ethtool.h; headers of older kernels lack members. */
enum {
	CAPS_BYTES = 80,
	PRECISE_BYTES = 64,
	EXTENDED_BYTES = 1216,
	BASIC_BYTES = 832,
	HEAD_BYTES = 16, /* n_samples, clockid or reserved */
	TIME_BYTES = 16, /* s64 sec, u32 nsec, u32 reserved */
	TS_INFO_BYTES = 44,
};

static const int64_t NS_PER_S = 1000000000;

/* _IOR, _IOW, _IOWR of magic '='. */
static const uint32_t REQUESTS[] = { 0xc0403d08, 0xc4c03d09, 0x43403d05 };
static const uint32_t LENGTHS[] = { PRECISE_BYTES, EXTENDED_BYTES, BASIC_BYTES };

static uint32_t u32_at(const uint8_t *raw, uint32_t at)
{
	uint32_t x;

	memcpy(&x, raw + at, sizeof(x));
	return x;
}

static int32_t s32_at(const uint8_t *raw, uint32_t at)
{
	return (int32_t)u32_at(raw, at);
}

/* False if it is no time that 64 bits of ns can hold. */
static bool time_at(const uint8_t *raw, uint32_t at, int64_t *ns)
{
	int64_t sec;
	uint32_t nsec = u32_at(raw, at + 8);

	memcpy(&sec, raw + at, sizeof(sec));
	if (nsec >= NS_PER_S || sec > INT64_MAX / NS_PER_S - 1 || sec < INT64_MIN / NS_PER_S + 1)
		return false;
	*ns = sec * NS_PER_S + nsec;
	return true;
}

uint32_t nt_phc_ioctl(uint32_t method)
{
	return method <= NT_PHC_BASIC ? REQUESTS[method] : 0;
}

int nt_phc_request(uint32_t method, uint32_t n_samples, int32_t clockid, uint8_t *ret)
{
	if (method > NT_PHC_BASIC)
		return -EINVAL;
	memset(ret, 0, NT_PHC_RAW_BYTES);
	if (method == NT_PHC_PRECISE)
		return PRECISE_BYTES;
	if (!n_samples || n_samples > NT_PHC_SAMPLES_MAX)
		return -EINVAL;
	memcpy(ret, &n_samples, sizeof(n_samples));
	if (method == NT_PHC_EXTENDED)
		memcpy(ret + 4, &clockid, sizeof(clockid));
	return (int)LENGTHS[method];
}

/* One sample of before, PHC, after; a window that ends before it begins was torn by a step. */
static void put(struct nt_phc_read *ret, const uint8_t *raw, uint32_t before, uint32_t phc,
		uint32_t after)
{
	struct nt_phc_sample *sample = &ret->samples[ret->n];
	int64_t end;

	if (!time_at(raw, before, &sample->sys_ns) || !time_at(raw, phc, &sample->phc_ns) ||
	    !time_at(raw, after, &end) || end < sample->sys_ns) {
		*sample = (struct nt_phc_sample){ 0 };
		ret->unusable++;
		return;
	}
	sample->width_ns = (uint64_t)end - (uint64_t)sample->sys_ns;
	ret->n++;
}

int nt_phc_parse(uint32_t method, const uint8_t *raw, uint32_t n, struct nt_phc_read *ret)
{
	uint32_t samples, at = HEAD_BYTES;

	memset(ret, 0, sizeof(*ret));
	if (method > NT_PHC_BASIC || n < LENGTHS[method])
		return -EBADMSG;
	if (method == NT_PHC_PRECISE) {
		put(ret, raw, TIME_BYTES, 0, TIME_BYTES);
		return 0;
	}
	samples = u32_at(raw, 0);
	if (!samples || samples > NT_PHC_SAMPLES_MAX)
		return -EBADMSG;
	if (method == NT_PHC_EXTENDED)
		ret->clockid = s32_at(raw, 4);
	for (uint32_t i = 0; i < samples; i++) {
		put(ret, raw, at, at + TIME_BYTES, at + 2 * TIME_BYTES);
		/* What ends one window of BASIC begins the next. */
		at += (method == NT_PHC_BASIC ? 2 : 3) * TIME_BYTES;
	}
	return 0;
}

int nt_phc_parse_caps(const uint8_t *raw, uint32_t n, struct nt_phc_caps *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (n < CAPS_BYTES)
		return -EBADMSG;
	ret->max_adj_ppb = s32_at(raw, 0);
	ret->n_alarm = s32_at(raw, 4);
	ret->n_ext_ts = s32_at(raw, 8);
	ret->n_per_out = s32_at(raw, 12);
	ret->pps = s32_at(raw, 16);
	ret->n_pins = s32_at(raw, 20);
	ret->cross_timestamping = s32_at(raw, 24);
	ret->adjust_phase = s32_at(raw, 28);
	ret->max_phase_adj_ns = s32_at(raw, 32);
	return 0;
}

int nt_ts_info_parse(const uint8_t *raw, uint32_t n, struct nt_ts_info *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (n < TS_INFO_BYTES)
		return -EBADMSG;
	ret->so_timestamping = u32_at(raw, 4);
	ret->phc_index = s32_at(raw, 8);
	ret->tx_types = u32_at(raw, 12);
	ret->rx_filters = u32_at(raw, 28);
	if (ret->phc_index < 0)
		ret->phc_index = -1;
	return 0;
}
