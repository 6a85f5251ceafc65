/* rtnl_show.h - netlink messages as text that is equal on every run and machine: interface indexes
 * are names, addresses that the kernel chose are stars, lifetimes are rounded up, and what a
 * machine's settings decide (queue discipline, IPv4 defaults) is left out. */
#ifndef RTNL_SHOW_H
#define RTNL_SHOW_H
#include "driver.h"
#include <linux/fib_rules.h>
#include <linux/genetlink.h>
#include <linux/if_addr.h>
#include <linux/if_addrlabel.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netconf.h>
#include <linux/nexthop.h>

/* ---- text that grows ---- */

static char rt_text[65536];
static size_t rt_used;

HELPER __attribute__((format(printf, 1, 2))) void out(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(rt_text + rt_used, sizeof rt_text - rt_used, format, args);
    va_end(args);
    rt_used = n < 0 || rt_used + n >= sizeof rt_text ? sizeof rt_text - 1 : rt_used + n;
}

/* Prints the text as one line, and begins the next one. */
HELPER void out_line(const char *label)
{
    if (strstr(label, ": ")) {
        fprintf(stderr, "label with a colon: %s\n", label);
        _exit(99);
    }
    rt_text[rt_used] = 0;
    printf("%s: %s\n", label, rt_used ? rt_text : "nothing");
    rt_used = 0;
}

/* ---- what has a name ---- */

static struct { int index; char name[IFNAMSIZ]; } rt_names[32] = { { 1, "lo" } };
static int rt_named = 1;
static unsigned char rt_random[8][6];
static int rt_randoms;

/* The interface's index is shown as this name from now on, also after it was renamed or deleted. */
HELPER int name_index(const char *name)
{
    int index = if_index(name);
    if (!index || rt_named == 32)
        die("name_index");
    rt_names[rt_named].index = index;
    snprintf(rt_names[rt_named++].name, IFNAMSIZ, "%s", name);
    return index;
}

HELPER void out_index(int index)
{
    for (int i = rt_named; i--;)
        if (rt_names[i].index == index) {
            out("%%%s", rt_names[i].name);
            return;
        }
    if (index > 0)
        out("%%other");
    else
        out("%d", index);
}

HELPER void out_address(const unsigned char *a, size_t len)
{
    char text[INET6_ADDRSTRLEN];
    static const unsigned char no[6];
    if (len == 4)
        out("%s", inet_ntop(AF_INET, a, text, sizeof text));
    else if (len == 16 && a[0] == 0xfe && a[1] == 0x80 && memcmp(a + 8, no, 6))
        out("fe80::*");
    else if (len == 16)
        out("%s", inet_ntop(AF_INET6, a, text, sizeof text));
    else
        out("0x%s", hex((char[600]){ 0 }, a, len < 256 ? len : 256));
}

HELPER void out_lifetime(uint32_t seconds)
{
    if (seconds == 0xffffffff)
        out("forever");
    else
        out("%u", (seconds + 9) / 10 * 10);
}

/* Numbers with runs as value*count. */
HELPER void out_u32s(const unsigned char *p, size_t len)
{
    size_t n = len / 4, run;
    out("u32[%zu]", n);
    for (size_t i = 0; i < n; i += run) {
        uint32_t v, w;
        memcpy(&v, p + 4 * i, 4);
        for (run = 1; i + run < n; run++) {
            memcpy(&w, p + 4 * (i + run), 4);
            if (w != v)
                break;
        }
        out("%c%d", i ? ',' : '=', (int)v);
        if (run > 1)
            out("*%zu", run);
    }
}

/* Statistics: which numbers are not 0. */
HELPER void out_counts(const unsigned char *p, size_t len, size_t width)
{
    size_t n = len / width;
    int some = 0;
    out("%zux%zu", n, width);
    for (size_t i = 0; i < n; i++) {
        uint64_t v = 0;
        memcpy(&v, p + width * i, width);
        if (v)
            out("%c[%zu]=%llu", some++ ? ',' : '=', i, (unsigned long long)v);
    }
}

/* ---- attributes ---- */

enum kind { HEX, U8, U16, U32, S32, U64, BE16, BE32, STR, ADR, IDX, FLAG, U32S, UID, LEN, NESTED, COUNT32, COUNT64, MAC, QDISC,
            ADDRCACHE, NEIGHCACHE, ROUTECACHE, IF6CACHE, HOPS, VIA, XU32, NDTCONFIG };

struct attribute { int type; const char *name; enum kind kind; const struct attribute *inside; };

#define END { -1, NULL, HEX, NULL }

