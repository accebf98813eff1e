// SPDX-License-Identifier: GPL-2.0
/*
 * A pair of network devices, ts0 and ts1, joined like veth. Each has a hardware clock of its own with
 * a known offset and frequency error, and stamps every packet with it: the known answer for tests of
 * hardware stamps. Never for use.
 */
#include <linux/ethtool.h>
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/net_tstamp.h>
#include <linux/netdevice.h>
#include <linux/ptp_clock_kernel.h>
#include <linux/timekeeping.h>
#include <linux/version.h>

static long phc_offset_ns[2];
module_param_array(phc_offset_ns, long, NULL, 0444);
MODULE_PARM_DESC(phc_offset_ns, "each clock minus CLOCK_REALTIME when the module is loaded");
static long phc_ppb[2];
module_param_array(phc_ppb, long, NULL, 0444);
MODULE_PARM_DESC(phc_ppb, "how much too fast each clock runs");
static long set_within_ns[2];
module_param_array(set_within_ns, long, NULL, 0444);
MODULE_PARM_DESC(set_within_ns, "out: how exactly each clock could be set");

static int lose_tx;
module_param(lose_tx, int, 0644);
MODULE_PARM_DESC(lose_tx, "one transmit stamp in so many is lost; 0: none");
static int lose_rx;
module_param(lose_rx, int, 0644);
MODULE_PARM_DESC(lose_rx, "one receive stamp in so many is lost; 0: none");
static int tx_late_ns;
module_param(tx_late_ns, int, 0644);
MODULE_PARM_DESC(tx_late_ns, "a packet leaves so much later than the driver hands it over");
static bool no_cross;
module_param(no_cross, bool, 0444);
MODULE_PARM_DESC(no_cross, "no PTP_SYS_OFFSET_PRECISE");

struct port {
	struct net_device *dev, *peer;
	struct ptp_clock *clock;
	struct ptp_clock_info info;
	spinlock_t lock; /* of the clock's base */
	u64 base_raw_ns; /* CLOCK_MONOTONIC_RAW at the base */
	s64 base_phc_ns;
	long ppb;
	int tx_type, rx_filter;
	unsigned int tx_stamps, rx_stamps;
};

static struct net_device *devices[2];

/* --- the clock --- */

static s64 phc_at(const struct port *p, u64 raw_ns)
{
	s64 passed = (s64)(raw_ns - p->base_raw_ns);

	/* In two steps: a day times 10^6 ppb stays within 64 bits. */
	return p->base_phc_ns + passed + div_s64(div_s64(passed, 1000) * p->ppb, 1000000);
}

static s64 phc_now(struct port *p)
{
	unsigned long flags;
	s64 ns;

	spin_lock_irqsave(&p->lock, flags);
	ns = phc_at(p, ktime_get_raw_ns());
	spin_unlock_irqrestore(&p->lock, flags);
	return ns;
}

static void set_base(struct port *p, s64 phc_ns)
{
	unsigned long flags;

	spin_lock_irqsave(&p->lock, flags);
	p->base_raw_ns = ktime_get_raw_ns();
	p->base_phc_ns = phc_ns;
	spin_unlock_irqrestore(&p->lock, flags);
}

/*
 * So far from CLOCK_REALTIME, by the narrowest of many pairs of reads around it: a virtual CPU that
 * stood still between two of them would be an error of the clock. Returns half of its width.
 */
static long set_off(struct port *p, s64 offset_ns)
{
	u64 narrowest_ns = U64_MAX;

	for (int i = 0; i < 64; i++) {
		u64 before = ktime_get_raw_ns();
		s64 real_ns = ktime_get_real_ns();
		u64 width_ns = ktime_get_raw_ns() - before;

		if (width_ns >= narrowest_ns)
			continue;
		narrowest_ns = width_ns;
		p->base_raw_ns = before + width_ns / 2;
		p->base_phc_ns = real_ns + offset_ns;
	}
	return (long)(narrowest_ns / 2 + 1);
}

static struct port *port_of(struct ptp_clock_info *info)
{
	return container_of(info, struct port, info);
}

static int clock_gettimex(struct ptp_clock_info *info, struct timespec64 *ts,
			  struct ptp_system_timestamp *around)
{
	s64 ns;

	ptp_read_system_prets(around);
	ns = phc_now(port_of(info));
	ptp_read_system_postts(around);
	*ts = ns_to_timespec64(ns);
	return 0;
}

