/* SPDX-License-Identifier: MIT */
/*
 * A user directory that answers late: after SECONDS it knows uid N as "dirN", N from 50000 to
 * 59999, and nobody else. Each question is a line in LOG: its kind and the thread that asks.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void wait_for_it(const char *kind)
{
	char line[80];
	int fd = open(LOG, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	int n = snprintf(line, sizeof(line), "%s %s\n", kind,
			 syscall(SYS_gettid) == getpid() ? "main" : "aside");

	if (fd >= 0 && write(fd, line, (size_t)n) < 0)
		abort();
	close(fd);
	usleep(SECONDS * 1000000);
}

static enum nss_status fill(uid_t uid, struct passwd *pw, char *buf, size_t len)
{
	if (len < 16)
		return NSS_STATUS_TRYAGAIN;
	snprintf(buf, len, "dir%u", uid);
	*pw = (struct passwd){ .pw_name = buf, .pw_passwd = "x", .pw_uid = uid, .pw_gid = uid,
			       .pw_gecos = "", .pw_dir = "/", .pw_shell = "/bin/sh" };
	return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_slow_getpwuid_r(uid_t uid, struct passwd *pw, char *buf, size_t len, int *err)
{
	(void)err;
	wait_for_it("uid");
	return uid < 50000 || uid > 59999 ? NSS_STATUS_NOTFOUND : fill(uid, pw, buf, len);
}

enum nss_status _nss_slow_getpwnam_r(const char *name, struct passwd *pw, char *buf, size_t len,
				     int *err)
{
	(void)err;
	wait_for_it("name");
	if (strncmp(name, "dir5", 4) != 0)
		return NSS_STATUS_NOTFOUND;
	return fill((uid_t)atoi(name + 3), pw, buf, len);
}

enum nss_status _nss_slow_getgrgid_r(gid_t gid, struct group *gr, char *buf, size_t len, int *err)
{
	(void)gid, (void)gr, (void)buf, (void)len, (void)err;
	wait_for_it("gid");
	return NSS_STATUS_NOTFOUND;
}

enum nss_status _nss_slow_initgroups_dyn(const char *user, gid_t gid, long *start, long *size,
					 gid_t **groups, long limit, int *err)
{
	(void)user, (void)gid, (void)start, (void)size, (void)groups, (void)limit, (void)err;
	wait_for_it("groups");
	return NSS_STATUS_NOTFOUND;
}

enum nss_status _nss_slow_gethostbyname4_r(const char *name, struct gaih_addrtuple **pat, char *buf,
					   size_t len, int *err, int *herr, int32_t *ttl)
{
	(void)name, (void)pat, (void)buf, (void)len, (void)err, (void)ttl;
	wait_for_it("host");
	*herr = HOST_NOT_FOUND;
	return NSS_STATUS_NOTFOUND;
}