static const struct attribute rt_inet_names[] = { { IFLA_INET_CONF, "CONF", LEN, 0 }, END };
static const struct attribute rt_inet6_names[] = {
    { IFLA_INET6_FLAGS, "FLAGS", XU32, 0 }, { IFLA_INET6_CONF, "CONF", U32S, 0 }, { IFLA_INET6_STATS, "STATS", LEN, 0 },
    { IFLA_INET6_CACHEINFO, "CACHEINFO", IF6CACHE, 0 }, { IFLA_INET6_ICMP6STATS, "ICMP6STATS", LEN, 0 },
    { IFLA_INET6_TOKEN, "TOKEN", ADR, 0 }, { IFLA_INET6_ADDR_GEN_MODE, "ADDR_GEN_MODE", U8, 0 },
    { IFLA_INET6_RA_MTU, "RA_MTU", U32, 0 }, END };
static const struct attribute rt_af_names[] = { { AF_INET, "INET", NESTED, rt_inet_names },
                                                { AF_INET6, "INET6", NESTED, rt_inet6_names }, END };
static const struct attribute rt_tun_names[] = {
    { IFLA_TUN_OWNER, "OWNER", U32, 0 }, { IFLA_TUN_GROUP, "GROUP", U32, 0 }, { IFLA_TUN_TYPE, "TYPE", U8, 0 },
    { IFLA_TUN_PI, "PI", U8, 0 }, { IFLA_TUN_VNET_HDR, "VNET_HDR", U8, 0 }, { IFLA_TUN_PERSIST, "PERSIST", U8, 0 },
    { IFLA_TUN_MULTI_QUEUE, "MULTI_QUEUE", U8, 0 }, { IFLA_TUN_NUM_QUEUES, "NUM_QUEUES", U32, 0 },
    { IFLA_TUN_NUM_DISABLED_QUEUES, "NUM_DISABLED_QUEUES", U32, 0 }, END };
static const struct attribute rt_info_names[] = { { IFLA_INFO_KIND, "KIND", STR, 0 }, { IFLA_INFO_DATA, "DATA", NESTED, rt_tun_names },
                                                  END };
static const struct attribute rt_xdp_names[] = { { IFLA_XDP_ATTACHED, "ATTACHED", U8, 0 }, END };
static const struct attribute rt_prop_names[] = { { IFLA_ALT_IFNAME, "ALT_IFNAME", STR, 0 }, END };
static const struct attribute rt_link_names[] = {
    { IFLA_ADDRESS, "ADDRESS", MAC, 0 }, { IFLA_BROADCAST, "BROADCAST", HEX, 0 }, { IFLA_IFNAME, "IFNAME", STR, 0 },
    { IFLA_MTU, "MTU", U32, 0 }, { IFLA_LINK, "LINK", S32, 0 }, { IFLA_QDISC, "QDISC", QDISC, 0 },
    { IFLA_STATS, "STATS", COUNT32, 0 }, { IFLA_MASTER, "MASTER", U32, 0 }, { IFLA_PROTINFO, "PROTINFO", NESTED, rt_inet6_names },
    { IFLA_TXQLEN, "TXQLEN", U32, 0 }, { IFLA_MAP, "MAP", HEX, 0 }, { IFLA_OPERSTATE, "OPERSTATE", U8, 0 },
    { IFLA_LINKMODE, "LINKMODE", U8, 0 }, { IFLA_LINKINFO, "LINKINFO", NESTED, rt_info_names },
    { IFLA_NET_NS_PID, "NET_NS_PID", U32, 0 }, { IFLA_IFALIAS, "IFALIAS", STR, 0 }, { IFLA_NUM_VF, "NUM_VF", U32, 0 },
    { IFLA_STATS64, "STATS64", COUNT64, 0 }, { IFLA_AF_SPEC, "AF_SPEC", NESTED, rt_af_names }, { IFLA_GROUP, "GROUP", U32, 0 },
    { IFLA_EXT_MASK, "EXT_MASK", U32, 0 }, { IFLA_PROMISCUITY, "PROMISCUITY", U32, 0 },
    { IFLA_NUM_TX_QUEUES, "NUM_TX_QUEUES", U32, 0 }, { IFLA_NUM_RX_QUEUES, "NUM_RX_QUEUES", U32, 0 },
    { IFLA_CARRIER, "CARRIER", U8, 0 }, { IFLA_CARRIER_CHANGES, "CARRIER_CHANGES", U32, 0 },
    { IFLA_LINK_NETNSID, "LINK_NETNSID", S32, 0 }, { IFLA_PROTO_DOWN, "PROTO_DOWN", U8, 0 },
    { IFLA_GSO_MAX_SEGS, "GSO_MAX_SEGS", U32, 0 }, { IFLA_GSO_MAX_SIZE, "GSO_MAX_SIZE", U32, 0 },
    { IFLA_XDP, "XDP", NESTED, rt_xdp_names }, { IFLA_EVENT, "EVENT", U32, 0 }, { IFLA_CARRIER_UP_COUNT, "CARRIER_UP_COUNT", U32, 0 },
    { IFLA_CARRIER_DOWN_COUNT, "CARRIER_DOWN_COUNT", U32, 0 }, { IFLA_MIN_MTU, "MIN_MTU", U32, 0 },
    { IFLA_MAX_MTU, "MAX_MTU", U32, 0 }, { IFLA_PROP_LIST, "PROP_LIST", NESTED, rt_prop_names },
    { IFLA_ALT_IFNAME, "ALT_IFNAME", STR, 0 }, { IFLA_PERM_ADDRESS, "PERM_ADDRESS", MAC, 0 },
    { IFLA_PARENT_DEV_NAME, "PARENT_DEV_NAME", STR, 0 }, { IFLA_GRO_MAX_SIZE, "GRO_MAX_SIZE", U32, 0 },
    { IFLA_TSO_MAX_SIZE, "TSO_MAX_SIZE", U32, 0 }, { IFLA_TSO_MAX_SEGS, "TSO_MAX_SEGS", U32, 0 },
    { IFLA_ALLMULTI, "ALLMULTI", U32, 0 }, { 63, "GSO_IPV4_MAX_SIZE", U32, 0 }, { 64, "GRO_IPV4_MAX_SIZE", U32, 0 },
    { 62, "DEVLINK_PORT", HEX, 0 }, { 65, "DPLL_PIN", HEX, 0 }, { 66, "MAX_PACING_OFFLOAD_HORIZON", HEX, 0 }, { 67, "NETNS_IMMUTABLE", U8, 0 },
    { 68, "HEADROOM", U16, 0 }, { 69, "TAILROOM", U16, 0 }, END };
