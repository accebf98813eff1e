/* --- clocks: NICs' stamping and PTP hardware clocks (nt_clocks.c, nt_clocks_parse.c) --- */

/* How a PHC and the system clock are read together, best first. */
enum nt_phc_method {
	NT_PHC_PRECISE = 0,  /* both stamped by the hardware */
	NT_PHC_EXTENDED = 1, /* the system clock around the register read */
	NT_PHC_BASIC = 2,    /* the system clock around the driver's call */
};

enum {
	NT_PHC_SAMPLES_MAX = 25,
	NT_PHC_RAW_BYTES = 1216, /* the largest of the three requests */
	NT_IFNAME_BYTES = 16,
};

/* struct ptp_clock_caps; what this kernel does not know is 0. */
struct nt_phc_caps {
	int32_t max_adj_ppb;
	int32_t n_alarm;
	int32_t n_ext_ts;
	int32_t n_per_out;
	int32_t pps;
	int32_t n_pins;
	int32_t cross_timestamping; /* PRECISE works */
	int32_t adjust_phase;
	int32_t max_phase_adj_ns;
};

/* The PHC was read somewhere in the window from sys_ns to sys_ns + width_ns of the system clock. */
struct nt_phc_sample {
	int64_t sys_ns;
	int64_t phc_ns;
	uint64_t width_ns; /* 0 from PRECISE */
};

/* Several samples in a row, and where CLOCK_REALTIME stood against CLOCK_MONOTONIC then. */
struct nt_phc_read {
	int64_t realtime_minus_mono_ns;
	uint64_t realtime_minus_mono_width_ns; /* of its own window */
	uint32_t n;			       /* of samples */
	uint32_t unusable; /* samples that held no time, or were torn by a step */
	uint32_t busy;	   /* times that the driver was busy */
	int32_t clockid;   /* of sys_ns; CLOCK_REALTIME where the kernel knows no other */
	struct nt_phc_sample samples[25];
};

/* ETHTOOL_GET_TS_INFO and ETHTOOL_GDRVINFO. */
struct nt_ts_info {
	uint32_t so_timestamping; /* SOF_TIMESTAMPING_* */
	int32_t phc_index;	  /* -1: none */
	uint32_t tx_types;	  /* bit 1 << HWTSTAMP_TX_* */
	uint32_t rx_filters;	  /* bit 1 << HWTSTAMP_FILTER_* */
	char driver[32];	  /* empty: it does not say */
};

/* struct hwtstamp_config */
struct nt_hwtstamp {
	int32_t flags;
	int32_t tx_type;
	int32_t rx_filter;
};

/* adjtimex, read only. */
struct nt_timex {
	int32_t tai_s;	/* TAI - UTC; 0: not set in the kernel */
	int32_t status; /* STA_* */
	int32_t state;	/* TIME_* */
	int64_t max_error_us;
	int64_t est_error_us;
	int64_t freq_scaled_ppm; /* ppm << 16 */
};

/* A process that puts a NIC's stamping back when its pipe closes, however the owner ended. */
struct nt_hwtstamp_guard {
	int32_t pid;
	int32_t pipe_fd;
	struct nt_hwtstamp before;
	struct nt_hwtstamp now; /* the driver may stamp more than was asked for */
};

/* Pure: the request of a method. Returns its bytes; ret: NT_PHC_RAW_BYTES. */
int nt_phc_request(uint32_t method, uint32_t n_samples, int32_t clockid, uint8_t *ret);
/* Pure: the kernel's answer, n bytes. Returns 0, or -EBADMSG if it does not fit the method. */
int nt_phc_parse(uint32_t method, const uint8_t *raw, uint32_t n, struct nt_phc_read *ret);
/* Pure: struct ptp_clock_caps. Returns 0 or -EBADMSG. */
int nt_phc_parse_caps(const uint8_t *raw, uint32_t n, struct nt_phc_caps *ret);
/* Pure: struct ethtool_ts_info. Returns 0 or -EBADMSG. */
int nt_ts_info_parse(const uint8_t *raw, uint32_t n, struct nt_ts_info *ret);
/* Pure: the ioctl of a method. */
uint32_t nt_phc_ioctl(uint32_t method);

/* Opens a PHC for reading; a path that is none is not opened: -ENOTTY. Returns the descriptor. */
int nt_phc_open(const char *path, struct nt_phc_caps *ret);
/*
 * Reads it; an EBUSY is tried again up to three times. -EOPNOTSUPP: not by this method. A clockid
 * that the kernel does not know gives way to CLOCK_REALTIME.
 */
int nt_phc_read(int fd, uint32_t method, uint32_t n_samples, int32_t clockid,
		struct nt_phc_read *ret);
/* clock_gettime of a PHC, as CLOCK_* of FD_TO_CLOCKID. */
int nt_phc_gettime(int fd, int64_t *ns);
/* What an interface can stamp. -ENODEV: no such interface. */
int nt_ts_info(const char *ifname, struct nt_ts_info *ret);
/* What it is set to stamp now; -EOPNOTSUPP: the driver has no such setting. */
int nt_hwtstamp_get(const char *ifname, struct nt_hwtstamp *ret);
/* Sets it; *inout is what the driver made of it. Needs CAP_NET_ADMIN. */
int nt_hwtstamp_set(const char *ifname, struct nt_hwtstamp *inout);
int nt_timex(struct nt_timex *ret);

/* Sets what `now` asks for, with a process in charge of putting back what was before. */
int nt_hwtstamp_guard(const char *ifname, struct nt_hwtstamp_guard *inout);
/*
 * Ends it and waits at most 5 s. Returns 0: restored; 1: another program set it since, so it was left
 * alone; -errno of putting it back.
 */
int nt_hwtstamp_unguard(struct nt_hwtstamp_guard *guard);
