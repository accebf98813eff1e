// SPDX-License-Identifier: MIT
/*
 * `attach OBJECT [CGROUP]`: loads and attaches all programs of a BPF object until standard input
 * ends; those of sockops to the cgroup, and those of iterators run once.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int run_once(struct bpf_link *link)
{
	int fd = bpf_iter_create(bpf_link__fd(link));
	char buf[4096];

	if (fd < 0)
		return fd;
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	return close(fd);
}

int main(int argc, char **argv)
{
	struct bpf_object *object = argc > 1 ? bpf_object__open(argv[1]) : NULL;
	int cgroup = argc > 2 ? open(argv[2], O_RDONLY | O_DIRECTORY) : -1;
	struct bpf_program *program;

	if (!object || bpf_object__load(object))
		return 1;
	bpf_object__for_each_program(program, object)
	{
		bool ops = bpf_program__type(program) == BPF_PROG_TYPE_SOCK_OPS;
		struct bpf_link *link = ops ? bpf_program__attach_cgroup(program, cgroup) :
					      bpf_program__attach(program);

		if (!link)
			return 1;
		if (!strncmp(bpf_program__section_name(program), "iter/", 5) && run_once(link))
			return 1;
	}
	puts("attached");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