static const struct attribute rt_addr_names[] = {
    { IFA_ADDRESS, "ADDRESS", ADR, 0 }, { IFA_LOCAL, "LOCAL", ADR, 0 }, { IFA_LABEL, "LABEL", STR, 0 },
    { IFA_BROADCAST, "BROADCAST", ADR, 0 }, { IFA_ANYCAST, "ANYCAST", ADR, 0 }, { IFA_CACHEINFO, "CACHEINFO", ADDRCACHE, 0 },
    { IFA_MULTICAST, "MULTICAST", ADR, 0 }, { IFA_FLAGS, "FLAGS", XU32, 0 }, { IFA_RT_PRIORITY, "RT_PRIORITY", U32, 0 },
    { IFA_TARGET_NETNSID, "TARGET_NETNSID", S32, 0 }, { IFA_PROTO, "PROTO", U8, 0 }, END };
static const struct attribute rt_metric_names[] = {
    { RTAX_LOCK, "LOCK", U32, 0 }, { RTAX_MTU, "MTU", U32, 0 }, { RTAX_WINDOW, "WINDOW", U32, 0 }, { RTAX_RTT, "RTT", U32, 0 },
    { RTAX_ADVMSS, "ADVMSS", U32, 0 }, { RTAX_HOPLIMIT, "HOPLIMIT", U32, 0 }, { RTAX_INITCWND, "INITCWND", U32, 0 },
    { RTAX_CC_ALGO, "CC_ALGO", STR, 0 }, END };
static const struct attribute rt_route_names[] = {
    { RTA_DST, "DST", ADR, 0 }, { RTA_SRC, "SRC", ADR, 0 }, { RTA_IIF, "IIF", IDX, 0 }, { RTA_OIF, "OIF", IDX, 0 },
    { RTA_GATEWAY, "GATEWAY", ADR, 0 }, { RTA_PRIORITY, "PRIORITY", U32, 0 }, { RTA_PREFSRC, "PREFSRC", ADR, 0 },
    { RTA_METRICS, "METRICS", NESTED, rt_metric_names }, { RTA_MULTIPATH, "MULTIPATH", HOPS, 0 }, { RTA_FLOW, "FLOW", U32, 0 },
    { RTA_CACHEINFO, "CACHEINFO", ROUTECACHE, 0 }, { RTA_TABLE, "TABLE", U32, 0 }, { RTA_MARK, "MARK", XU32, 0 },
    { RTA_VIA, "VIA", VIA, 0 }, { RTA_PREF, "PREF", U8, 0 }, { RTA_EXPIRES, "EXPIRES", U32, 0 }, { RTA_UID, "UID", UID, 0 },
    { RTA_TTL_PROPAGATE, "TTL_PROPAGATE", U8, 0 }, { RTA_IP_PROTO, "IP_PROTO", U8, 0 }, { RTA_SPORT, "SPORT", BE16, 0 },
    { RTA_DPORT, "DPORT", BE16, 0 }, { RTA_NH_ID, "NH_ID", U32, 0 }, END };