static int clock_settime(struct ptp_clock_info *info, const struct timespec64 *ts)
{
	set_base(port_of(info), timespec64_to_ns(ts));
	return 0;
}

static int clock_adjtime(struct ptp_clock_info *info, s64 by_ns)
{
	struct port *p = port_of(info);

	set_base(p, phc_now(p) + by_ns);
	return 0;
}

static int clock_adjfine(struct ptp_clock_info *info, long scaled_ppm)
{
	return -EOPNOTSUPP; /* its error is what the tests know */
}

/* What it fills was renamed in 7.3; those kernels are read in windows. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0)
static int clock_cross(struct ptp_clock_info *info, struct system_device_crosststamp *x)
{
	struct system_time_snapshot now = {};
	struct port *p = port_of(info);
	unsigned long flags;

	ktime_get_snapshot(&now);
	spin_lock_irqsave(&p->lock, flags);
	x->device = ns_to_ktime(phc_at(p, ktime_to_ns(now.raw)));
	spin_unlock_irqrestore(&p->lock, flags);
	x->sys_realtime = now.real;
	x->sys_monoraw = now.raw;
	return 0;
}
#else
#define clock_cross NULL
#endif

/* --- packets --- */

static bool is_lost(unsigned int *count, int every)
{
	(*count)++;
	return every && *count % every == 0;
}

static void stamp_tx(struct port *p, struct sk_buff *skb)
{
	struct skb_shared_hwtstamps stamp = {};

	if (!(skb_shinfo(skb)->tx_flags & SKBTX_HW_TSTAMP) || p->tx_type != HWTSTAMP_TX_ON)
		return;
	if (is_lost(&p->tx_stamps, lose_tx))
		return;
	stamp.hwtstamp = ns_to_ktime(phc_now(p) + tx_late_ns);
	skb_shinfo(skb)->tx_flags |= SKBTX_IN_PROGRESS;
	skb_tstamp_tx(skb, &stamp);
}

static netdev_tx_t start_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct port *p = netdev_priv(dev), *to = netdev_priv(p->peer);
	struct sk_buff *copy;

	/* Software first, as drivers do before the packet reaches the wire. */
	skb_tx_timestamp(skb);
	stamp_tx(p, skb);
	copy = skb_copy(skb, GFP_ATOMIC);
	consume_skb(skb);
	if (!copy) {
		dev->stats.tx_dropped++;
		return NETDEV_TX_OK;
	}
	memset(skb_hwtstamps(copy), 0, sizeof(struct skb_shared_hwtstamps));
	if (to->rx_filter != HWTSTAMP_FILTER_NONE && !is_lost(&to->rx_stamps, lose_rx))
		skb_hwtstamps(copy)->hwtstamp = ns_to_ktime(phc_now(to));
	dev->stats.tx_packets++;
	if (dev_forward_skb(p->peer, copy) == NET_RX_SUCCESS)
		p->peer->stats.rx_packets++;
	return NETDEV_TX_OK;
}

static int device_open(struct net_device *dev)
{
	netif_carrier_on(dev);
	netif_start_queue(dev);
	return 0;
}

static int device_stop(struct net_device *dev)
{
	netif_stop_queue(dev);
	netif_carrier_off(dev);
	return 0;
}

/* --- stamping: what is asked for --- */

