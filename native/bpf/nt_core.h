/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's types as far as nettop's programs read them. Every member is
 * found in the running kernel's BTF (CO-RE), so order and holes do not matter here.
 */
#ifndef NT_CORE_H
#define NT_CORE_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include <bpf/bpf_core_read.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;
typedef __s64 s64;

enum { NT_AF_INET = 2, NT_AF_INET6 = 10, NT_IPPROTO_TCP = 6, NT_IPPROTO_UDP = 17 };
enum {
	NT_TCP_ESTABLISHED = 1,
	NT_TCP_SYN_SENT = 2,
	NT_TCP_SYN_RECV = 3,
	NT_TCP_FIN_WAIT1 = 4,
	NT_TCP_TIME_WAIT = 6,
	NT_TCP_CLOSE = 7,
	NT_TCP_CLOSE_WAIT = 8,
	NT_TCP_LISTEN = 10,
	NT_TCP_NEW_SYN_RECV = 12
};
enum { NT_SOCK_STREAM = 1, NT_SOCK_DGRAM = 2 };
enum { NT_MSG_PEEK = 2, NT_MSG_ERRQUEUE = 0x2000, NT_RCV_SHUTDOWN = 1 };
enum { NT_SOCK_URGINLINE = 2 }; /* enum sock_flags */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

typedef struct {
	s64 counter;
} atomic64_t;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	unsigned long skc_flags;
	atomic64_t skc_cookie; /* 0 until it is first requested */
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sk_buff_head {
	u32 qlen;
};

struct socket;

typedef struct {
	int owned; /* a task is inside a call on the socket */
} socket_lock_t;

typedef struct {
	u32 val;
} kuid_t;

struct sock {
	struct sock_common __sk_common;
	struct sk_buff_head sk_receive_queue;
	u8 sk_shutdown;
	struct socket *sk_socket; /* NULL until accept() */
	u16 sk_protocol;
	u16 sk_type;
	int sk_err;
	u32 sk_tsflags;
	u8 sk_bpf_cb_flags; /* Linux 6.15 */
	u32 sk_ack_backlog;
	u32 sk_max_ack_backlog;
	int sk_rcvlowat;
	int sk_sndbuf;
	int sk_wmem_queued;
	struct {
		struct {
			int counter;
		} refs;
	} sk_wmem_alloc; /* bytes of buffers that no driver has done with, and 1 */
	kuid_t sk_uid;
	socket_lock_t sk_lock;
};

struct inet_sock {
	__be16 inet_sport;
};

struct inet_connection_sock {
	u8 icsk_ca_state : 5;
	u8 icsk_retransmits;
	u8 icsk_pending;
	struct {
		u16 rcv_mss;
	} icsk_ack;
};

struct minmax_sample {
	u32 v;
};

struct minmax {
	struct minmax_sample s[3];
};

struct tcp_sock {
	u32 rcv_nxt;
	u32 copied_seq;
	u32 rcv_wup;
	u32 rcv_wnd;
	u32 urg_seq;
	u16 urg_data;
	u32 snd_una;
	u32 snd_nxt;
	u32 write_seq;
	u32 srtt_us;
	u32 mdev_us;
	u32 snd_cwnd;
	u32 total_retrans;
	u32 lost_out;
	u64 bytes_sent;
	u64 bytes_acked;
	u64 bytes_received;
	u64 bytes_retrans;
	u32 segs_out, segs_in;
	u32 data_segs_out, data_segs_in;
	u32 lost; /* ever marked so */
	u32 delivered, delivered_ce;
	u32 snd_ssthresh;
	u32 mss_cache;
	u32 reord_seen;
	u32 dsack_dups;
	u32 rcv_ooopack;
	u32 notsent_lowat;
	struct minmax rtt_min;
};

struct socket {
	struct sock *sk;
};

struct request_sock {
	struct sock_common __req_common;
	u8 num_retrans;
};

struct task_struct {
	unsigned int flags;
	struct task_struct *group_leader;
	char comm[16];
};

struct udp_sock {
	struct sk_buff_head reader_queue;
};

struct net_device {
	int ifindex;
	char name[16];
	possible_net_t nd_net;
};

struct sk_buff {
	struct sk_buff *next;
	struct sock *sk;
	struct net_device *dev;
	int skb_iif; /* device that it came in by; 0: made here */
	unsigned char *head;
	unsigned char *data;
	unsigned int len;
	unsigned int end;
	unsigned int truesize;
	u16 mac_header; /* not set before a device has it */
	u16 transport_header;
	u16 network_header;
	__be16 protocol;
	char cb[48];
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	u64 session_id;
	u64 seq_num;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

struct bpf_iter__udp {
	struct bpf_iter_meta *meta;
	struct udp_sock *udp_sk;
};

struct bpf_map;

struct file;

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};

#pragma clang attribute pop

/* The socket that a program holds by a file; NULL: it is none. */
static __always_inline struct sock *nt_sock_of(struct file *file)
{
	struct socket *socket = file ? bpf_sock_from_file(file) : NULL;

	return socket ? socket->sk : NULL;
}

/*
 * Read as a number: for each load of a pointer out of a trusted one the verifier looks names up
 * among all of the kernel's types, for milliseconds.
 */
static __always_inline u32 nt_netns_of(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

#endif