static const struct attribute rt_rule_names[] = {
    { FRA_DST, "DST", ADR, 0 }, { FRA_SRC, "SRC", ADR, 0 }, { FRA_IIFNAME, "IIFNAME", STR, 0 }, { FRA_GOTO, "GOTO", U32, 0 },
    { FRA_PRIORITY, "PRIORITY", U32, 0 }, { FRA_FWMARK, "FWMARK", XU32, 0 }, { FRA_FLOW, "FLOW", U32, 0 }, { FRA_TUN_ID, "TUN_ID", U64, 0 },
    { FRA_SUPPRESS_IFGROUP, "SUPPRESS_IFGROUP", S32, 0 }, { FRA_SUPPRESS_PREFIXLEN, "SUPPRESS_PREFIXLEN", S32, 0 },
    { FRA_TABLE, "TABLE", U32, 0 }, { FRA_FWMASK, "FWMASK", XU32, 0 }, { FRA_OIFNAME, "OIFNAME", STR, 0 }, { FRA_L3MDEV, "L3MDEV", U8, 0 },
    { FRA_UID_RANGE, "UID_RANGE", UID, 0 }, { FRA_PROTOCOL, "PROTOCOL", U8, 0 }, { FRA_IP_PROTO, "IP_PROTO", U8, 0 },
    { FRA_SPORT_RANGE, "SPORT_RANGE", HEX, 0 }, { FRA_DPORT_RANGE, "DPORT_RANGE", HEX, 0 }, END };
static const struct attribute rt_neigh_names[] = {
    { NDA_DST, "DST", ADR, 0 }, { NDA_LLADDR, "LLADDR", MAC, 0 }, { NDA_CACHEINFO, "CACHEINFO", NEIGHCACHE, 0 },
    { NDA_PROBES, "PROBES", U32, 0 }, { NDA_IFINDEX, "IFINDEX", IDX, 0 }, { NDA_MASTER, "MASTER", IDX, 0 },
    { NDA_PROTOCOL, "PROTOCOL", U8, 0 }, { NDA_FLAGS_EXT, "FLAGS_EXT", XU32, 0 }, END };
static const struct attribute rt_parms_names[] = {
    { NDTPA_IFINDEX, "IFINDEX", IDX, 0 }, { NDTPA_REFCNT, "REFCNT", LEN, 0 }, { NDTPA_QUEUE_LEN, "QUEUE_LEN", LEN, 0 },
    { NDTPA_PROXY_QLEN, "PROXY_QLEN", U32, 0 }, { NDTPA_APP_PROBES, "APP_PROBES", U32, 0 }, { NDTPA_UCAST_PROBES, "UCAST_PROBES", U32, 0 },
    { NDTPA_MCAST_PROBES, "MCAST_PROBES", U32, 0 }, { NDTPA_QUEUE_LENBYTES, "QUEUE_LENBYTES", LEN, 0 },
    { NDTPA_MCAST_REPROBES, "MCAST_REPROBES", U32, 0 }, { NDTPA_BASE_REACHABLE_TIME, "BASE_REACHABLE_TIME", U64, 0 },
    { NDTPA_REACHABLE_TIME, "REACHABLE_TIME", LEN, 0 }, { NDTPA_GC_STALETIME, "GC_STALETIME", U64, 0 },
    { NDTPA_DELAY_PROBE_TIME, "DELAY_PROBE_TIME", U64, 0 }, { NDTPA_RETRANS_TIME, "RETRANS_TIME", U64, 0 },
    { NDTPA_ANYCAST_DELAY, "ANYCAST_DELAY", U64, 0 }, { NDTPA_PROXY_DELAY, "PROXY_DELAY", U64, 0 }, { NDTPA_LOCKTIME, "LOCKTIME", U64, 0 },
    { NDTPA_INTERVAL_PROBE_TIME_MS, "INTERVAL_PROBE_TIME_MS", U64, 0 }, END };
static const struct attribute rt_table_names[] = {
    { NDTA_NAME, "NAME", STR, 0 }, { NDTA_THRESH1, "THRESH1", LEN, 0 }, { NDTA_THRESH2, "THRESH2", LEN, 0 },
    { NDTA_THRESH3, "THRESH3", LEN, 0 }, { NDTA_CONFIG, "CONFIG", NDTCONFIG, 0 }, { NDTA_PARMS, "PARMS", NESTED, rt_parms_names },
    { NDTA_STATS, "STATS", LEN, 0 }, { NDTA_GC_INTERVAL, "GC_INTERVAL", LEN, 0 }, END };
static const struct attribute rt_netconf_names[] = {
    { NETCONFA_IFINDEX, "IFINDEX", IDX, 0 }, { NETCONFA_FORWARDING, "FORWARDING", LEN, 0 }, { NETCONFA_RP_FILTER, "RP_FILTER", LEN, 0 },
    { NETCONFA_MC_FORWARDING, "MC_FORWARDING", S32, 0 }, { NETCONFA_PROXY_NEIGH, "PROXY_NEIGH", S32, 0 },
    { NETCONFA_IGNORE_ROUTES_WITH_LINKDOWN, "IGNORE_ROUTES_WITH_LINKDOWN", S32, 0 }, { NETCONFA_BC_FORWARDING, "BC_FORWARDING", S32, 0 },
    END };
static const struct attribute rt_stats_names[] = { { IFLA_STATS_LINK_64, "LINK_64", COUNT64, 0 },
                                                   { IFLA_STATS_AF_SPEC, "AF_SPEC", LEN, 0 }, END };
