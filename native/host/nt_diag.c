// SPDX-License-Identifier: MIT
/* Dumps and look-ups over NETLINK_SOCK_DIAG, see sock_diag(7); what is read goes to nt_apply(). */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nt_engine.h"

#define RECV_BYTES 65536
#define ALL_EXTENSIONS 0xff
#define PROTO_MPTCP 262	    /* IPPROTO_MPTCP, too new for some headers */
#define REQ_ATTR_PROTOCOL 3 /* INET_DIAG_REQ_PROTOCOL */
#define MAX_TRIES 3
#define MAX_LOSSES 32 /* ENOBUFS in one dump, before it is taken for an answer */
/* Each request for a module that is not there makes the kernel start modprobe. */
#define ASK_AGAIN_NS 30000000000ULL

/* A request of either form; an attribute follows the form at its own length. */
struct request {
	struct nlmsghdr h;
	union {
		struct inet_diag_req_v2 v2;
		struct inet_diag_req v1;
		uint8_t bytes[sizeof(struct inet_diag_req_v2) + 8];
	} u;
};

static int send_bytes(int fd, const void *bytes, size_t n)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	for (;;) {
		if (sendto(fd, bytes, n, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

static int send_dump(struct nt_engine *e, struct nt_job *job)
{
	struct request q = { 0 };
	size_t n;

	q.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	q.h.nlmsg_seq = job->seq = ++e->seq;
	if (job->proto == NT_PROTO_TCP && !job->family) {
		/* The legacy request walks IPv4 and IPv6 at once. */
		q.h.nlmsg_type = TCPDIAG_GETSOCK;
		q.u.v1.idiag_family = AF_INET;
		q.u.v1.idiag_ext = ALL_EXTENSIONS;
		q.u.v1.idiag_states = e->config.tcp_states;
		n = sizeof(q.u.v1);
	} else {
		q.h.nlmsg_type = SOCK_DIAG_BY_FAMILY;
		q.u.v2.sdiag_family = job->family;
		q.u.v2.idiag_ext = ALL_EXTENSIONS;
		q.u.v2.idiag_states = job->proto == NT_PROTO_UDP   ? 0xffffffffU :
				      job->proto == NT_PROTO_MPTCP ? e->mptcp_states :
								     e->config.tcp_states;
		q.u.v2.sdiag_protocol = job->proto == NT_PROTO_UDP ? IPPROTO_UDP :
					job->proto == NT_PROTO_TCP ? IPPROTO_TCP :
								     0;
		n = sizeof(q.u.v2);
		if (job->proto == NT_PROTO_MPTCP) {
			struct nlattr a = { .nla_len = 8, .nla_type = REQ_ATTR_PROTOCOL };
			uint32_t proto = PROTO_MPTCP;

			memcpy(q.u.bytes + n, &a, sizeof(a));
			memcpy(q.u.bytes + n + sizeof(a), &proto, 4);
			n += a.nla_len;
		}
	}
	q.h.nlmsg_len = (uint32_t)NLMSG_LENGTH(n);
	job->sent = true;
	job->overrun = false;
	return send_bytes(e->ns[job->ns].diag_fd, &q, q.h.nlmsg_len);
}

static int add_job(struct nt_engine *e, uint32_t ns, uint8_t proto, uint8_t family)
{
	struct nt_job *jobs = realloc(e->jobs, (e->n_jobs + 1UL) * sizeof(*jobs));

	if (!jobs)
		return -ENOMEM;
	e->jobs = jobs;
	e->jobs[e->n_jobs++] = (struct nt_job){ .ns = ns, .proto = proto, .family = family };
	return 0;
}

static int add_both(struct nt_engine *e, uint32_t ns, uint8_t proto)
{
	int err = add_job(e, ns, proto, AF_INET);

	return err ? err : add_job(e, ns, proto, AF_INET6);
}

/* The head of what was just read of a dump. */
static struct nt_section head_of(const struct nt_engine *e, enum nt_section_kind kind,
				 uint32_t bytes, const struct nt_job *job)
{
	return (struct nt_section){ .at_ns = nt_clock_ns(CLOCK_MONOTONIC),
				    .kind = kind,
				    .bytes = bytes,
				    .netns = e->ns[job->ns].netns,
				    .arg = job->proto | (uint32_t)job->family << 8 };
}

/* Says how a dump ended; the lock is held. */
static void end_dump(struct nt_engine *e, const struct nt_job *job, enum nt_dump_how how, int error)
{
	struct nt_dump_end end = { .error = error, .how = how, .truncated = job->truncated };
	struct nt_section head = head_of(e, NT_S_DUMP, sizeof(end), job);

	nt_apply(e, &head, (const uint8_t *)&end);
}

/* Whether a protocol is to be dumped now; if not for want of a module, it counts as failed. */
static bool may_ask(struct nt_engine *e, uint32_t ns, uint8_t proto, uint32_t wanted)
{
	if (!wanted)
		return false;
	if (e->now_ns >= e->ns[ns].ask_again_ns[proto])
		return true;
	end_dump(e, &(struct nt_job){ .ns = ns, .proto = proto }, NT_DUMP_ENDED, ENOENT);
	return false;
}

int nt_sweep_begin(struct nt_engine *e)
{
	uint64_t cpu = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	int err = 0;

	pthread_mutex_lock(&e->lock);
	struct nt_sweep_head sweep = { .roll_ms = e->config.roll_ms, .netns = e->n_ns };

	e->begin_wall_ns = nt_clock_ns(CLOCK_MONOTONIC);
	e->cpu_ns = 0;
	nt_apply(e,
		 &(struct nt_section){
			 .at_ns = e->begin_wall_ns, .kind = NT_S_SWEEP, .bytes = sizeof(sweep) },
		 (const uint8_t *)&sweep);
	e->n_jobs = e->job = 0;
	/*
	 * For MPTCP's listeners the kernel walks all places of TCP's, 0.8 ms a dump. They are
	 * in TCP's dump too, as the listeners of their first subflow.
	 */
	e->mptcp_states = e->config.tcp_states;
	if (!e->config.rows_all && !e->config.listen_only && !e->filter_has_states)
		e->mptcp_states &= ~(1U << NT_TCP_LISTEN);
	for (uint32_t i = 0; i < e->n_ns && !err; i++) {
		if (may_ask(e, i, NT_PROTO_TCP, e->config.tcp_states)) {
			if (e->ns[i].no_legacy)
				err = add_both(e, i, NT_PROTO_TCP);
			else
				err = add_job(e, i, NT_PROTO_TCP, 0);
		}
		/* IPv6 sockets carry IPv4-mapped traffic too. */
		if (!err && may_ask(e, i, NT_PROTO_UDP, e->config.udp))
			err = e->config.family == AF_INET6 ? add_job(e, i, NT_PROTO_UDP, AF_INET6) :
							     add_both(e, i, NT_PROTO_UDP);
		if (!err && may_ask(e, i, NT_PROTO_MPTCP, e->config.mptcp))
			err = add_both(e, i, NT_PROTO_MPTCP);
	}
	pthread_mutex_unlock(&e->lock);
	e->cpu_ns += nt_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	return err;
}

/* The dump ended: on to the next, or once more if messages were lost. The lock is held. */
static void finish_job(struct nt_engine *e, struct nt_job *job, int result)
{
	struct nt_ns *ns = &e->ns[job->ns];

	if (job->overrun && ++job->tries < MAX_TRIES) {
		end_dump(e, job, NT_DUMP_AGAIN, 0);
		job->sent = false;
		return;
	}
	if (result < 0 && job->proto == NT_PROTO_TCP && !job->family) {
		/* Perhaps only this form is refused. */
		struct nt_job v6 = { .ns = job->ns, .proto = NT_PROTO_TCP, .family = AF_INET6 };

		end_dump(e, job, NT_DUMP_INSTEAD, 0);
		job->family = AF_INET;
		job->instead = true;
		job->sent = false;
		job->tries = 0;
		/* This may move the jobs. */
		if (add_job(e, v6.ns, v6.proto, v6.family))
			end_dump(e, &v6, NT_DUMP_INSTEAD, ENOMEM);
		return;
	}
	e->job++;
	if (result < 0 || job->overrun) {
		end_dump(e, job, NT_DUMP_ENDED, result < 0 ? -result : ENOBUFS);
	} else {
		end_dump(e, job, NT_DUMP_ENDED, 0);
		if (job->instead)
			ns->no_legacy = true;
	}
	if (result == -ENOENT)
		ns->ask_again_ns[job->proto] = e->now_ns + ASK_AGAIN_NS;
}

/* The rest of an earlier dump. */
static bool is_stale(const struct nt_job *job, const uint8_t *bytes, size_t n)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)bytes;

	return n >= sizeof(*h) && h->nlmsg_seq != job->seq;
}

/* One read of the running dump. Returns 0, or 1 when all dumps are done. */
static int read_once(struct nt_engine *e)
{
	if (e->job >= e->n_jobs)
		return 1;
	struct nt_job *job = &e->jobs[e->job];
	int fd = e->ns[job->ns].diag_fd;
	int err = job->sent ? 0 : send_dump(e, job);
	ssize_t n = err ? 0 : recv(fd, e->buf, RECV_BYTES, MSG_TRUNC);

	if (!err && n < 0) {
		err = -errno;
		if (err == -EINTR)
			return 0;
		if (err == -ENOBUFS && ++job->losses < MAX_LOSSES) {
			job->overrun = true;
			return 0;
		}
	}
	if (!err && n > 0 && is_stale(job, e->buf, (size_t)n))
		return 0;
	pthread_mutex_lock(&e->lock);
	if (err || !n) {
		finish_job(e, job, err ? err : -EPROTO);
		pthread_mutex_unlock(&e->lock);
		return 0;
	}
	if (n > RECV_BYTES) {
		job->truncated++;
		job->overrun = true;
		n = RECV_BYTES;
	}
	struct nt_section head = head_of(e, NT_S_DIAG, (uint32_t)n, job);
	int done = nt_apply(e, &head, e->buf);

	if (done)
		finish_job(e, job, done);
	pthread_mutex_unlock(&e->lock);
	return 0;
}

int nt_sweep_step(struct nt_engine *e, uint32_t reads)
{
	uint64_t cpu = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	int done = 0;

	for (uint32_t i = 0; i < reads && !done; i++)
		done = read_once(e);
	e->cpu_ns += nt_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	return !done;
}

int nt_sweep_end(struct nt_engine *e, struct nt_totals *ret)
{
	uint64_t cpu = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID);

	pthread_mutex_lock(&e->lock);
	for (; e->job < e->n_jobs; e->job++)
		end_dump(e, &e->jobs[e->job], NT_DUMP_ENDED, ECANCELED);
	struct nt_section head = { .at_ns = nt_clock_ns(CLOCK_MONOTONIC), .kind = NT_S_SWEPT };

	nt_apply(e, &head, NULL);
	e->last.wall_ns = head.at_ns - e->begin_wall_ns;
	e->last.cpu_ns = e->cpu_ns + nt_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	*ret = e->last;
	pthread_mutex_unlock(&e->lock);
	return 0;
}

