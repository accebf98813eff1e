/* SPDX-License-Identifier: MIT */
/* PTP hardware clocks, and what NICs can stamp and are set to stamp: one call each. */
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "nt_api.h"

enum { BUSY_TRIES = 3, CAPS_BYTES = 80, TS_INFO_BYTES = 44 };
static const unsigned long CLOCK_GETCAPS = 0x80503d01;
static const long BUSY_PAUSE_NS = 500 * 1000;

/*
 * Whether sysfs calls a device something else than a PTP clock: merely opening some devices has
 * effects (a watchdog starts).
 */
static int other_device(dev_t dev)
{
	char link[64], target[256];
	ssize_t n;
	const char *name;

	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u/subsystem", major(dev), minor(dev));
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return 0;
	target[n] = '\0';
	name = strrchr(target, '/');
	return strcmp(name ? name + 1 : target, "ptp") != 0;
}

int nt_phc_open(const char *path, struct nt_phc_caps *ret)
{
	uint8_t raw[CAPS_BYTES] = { 0 };
	struct stat st;
	int fd, err;

	if (stat(path, &st))
		return -errno;
	if (!S_ISCHR(st.st_mode) || other_device(st.st_rdev))
		return -ENOTTY;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, CLOCK_GETCAPS, raw)) {
		/* Drivers say EINVAL too of a request that they do not know. */
		err = errno == EINVAL ? -ENOTTY : -errno;
		close(fd);
		return err;
	}
	nt_phc_parse_caps(raw, sizeof(raw), ret);
	return fd;
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* A step of CLOCK_REALTIME shows in its distance from CLOCK_MONOTONIC. */
static void read_realtime(struct nt_phc_read *ret)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 4; i++) {
		int64_t before = now_ns(CLOCK_MONOTONIC);
		int64_t real = now_ns(CLOCK_REALTIME);
		uint64_t width = (uint64_t)(now_ns(CLOCK_MONOTONIC) - before);

		if (width >= best)
			continue;
		best = width;
		ret->realtime_minus_mono_ns = real - before - (int64_t)(width / 2);
		ret->realtime_minus_mono_width_ns = width;
	}
}

int nt_phc_read(int fd, uint32_t method, uint32_t n_samples, int32_t clockid,
		struct nt_phc_read *ret)
{
	const struct timespec pause = { .tv_nsec = BUSY_PAUSE_NS };
	uint8_t raw[NT_PHC_RAW_BYTES];
	uint32_t busy = 0;
	int n, err;

	for (;;) {
		n = nt_phc_request(method, n_samples, clockid, raw);
		if (n < 0)
			return n;
		if (!ioctl(fd, (unsigned long)nt_phc_ioctl(method), raw))
			break;
		if (errno == EBUSY && busy < BUSY_TRIES) {
			busy++;
			nanosleep(&pause, NULL);
		} else if (errno == EINVAL && clockid != CLOCK_REALTIME) {
			clockid = CLOCK_REALTIME;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	err = nt_phc_parse(method, raw, (uint32_t)n, ret);
	if (err)
		return err;
	if (method != NT_PHC_EXTENDED)
		ret->clockid = CLOCK_REALTIME;
	ret->busy = busy;
	read_realtime(ret);
	return 0;
}

int nt_phc_gettime(int fd, int64_t *ns)
{
	struct timespec ts;

	if (fd < 0)
		return -EBADF;
	if (clock_gettime((clockid_t)((~(unsigned int)fd << 3) | 3), &ts))
		return -errno;
	*ns = ts.tv_sec * 1000000000LL + ts.tv_nsec;
	return 0;
}

static int set_name(struct ifreq *ifr, const char *ifname)
{
	memset(ifr, 0, sizeof(*ifr));
	if (!*ifname || strlen(ifname) >= sizeof(ifr->ifr_name))
		return -ENODEV;
	memcpy(ifr->ifr_name, ifname, strlen(ifname));
	return 0;
}

/* An ioctl of an interface by its name, with *data for the kernel to read and fill. */
static int if_ioctl(const char *ifname, unsigned long request, void *data)
{
	struct ifreq ifr;
	int fd, err = set_name(&ifr, ifname);

	if (err)
		return err;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* A kernel without IPv4 answers it on a netlink socket too. */
	if (fd < 0)
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 16);
	if (fd < 0)
		return -errno;
	ifr.ifr_data = data;
	err = ioctl(fd, request, &ifr) ? -errno : 0;
	close(fd);
	return err;
}

int nt_ts_info(const char *ifname, struct nt_ts_info *ret)
{
	struct ethtool_drvinfo driver = { .cmd = ETHTOOL_GDRVINFO };
	uint8_t raw[TS_INFO_BYTES] = { 0 };
	const uint32_t cmd = ETHTOOL_GET_TS_INFO;
	int err;

	memcpy(raw, &cmd, sizeof(cmd));
	err = if_ioctl(ifname, SIOCETHTOOL, raw);
	if (err)
		return err;
	nt_ts_info_parse(raw, sizeof(raw), ret);
	if (!if_ioctl(ifname, SIOCETHTOOL, &driver))
		memcpy(ret->driver, driver.driver, sizeof(ret->driver) - 1);
	return 0;
}

int nt_hwtstamp_get(const char *ifname, struct nt_hwtstamp *ret)
{
	struct hwtstamp_config config = { 0 };
	int err = if_ioctl(ifname, SIOCGHWTSTAMP, &config);

	/* Drivers without it say so in several ways. */
	if (err == -ENOTTY || err == -EINVAL)
		return -EOPNOTSUPP;
	if (err)
		return err;
	ret->flags = config.flags;
	ret->tx_type = config.tx_type;
	ret->rx_filter = config.rx_filter;
	return 0;
}

int nt_hwtstamp_set(const char *ifname, struct nt_hwtstamp *inout)
{
	struct hwtstamp_config config = {
		.flags = inout->flags,
		.tx_type = inout->tx_type,
		.rx_filter = inout->rx_filter,
	};
	int err = if_ioctl(ifname, SIOCSHWTSTAMP, &config);

	if (err)
		return err;
	inout->flags = config.flags;
	inout->tx_type = config.tx_type;
	inout->rx_filter = config.rx_filter;
	return 0;
}

int nt_timex(struct nt_timex *ret)
{
	struct timex tx = { .modes = 0 };
	int state = adjtimex(&tx);

	if (state < 0)
		return -errno;
	*ret = (struct nt_timex){
		.tai_s = tx.tai,
		.status = tx.status,
		.state = state,
		.max_error_us = tx.maxerror,
		.est_error_us = tx.esterror,
		.freq_scaled_ppm = tx.freq,
	};
	return 0;
}