static const struct attribute rt_label_names[] = { { IFAL_ADDRESS, "ADDRESS", ADR, 0 }, { IFAL_LABEL, "LABEL", U32, 0 }, END };
static const struct attribute rt_tc_names[] = {
    { TCA_KIND, "KIND", STR, 0 }, { TCA_OPTIONS, "OPTIONS", HEX, 0 }, { TCA_STATS, "STATS", HEX, 0 }, { TCA_XSTATS, "XSTATS", HEX, 0 },
    { TCA_STATS2, "STATS2", HEX, 0 }, { TCA_HW_OFFLOAD, "HW_OFFLOAD", U8, 0 }, END };
static const struct attribute rt_resilient_names[] = {
    { NHA_RES_GROUP_BUCKETS, "BUCKETS", U16, 0 }, { NHA_RES_GROUP_IDLE_TIMER, "IDLE_TIMER", U32, 0 },
    { NHA_RES_GROUP_UNBALANCED_TIMER, "UNBALANCED_TIMER", U32, 0 }, { NHA_RES_GROUP_UNBALANCED_TIME, "UNBALANCED_TIME", LEN, 0 }, END };
static const struct attribute rt_bucket_names[] = {
    { NHA_RES_BUCKET_INDEX, "INDEX", U16, 0 }, { NHA_RES_BUCKET_IDLE_TIME, "IDLE_TIME", LEN, 0 },
    { NHA_RES_BUCKET_NH_ID, "NH_ID", U32, 0 }, END };
static const struct attribute rt_nexthop_names[] = {
    { NHA_ID, "ID", U32, 0 }, { NHA_GROUP, "GROUP", HEX, 0 }, { NHA_GROUP_TYPE, "GROUP_TYPE", U16, 0 }, { NHA_BLACKHOLE, "BLACKHOLE", FLAG, 0 },
    { NHA_OIF, "OIF", IDX, 0 }, { NHA_GATEWAY, "GATEWAY", ADR, 0 }, { NHA_FDB, "FDB", FLAG, 0 },
    { NHA_RES_GROUP, "RES_GROUP", NESTED, rt_resilient_names }, { NHA_RES_BUCKET, "RES_BUCKET", NESTED, rt_bucket_names },
    { 14, "OP_FLAGS", U32, 0 }, { 15, "GROUP_STATS", LEN, 0 }, { 16, "HW_STATS_ENABLE", U32, 0 }, { 17, "HW_STATS_USED", U32, 0 }, END };
static const struct attribute rt_genl_names[] = {
    { CTRL_ATTR_FAMILY_ID, "FAMILY_ID", U16, 0 }, { CTRL_ATTR_FAMILY_NAME, "FAMILY_NAME", STR, 0 },
    { CTRL_ATTR_VERSION, "VERSION", U32, 0 }, { CTRL_ATTR_HDRSIZE, "HDRSIZE", U32, 0 }, { CTRL_ATTR_MAXATTR, "MAXATTR", LEN, 0 },
    { CTRL_ATTR_OPS, "OPS", LEN, 0 }, { CTRL_ATTR_MCAST_GROUPS, "MCAST_GROUPS", LEN, 0 }, END };
static const struct attribute rt_policy_names[] = { { NL_POLICY_TYPE_ATTR_TYPE, "TYPE", U32, 0 }, { NL_POLICY_TYPE_ATTR_MIN_VALUE_U, "MIN_U", U64, 0 },
    { NL_POLICY_TYPE_ATTR_MAX_VALUE_U, "MAX_U", U64, 0 }, { NL_POLICY_TYPE_ATTR_MIN_VALUE_S, "MIN_S", U64, 0 },
    { NL_POLICY_TYPE_ATTR_MAX_VALUE_S, "MAX_S", U64, 0 }, { NL_POLICY_TYPE_ATTR_MIN_LENGTH, "MIN_LENGTH", U32, 0 },
    { NL_POLICY_TYPE_ATTR_MAX_LENGTH, "MAX_LENGTH", U32, 0 }, { NL_POLICY_TYPE_ATTR_MASK, "MASK", U64, 0 },
    { NL_POLICY_TYPE_ATTR_BITFIELD32_MASK, "BITFIELD32_MASK", U32, 0 }, END };
static const struct attribute rt_ack_names[] = {
    { NLMSGERR_ATTR_MSG, "msg", STR, 0 }, { NLMSGERR_ATTR_OFFS, "offset", U32, 0 }, { NLMSGERR_ATTR_COOKIE, "cookie", HEX, 0 },
    { NLMSGERR_ATTR_POLICY, "policy", NESTED, rt_policy_names }, { 5, "miss_type", U32, 0 }, { 6, "miss_nest", U32, 0 }, END };

/* The attributes that are shown; NULL for all of them. Nested ones are shown whole. */
static const int *rt_only;

HELPER void out_attributes(const struct attribute *names, const unsigned char *p, size_t len, int top);