/* --- exact look-ups --- */

#define BATCH 32

static void fill_lookup(struct request *q, const struct nt_rec *rec, uint32_t seq)
{
	struct inet_diag_req_v2 *r = &q->u.v2;

	memset(q, 0, sizeof(*q));
	q->h.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	q->h.nlmsg_flags = NLM_F_REQUEST;
	q->h.nlmsg_seq = seq;
	q->h.nlmsg_len = (uint32_t)NLMSG_LENGTH(sizeof(*r));
	r->sdiag_family = rec->family;
	r->sdiag_protocol = rec->proto == NT_PROTO_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	r->idiag_ext = ALL_EXTENSIONS;
	r->idiag_states = 0xffffffffU;
	r->id.idiag_sport = htons(rec->sport);
	r->id.idiag_dport = htons(rec->dport);
	memcpy(r->id.idiag_src, rec->src, 16);
	memcpy(r->id.idiag_dst, rec->dst, 16);
	r->id.idiag_if = rec->ifindex;
	r->id.idiag_cookie[0] = (uint32_t)rec->cookie;
	r->id.idiag_cookie[1] = (uint32_t)(rec->cookie >> 32);
}

static int lookup_batch(struct nt_engine *e, const struct nt_ns *ns, const struct nt_rec *recs,
			uint32_t n)
{
	struct request *q = calloc(n, NLMSG_ALIGN(sizeof(*q)));
	uint8_t *buf = malloc(8192);
	uint32_t first = e->seq + 1, answers = 0;
	int found = 0;

	if (!q || !buf) {
		free(q);
		free(buf);
		return -ENOMEM;
	}
	size_t each = NLMSG_LENGTH(sizeof(struct inet_diag_req_v2));

	for (uint32_t i = 0; i < n; i++)
		fill_lookup((struct request *)((uint8_t *)q + i * NLMSG_ALIGN(each)), &recs[i],
			    ++e->seq);
	int err = send_bytes(ns->lookup_fd, q, n * NLMSG_ALIGN(each));

	while (!err && answers < n) {
		ssize_t got = recv(ns->lookup_fd, buf, 8192, MSG_TRUNC);

		if (got < 0 && errno == EINTR)
			continue;
		/* What was not read is refreshed by the next dump; the count says how many were. */
		if (got < (ssize_t)sizeof(struct nlmsghdr) || got > 8192)
			break;
		struct nlmsghdr *h = (struct nlmsghdr *)buf;
		uint32_t which = h->nlmsg_seq - first;

		if (which >= n)
			continue;
		answers++;
		if (h->nlmsg_type == NLMSG_ERROR)
			continue; /* it is gone: the next dump will say so */
		pthread_mutex_lock(&e->lock);
		nt_apply(e,
			 &(struct nt_section){ .at_ns = nt_clock_ns(CLOCK_MONOTONIC),
					       .kind = NT_S_LOOKUP,
					       .bytes = (uint32_t)got,
					       .netns = ns->netns,
					       .arg = recs[which].proto },
			 buf);
		pthread_mutex_unlock(&e->lock);
		found++;
	}
	free(q);
	free(buf);
	return err ? err : found;
}

int nt_lookup(struct nt_engine *e, const uint64_t *cookies, uint32_t n)
{
	struct nt_rec recs[BATCH];
	int total = 0;

	for (uint32_t k = 0; k < e->n_ns; k++) {
		uint32_t m = 0;

		if (e->ns[k].lookup_fd < 0)
			continue;
		for (uint32_t j = 0; j <= n; j++) {
			if (j < n) {
				pthread_mutex_lock(&e->lock);
				uint32_t i = nt_table_find(&e->table, cookies[j]);
				struct nt_rec room;
				const struct nt_rec *rec = i == NT_NONE ?
								   NULL :
								   nt_rec_read(&e->table, i, &room);

				if (rec && rec->netns == e->ns[k].netns &&
				    rec->proto != NT_PROTO_MPTCP)
					recs[m++] = *rec;
				pthread_mutex_unlock(&e->lock);
			}
			if (m == BATCH || (j == n && m)) {
				int got = lookup_batch(e, &e->ns[k], recs, m);

				if (got < 0)
					return got;
				total += got;
				m = 0;
			}
		}
	}
	return total;
}