static int set_stamping(struct port *p, int tx_type, int *rx_filter)
{
	if (tx_type != HWTSTAMP_TX_OFF && tx_type != HWTSTAMP_TX_ON)
		return -ERANGE;
	if (*rx_filter != HWTSTAMP_FILTER_NONE)
		*rx_filter = HWTSTAMP_FILTER_ALL;
	p->tx_type = tx_type;
	p->rx_filter = *rx_filter;
	return 0;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
static int hwtstamp_get(struct net_device *dev, struct kernel_hwtstamp_config *config)
{
	struct port *p = netdev_priv(dev);

	config->flags = 0;
	config->tx_type = p->tx_type;
	config->rx_filter = p->rx_filter;
	return 0;
}

static int hwtstamp_set(struct net_device *dev, struct kernel_hwtstamp_config *config,
			struct netlink_ext_ack *extack)
{
	int rx_filter = config->rx_filter;
	int err = set_stamping(netdev_priv(dev), config->tx_type, &rx_filter);

	config->rx_filter = rx_filter;
	return err;
}
#else
static int device_ioctl(struct net_device *dev, struct ifreq *request, int cmd)
{
	struct port *p = netdev_priv(dev);
	struct hwtstamp_config config = { .tx_type = p->tx_type, .rx_filter = p->rx_filter };
	int err = 0;

	if (cmd == SIOCSHWTSTAMP) {
		if (copy_from_user(&config, request->ifr_data, sizeof(config)))
			return -EFAULT;
		err = set_stamping(p, config.tx_type, &config.rx_filter);
	} else if (cmd != SIOCGHWTSTAMP) {
		return -EOPNOTSUPP;
	}
	if (!err && copy_to_user(request->ifr_data, &config, sizeof(config)))
		err = -EFAULT;
	return err;
}
#endif

static const struct net_device_ops device_ops = {
	.ndo_open = device_open,
	.ndo_stop = device_stop,
	.ndo_start_xmit = start_xmit,
	.ndo_set_mac_address = eth_mac_addr,
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	.ndo_hwtstamp_get = hwtstamp_get,
	.ndo_hwtstamp_set = hwtstamp_set,
#else
	.ndo_eth_ioctl = device_ioctl,
#endif
};

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
static int get_ts_info(struct net_device *dev, struct kernel_ethtool_ts_info *info)
#else
static int get_ts_info(struct net_device *dev, struct ethtool_ts_info *info)
#endif
{
	struct port *p = netdev_priv(dev);

	info->so_timestamping = SOF_TIMESTAMPING_TX_HARDWARE | SOF_TIMESTAMPING_RX_HARDWARE |
				SOF_TIMESTAMPING_RAW_HARDWARE | SOF_TIMESTAMPING_TX_SOFTWARE |
				SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
	info->phc_index = ptp_clock_index(p->clock);
	info->tx_types = BIT(HWTSTAMP_TX_OFF) | BIT(HWTSTAMP_TX_ON);
	info->rx_filters = BIT(HWTSTAMP_FILTER_NONE) | BIT(HWTSTAMP_FILTER_ALL);
	return 0;
}

static const struct ethtool_ops tool_ops = {
	.get_link = ethtool_op_get_link,
	.get_ts_info = get_ts_info,
};

/* --- life --- */

static void setup(struct net_device *dev)
{
	ether_setup(dev);
	dev->netdev_ops = &device_ops;
	dev->ethtool_ops = &tool_ops;
	eth_hw_addr_random(dev);
}

static int add_clock(struct port *p, int i)
{
	spin_lock_init(&p->lock);
	p->ppb = phc_ppb[i];
	set_within_ns[i] = set_off(p, phc_offset_ns[i]);
	p->info = (struct ptp_clock_info){
		.owner = THIS_MODULE,
		.max_adj = 1000000,
		.gettimex64 = clock_gettimex,
		.settime64 = clock_settime,
		.adjtime = clock_adjtime,
		.adjfine = clock_adjfine,
		.getcrosststamp = no_cross ? NULL : clock_cross,
	};
	snprintf(p->info.name, sizeof(p->info.name), "tsnic%d", i);
	p->clock = ptp_clock_register(&p->info, NULL);
	if (IS_ERR(p->clock)) {
		int err = PTR_ERR(p->clock);

		p->clock = NULL;
		return err;
	}
	return 0;
}

static void tsnic_exit(void)
{
	for (int i = 0; i < 2; i++) {
		struct port *p = devices[i] ? netdev_priv(devices[i]) : NULL;

		if (!p)
			continue;
		if (devices[i]->reg_state == NETREG_REGISTERED)
			unregister_netdev(devices[i]);
		if (p->clock)
			ptp_clock_unregister(p->clock);
	}
	for (int i = 0; i < 2; i++)
		if (devices[i])
			free_netdev(devices[i]);
}

static int __init tsnic_init(void)
{
	int err = -ENOMEM;

	for (int i = 0; i < 2; i++) {
		devices[i] = alloc_netdev(sizeof(struct port), "ts%d", NET_NAME_ENUM, setup);
		if (!devices[i])
			goto fail;
	}
	for (int i = 0; i < 2; i++) {
		struct port *p = netdev_priv(devices[i]);

		p->dev = devices[i];
		p->peer = devices[!i];
		err = add_clock(p, i);
		if (err)
			goto fail;
		err = register_netdev(devices[i]);
		if (err)
			goto fail;
		netif_carrier_off(devices[i]);
	}
	return 0;
fail:
	tsnic_exit();
	return err;
}

module_init(tsnic_init);
module_exit(tsnic_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("pair of network devices with hardware clocks, for tests");