HELPER void out_hops(const unsigned char *p, size_t len)
{
    out("{");
    for (int n = 0; len >= sizeof(struct rtnexthop); n++) {
        struct rtnexthop hop;
        memcpy(&hop, p, sizeof hop);
        if (hop.rtnh_len < sizeof hop || hop.rtnh_len > len)
            break;
        out("%sdev=", n ? " | " : "");
        out_index(hop.rtnh_ifindex);
        out(" weight=%d flags=0x%x", hop.rtnh_hops + 1, hop.rtnh_flags);
        const int *only = rt_only;
        rt_only = NULL;
        out_attributes(rt_route_names, p + sizeof hop, hop.rtnh_len - sizeof hop, 0);
        rt_only = only;
        size_t step = RTNH_ALIGN(hop.rtnh_len);
        p += step < len ? step : len;
        len -= step < len ? step : len;
    }
    out("}");
}

HELPER void out_value(const struct attribute *a, const unsigned char *p, size_t len)
{
    uint64_t number = 0;
    uint32_t words[16] = { 0 };
    size_t want = 0;
    memcpy(&number, p, len < 8 ? len : 8);
    memcpy(words, p, len < sizeof words ? len : sizeof words);
    switch (a->kind) {
    case U8: want = 1; break;
    case U16: case BE16: want = 2; break;
    case U32: case S32: case IDX: case BE32: case XU32: want = 4; break;
    case U64: want = 8; break;
    default: break;
    }
    if (want && len != want) {
        out("len%zu!0x%s", len, hex((char[600]){ 0 }, p, len < 256 ? len : 256));
        return;
    }
    switch (a->kind) {
    case U8: case U16: case U32: case U64: out("%llu", (unsigned long long)number); break;
    case S32: out("%d", (int)number); break;
    case XU32: out("0x%x", (unsigned)number); break;
    case BE16: out("%u", ntohs((uint16_t)number)); break;
    case BE32: out("%u", ntohl((uint32_t)number)); break;
    case IDX: out_index((int)number); break;
    case STR:
        if (len && !p[len - 1])
            out("\"%s\"", (const char *)p);
        else
            out("\"%.*s\"!unterminated", (int)len, (const char *)p);
        break;
    case MAC:
        for (int i = 0; i < rt_randoms && i < 8; i++)
            if (len == 6 && !memcmp(rt_random[i], p, 6)) {
                out("random");
                return;
            }
        /* fall through */
    case HEX: out("0x%s", hex((char[600]){ 0 }, p, len < 256 ? len : 256)); break;
    case ADR: out_address(p, len); break;
    case FLAG: out("set"); break;
    case U32S: out_u32s(p, len); break;
    case UID: /* Root of a namespace, or nobody: it is the asker's. */
        for (size_t i = 0; i < len / 4; i++)
            out(words[i] == getuid() ? "%sasker" : "%s%u", i ? "," : "", words[i]);
        break;
    case LEN: out("len%zu", len); break;
    case COUNT32: out_counts(p, len, 4); break;
    case COUNT64: out_counts(p, len, 8); break;
    case QDISC: out("%s", !strcmp((const char *)p, "noop") || !strcmp((const char *)p, "noqueue") ? (const char *)p : "default"); break;
    case ADDRCACHE:
        out("pref=");
        out_lifetime(words[0]);
        out(",valid=");
        out_lifetime(words[1]);
        break;
    case NEIGHCACHE: out("len%zu", len); break;
    case ROUTECACHE:
        out("expires=%d,error=%d", (int)words[2] > 0 ? 1 : 0, (int)words[3]);
        break;
    case IF6CACHE: out("max_reasm_len=%u,retrans_time=%u", words[0], words[3]); break;
    case HOPS: out_hops(p, len); break;
    case VIA:
        out("family=%u,", (unsigned)(number & 0xffff));
        out_address(p + 2, len > 2 ? len - 2 : 0);
        break;
    case NDTCONFIG: out("len%zu,key_len=%u", len, (unsigned)(number & 0xffff)); break;
    case NESTED: out_attributes(a->inside, p, len, 0); break;
    }
}

HELPER void out_attributes(const struct attribute *names, const unsigned char *p, size_t len, int top)
{
    int shown = 0;
    out("{");
    while (len >= sizeof(struct rtattr)) {
        struct rtattr attr;
        memcpy(&attr, p, sizeof attr);
        if (attr.rta_len < sizeof attr || attr.rta_len > len) {
            out("%sbroken length %u of %zu", shown ? " " : "", attr.rta_len, len);
            break;
        }
        int type = attr.rta_type & NLA_TYPE_MASK, wanted = !top || !rt_only;
        for (const int *only = rt_only; !wanted && *only; only++)
            wanted = *only == type;
        if (wanted) {
            const struct attribute *a = names;
            static const struct attribute unknown = { 0, "", HEX, NULL };
            while (a->name && a->type != type)
                a++;
            out("%s", shown++ ? " " : "");
            if (!a->name)
                out("#%d", type);
            out("%s%s=", a->name ? a->name : "", attr.rta_type & NLA_F_NESTED ? "+" : "");
            out_value(a->name ? a : &unknown, p + sizeof attr, attr.rta_len - sizeof attr);
        }
        size_t step = RTA_ALIGN(attr.rta_len);
        p += step < len ? step : len;
        len -= step < len ? step : len;
    }
    out("}");
}

