/* SPDX-License-Identifier: MIT */
/*
 * A NIC with a hardware clock for programs that are run with this preloaded: /dev/ptp7 and the
 * interface "fake0". What it does is in a file of struct world, shared by all that map it
 * (NT_FAKE_WORLD), so that a test sees what is set after the program is gone.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define DEVICE "/dev/ptp7"
#define NIC "fake0"

struct world {
	int32_t tx_type, rx_filter, flags; /* of the NIC now */
	int32_t sets;			   /* calls of SIOCSHWTSTAMP that changed it */
	int32_t refuse_set;		   /* errno of SIOCSHWTSTAMP */
	int32_t refuse_get;
	int32_t refuse_open;
	int32_t cross_timestamping;
	int32_t refuse_precise, refuse_extended;
	int32_t busy;	   /* so many reads are EBUSY */
	int32_t phc_index; /* of the NIC */
	uint32_t so_timestamping, tx_types, rx_filters;
	int32_t widen_to;  /* rx_filter that the driver makes of any but none */
	int32_t stopped;   /* the PHC shows the same time for ever */
	int32_t reads;	   /* of the PHC, by whatever method */
	int64_t offset_ns; /* PHC minus CLOCK_REALTIME at start */
	int64_t ppb;
	int64_t refuse_all; /* rx_filter all, listed or not */
	int64_t step_after; /* reads; 0: no step */
	int64_t step_ns;
	int64_t window_ns; /* that a read takes */
	int64_t start_ns;
};

static struct world *world;

__attribute__((constructor)) static void map_world(void)
{
	const char *path = getenv("NT_FAKE_WORLD");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		abort();
	world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (world == MAP_FAILED)
		abort();
	close(fd);
}

static int64_t realtime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int64_t phc_at(int64_t real)
{
	int64_t ran = real - world->start_ns;
	int64_t step = world->step_after && world->reads > world->step_after ? world->step_ns : 0;

	if (world->stopped)
		return world->start_ns;
	return real + world->offset_ns + ran * world->ppb / 1000000000 + step;
}

static void put(uint8_t *at, int64_t ns)
{
	int64_t sec = ns / 1000000000;
	uint32_t nsec = (uint32_t)(ns % 1000000000);

	memcpy(at, &sec, 8);
	memcpy(at + 8, &nsec, 4);
	memset(at + 12, 0, 4);
}

static int fail(int number)
{
	errno = number;
	return -1;
}

static int is_phc(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 5);
}

static int phc_ioctl(unsigned long request, uint8_t *raw)
{
	int64_t real = realtime_ns();
	uint32_t n;
	int32_t clockid;

	if ((uint32_t)request == 0x80503d01u) {
		int32_t caps[20] = { 62499999, 0, 2, 1, 1, 4, world->cross_timestamping, 1, 500 };

		memcpy(raw, caps, sizeof(caps));
		return 0;
	}
	if (world->busy > 0) {
		world->busy--;
		return fail(EBUSY);
	}
	switch ((uint32_t)request) {
	case 0xc0403d08u:
		if (world->refuse_precise || !world->cross_timestamping)
			return fail(EOPNOTSUPP);
		world->reads++;
		put(raw, phc_at(real));
		put(raw + 16, real);
		return 0;
	case 0xc4c03d09u:
		if (world->refuse_extended)
			return fail(world->refuse_extended);
		memcpy(&n, raw, 4);
		memcpy(&clockid, raw + 4, 4);
		if (n > 25 || clockid)
			return fail(EINVAL);
		world->reads++;
		for (uint32_t i = 0; i < n; i++) {
			/* The PHC is read at the very end of the window. */
			put(raw + 16 + 48 * i, real);
			real += world->window_ns + 10 * i;
			put(raw + 32 + 48 * i, phc_at(real));
			put(raw + 48 + 48 * i, real);
		}
		return 0;
	case 0x43403d05u:
		memcpy(&n, raw, 4);
		world->reads++;
		put(raw + 16, real);
		for (uint32_t i = 0; i < n; i++) {
			put(raw + 32 + 32 * i, phc_at(real));
			real += world->window_ns;
			put(raw + 48 + 32 * i, real);
		}
		return 0;
	}
	return fail(ENOTTY);
}

static int nic_ioctl(unsigned long request, struct ifreq *ifr)
{
	int32_t *config = (int32_t *)ifr->ifr_data;
	uint32_t cmd;

	switch (request) {
	case SIOCGHWTSTAMP:
		if (world->refuse_get)
			return fail(world->refuse_get);
		config[0] = world->flags;
		config[1] = world->tx_type;
		config[2] = world->rx_filter;
		return 0;
	case SIOCSHWTSTAMP:
		if (world->refuse_set)
			return fail(world->refuse_set);
		if (config[2] == 1 && world->refuse_all)
			return fail(ERANGE);
		world->flags = config[0];
		world->tx_type = config[1];
		if (config[2] && world->widen_to)
			config[2] = world->widen_to;
		world->rx_filter = config[2];
		world->sets++;
		return 0;
	case SIOCETHTOOL:
		memcpy(&cmd, ifr->ifr_data, 4);
		if (cmd == ETHTOOL_GDRVINFO) {
			strcpy(((struct ethtool_drvinfo *)ifr->ifr_data)->driver, "fakenic");
			return 0;
		}
		if (cmd == ETHTOOL_GET_TS_INFO) {
			uint32_t info[11] = { cmd,
					      world->so_timestamping,
					      (uint32_t)world->phc_index,
					      world->tx_types,
					      0,
					      0,
					      0,
					      world->rx_filters };

			memcpy(ifr->ifr_data, info, sizeof(info));
			return 0;
		}
	}
	return fail(EOPNOTSUPP);
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*real)(int, unsigned long, ...);
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "ioctl");
	if ((request >> 8 & 0xff) == '=' && is_phc(fd))
		return phc_ioctl(request, arg);
	if ((request == SIOCGHWTSTAMP || request == SIOCSHWTSTAMP || request == SIOCETHTOOL) &&
	    !strncmp(((struct ifreq *)arg)->ifr_name, NIC, IFNAMSIZ))
		return nic_ioctl(request, arg);
	return real(fd, request, arg);
}

int stat(const char *path, struct stat *st)
{
	static int (*real)(const char *, struct stat *);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "stat");
	return real(strcmp(path, DEVICE) ? path : "/dev/zero", st);
}

ssize_t readlink(const char *path, char *target, size_t n)
{
	static ssize_t (*real)(const char *, char *, size_t);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "readlink");
	/* /dev/zero stands for the PHC. */
	if (!strcmp(path, "/sys/dev/char/1:5/subsystem"))
		return fail(ENOENT);
	return real(path, target, n);
}

int open(const char *path, int flags, ...)
{
	static int (*real)(const char *, int, ...);
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "open");
	if (strcmp(path, DEVICE))
		return real(path, flags, mode);
	if (world->refuse_open)
		return fail(world->refuse_open);
	return real("/dev/zero", flags, mode);
}

struct if_nameindex *if_nameindex(void)
{
	struct if_nameindex *list = calloc(2, sizeof(*list));

	list[0].if_index = 77;
	list[0].if_name = strdup(NIC);
	return list;
}

void if_freenameindex(struct if_nameindex *list)
{
	free(list[0].if_name);
	free(list);
}

unsigned int if_nametoindex(const char *name)
{
	if (!strcmp(name, NIC))
		return 77;
	errno = ENODEV;
	return 0;
}