/* ---- messages ---- */

HELPER const char *message_name(int type)
{
    static const struct { int type; const char *name; } names[] = {
        { NLMSG_NOOP, "NOOP" }, { NLMSG_ERROR, "ERROR" }, { NLMSG_DONE, "DONE" },
        { RTM_NEWLINK, "NEWLINK" }, { RTM_DELLINK, "DELLINK" }, { RTM_NEWADDR, "NEWADDR" }, { RTM_DELADDR, "DELADDR" },
        { RTM_NEWROUTE, "NEWROUTE" }, { RTM_DELROUTE, "DELROUTE" }, { RTM_NEWNEIGH, "NEWNEIGH" }, { RTM_DELNEIGH, "DELNEIGH" },
        { RTM_GETNEIGH, "GETNEIGH" },
        { RTM_NEWRULE, "NEWRULE" }, { RTM_DELRULE, "DELRULE" }, { RTM_NEWNEIGHTBL, "NEWNEIGHTBL" }, { RTM_NEWSTATS, "NEWSTATS" },
        { RTM_NEWNETCONF, "NEWNETCONF" }, { RTM_DELNETCONF, "DELNETCONF" }, { RTM_NEWPREFIX, "NEWPREFIX" }, { RTM_NEWADDRLABEL, "NEWADDRLABEL" },
        { RTM_GETMULTICAST, "GETMULTICAST" }, { RTM_NEWLINKPROP, "NEWLINKPROP" }, { RTM_DELLINKPROP, "DELLINKPROP" },
        { RTM_NEWQDISC, "NEWQDISC" }, { RTM_DELQDISC, "DELQDISC" }, { RTM_NEWTCLASS, "NEWTCLASS" }, { RTM_DELTCLASS, "DELTCLASS" },
        { RTM_NEWNEXTHOP, "NEWNEXTHOP" }, { RTM_DELNEXTHOP, "DELNEXTHOP" }, { RTM_NEWNEXTHOPBUCKET, "NEWNEXTHOPBUCKET" },
    };
    static char other[20];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].type == type)
            return names[i].name;
    snprintf(other, sizeof other, "type%d", type);
    return other;
}

HELPER void out_flags(unsigned flags)
{
    static const char *const names[] = { "REQUEST", "MULTI", "ACK", "ECHO", "DUMP_INTR", "DUMP_FILTERED", "REPLACE", "EXCL", "CREATE",
                                         "APPEND", NULL };
    static const unsigned values[] = { NLM_F_REQUEST, NLM_F_MULTI, NLM_F_ACK, NLM_F_ECHO, NLM_F_DUMP_INTR, NLM_F_DUMP_FILTERED,
                                       NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND };
    if (flags)
        out("[%s]", bits((char[300]){ 0 }, flags, names, values));
}

/* The error's number, what of the request it quotes, and the attributes of the extended ACK. */
HELPER void out_error(const struct nlmsghdr *head)
{
    const unsigned char *p = NLMSG_DATA(head), *end = (const unsigned char *)head + head->nlmsg_len;
    int error;
    if (head->nlmsg_type == NLMSG_DONE) {
        memcpy(&error, p, 4);
        out("DONE");
        if (error)
            out(" %s", errno_name(-error));
        p += 4;
    } else {
        struct nlmsgerr quoted;
        memcpy(&quoted, p, sizeof quoted);
        out("%s", quoted.error ? errno_name(-quoted.error) : "ACK");
        p += sizeof quoted;
        if (!(head->nlmsg_flags & NLM_F_CAPPED))
            p += NLMSG_ALIGN(quoted.msg.nlmsg_len) - sizeof quoted.msg;
        else if (!(head->nlmsg_flags & NLM_F_ACK_TLVS) && p != end)
            out(" %zd bytes behind", end - p);
    }
    if (head->nlmsg_flags & NLM_F_ACK_TLVS && p < end) {
        out(" ");
        const int *only = rt_only;
        rt_only = NULL;
        out_attributes(rt_ack_names, p, end - p, 0);
        rt_only = only;
    }
}

/* Whether messages are of generic netlink, where the numbers mean something else. */
static int rt_generic;

HELPER void out_message(const struct nlmsghdr *head)
{
    const unsigned char *p = NLMSG_DATA(head);
    size_t len = head->nlmsg_len - NLMSG_HDRLEN, fixed = 0;
    const struct attribute *names = NULL;
    if (head->nlmsg_type == NLMSG_ERROR || head->nlmsg_type == NLMSG_DONE) {
        out_error(head);
        return;
    }
    if (rt_generic && head->nlmsg_type == GENL_ID_CTRL) {
        out("CTRL cmd=%d ", ((const struct genlmsghdr *)p)->cmd);
        out_attributes(rt_genl_names, p + GENL_HDRLEN, len - GENL_HDRLEN, 1);
        return;
    }
    out("%s", message_name(head->nlmsg_type));
    out_flags(head->nlmsg_flags);
    switch (head->nlmsg_type) {
    case RTM_NEWLINK: case RTM_DELLINK: {
        const struct ifinfomsg *m = (const void *)p;
        fixed = sizeof *m, names = rt_link_names;
        out(" family=%d type=%d index=", m->ifi_family, m->ifi_type);
        out_index(m->ifi_index);
        out(" flags=0x%x change=0x%x", m->ifi_flags, m->ifi_change);
        break;
    }
    case RTM_NEWADDR: case RTM_DELADDR: case RTM_GETMULTICAST: {
        const struct ifaddrmsg *m = (const void *)p;
        fixed = sizeof *m, names = rt_addr_names;
        out(" family=%d prefix=%d flags=0x%x scope=%d index=", m->ifa_family, m->ifa_prefixlen, m->ifa_flags, m->ifa_scope);
        out_index(m->ifa_index);
        break;
    }
    case RTM_NEWROUTE: case RTM_DELROUTE: {
        const struct rtmsg *m = (const void *)p;
        fixed = sizeof *m, names = rt_route_names;
        out(" family=%d dst=%d src=%d tos=%d table=%d protocol=%d scope=%d type=%d flags=0x%x", m->rtm_family, m->rtm_dst_len,
            m->rtm_src_len, m->rtm_tos, m->rtm_table, m->rtm_protocol, m->rtm_scope, m->rtm_type, m->rtm_flags);
        break;
    }
    case RTM_NEWRULE: case RTM_DELRULE: {
        const struct fib_rule_hdr *m = (const void *)p;
        fixed = sizeof *m, names = rt_rule_names;
        out(" family=%d dst=%d src=%d tos=%d table=%d action=%d flags=0x%x", m->family, m->dst_len, m->src_len, m->tos, m->table,
            m->action, m->flags);
        break;
    }
    case RTM_NEWNEIGH: case RTM_DELNEIGH: case RTM_GETNEIGH: {
        const struct ndmsg *m = (const void *)p;
        fixed = sizeof *m, names = rt_neigh_names;
        out(" family=%d index=", m->ndm_family);
        out_index(m->ndm_ifindex);
        out(" state=0x%x flags=0x%x type=%d", m->ndm_state, m->ndm_flags, m->ndm_type);
        break;
    }
    case RTM_NEWNEIGHTBL:
        fixed = sizeof(struct ndtmsg), names = rt_table_names;
        out(" family=%d", ((const struct ndtmsg *)p)->ndtm_family);
        break;
    case RTM_NEWSTATS: {
        const struct if_stats_msg *m = (const void *)p;
        fixed = sizeof *m, names = rt_stats_names;
        out(" family=%d index=", m->family);
        out_index(m->ifindex);
        out(" mask=0x%x", m->filter_mask);
        break;
    }
    case RTM_NEWNETCONF: case RTM_DELNETCONF:
        fixed = NLMSG_ALIGN(sizeof(struct netconfmsg)), names = rt_netconf_names;
        out(" family=%d", ((const struct netconfmsg *)p)->ncm_family);
        break;
    case RTM_NEWQDISC: case RTM_DELQDISC: case RTM_NEWTCLASS: case RTM_DELTCLASS: {
        const struct tcmsg *m = (const void *)p;
        fixed = sizeof *m, names = rt_tc_names;
        out(" family=%d index=", m->tcm_family);
        out_index(m->tcm_ifindex);
        out(" handle=%x parent=%x info=%x", m->tcm_handle, m->tcm_parent, m->tcm_info);
        break;
    }
    case RTM_NEWNEXTHOP: case RTM_DELNEXTHOP: case RTM_NEWNEXTHOPBUCKET: {
        const struct nhmsg *m = (const void *)p;
        fixed = sizeof *m, names = rt_nexthop_names;
        out(" family=%d scope=%d protocol=%d flags=0x%x", m->nh_family, m->nh_scope, m->nh_protocol, m->nh_flags);
        break;
    }
    case RTM_NEWADDRLABEL: {
        const struct ifaddrlblmsg *m = (const void *)p;
        fixed = sizeof *m, names = rt_label_names;
        out(" family=%d prefix=%d index=", m->ifal_family, m->ifal_prefixlen);
        out_index(m->ifal_index);
        break;
    }
    }
    if (len < fixed)
        out(" short %zu", len);
    else if (names) {
        out(" ");
        out_attributes(names, p + fixed, len - fixed, 1);
    } else
        out(" %zu bytes", len);
}

#endif
