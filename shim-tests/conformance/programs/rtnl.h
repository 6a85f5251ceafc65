/* rtnl.h - requests of rtnetlink: one is built attribute by attribute, sent, and everything that
 * comes back until its end is printed in one line. */
#ifndef RTNL_H
#define RTNL_H
#include "rtnl_show.h"

#define TUN (IFF_TUN | IFF_NO_PI)
#define TAP (IFF_TAP | IFF_NO_PI)
#define WAIT_MS 3000

static int nl = -1;
/* How long an answer may take: less where none is expected. */
static int rt_wait_ms = WAIT_MS;
static unsigned rt_port, rt_seq;
static unsigned char rt_ask[16384] __attribute__((aligned(8)));
static unsigned char rt_got[65536] __attribute__((aligned(8)));

/* Tests run with IPv6 off on the kernel's side unless a program says that it wants it. */
HELPER void with_ipv6(void)
{
    if (under_shim())
        return;
    static const char *const files[] = { "/proc/sys/net/ipv6/conf/default/disable_ipv6", "/proc/sys/net/ipv6/conf/all/disable_ipv6" };
    for (int i = 0; i < 2; i++) {
        int fd = MUST(open(files[i], O_WRONLY | O_CLOEXEC));
        MUST(write(fd, "0", 1));
        close(fd);
    }
}

HELPER int rt_socket(int type, unsigned groups)
{
    struct sockaddr_nl at = { .nl_family = AF_NETLINK, .nl_groups = groups };
    socklen_t len = sizeof at;
    int on = 1, fd = MUST(socket(AF_NETLINK, type | SOCK_CLOEXEC, NETLINK_ROUTE));
    MUST(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on));
    MUST(bind(fd, (struct sockaddr *)&at, sizeof at));
    MUST(getsockname(fd, (struct sockaddr *)&at, &len));
    rt_port = at.nl_pid;
    return fd;
}

/* First thing after start(). */
HELPER void rt_start(void)
{
    with_ipv6();
    nl = rt_socket(SOCK_RAW, 0);
}

HELPER void strict(int on) { MUST(setsockopt(nl, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on)); }

/* ---- a request ---- */

static struct nlmsghdr *const rt_head = (struct nlmsghdr *)rt_ask;

HELPER void *request(int type, int flags, const void *fixed, size_t len)
{
    memset(rt_ask, 0, sizeof rt_ask);
    rt_head->nlmsg_type = type;
    rt_head->nlmsg_flags = NLM_F_REQUEST | flags;
    memcpy(NLMSG_DATA(rt_head), fixed, len);
    rt_head->nlmsg_len = NLMSG_HDRLEN + NLMSG_ALIGN(len);
    return NLMSG_DATA(rt_head);
}

HELPER void put(int type, const void *data, size_t len)
{
    struct rtattr *a = (struct rtattr *)(rt_ask + NLMSG_ALIGN(rt_head->nlmsg_len));
    a->rta_type = type;
    a->rta_len = RTA_LENGTH(len);
    memcpy(RTA_DATA(a), data, len);
    rt_head->nlmsg_len = NLMSG_ALIGN(rt_head->nlmsg_len) + RTA_ALIGN(a->rta_len);
}

HELPER void put_u8(int type, uint8_t v) { put(type, &v, 1); }
HELPER void put_u16(int type, uint16_t v) { put(type, &v, 2); }
HELPER void put_u32(int type, uint32_t v) { put(type, &v, 4); }
HELPER void put_text(int type, const char *text) { put(type, text, strlen(text) + 1); }

/* An address of either family. */
HELPER void put_address(int type, const char *text)
{
    unsigned char a[16];
    if (inet_pton(AF_INET, text, a) == 1)
        put(type, a, 4);
    else if (inet_pton(AF_INET6, text, a) == 1)
        put(type, a, 16);
    else
        die(text);
}

HELPER size_t nest(int type)
{
    size_t at = NLMSG_ALIGN(rt_head->nlmsg_len);
    put(type, "", 0);
    return at;
}

HELPER void nest_end(size_t at) { ((struct rtattr *)(rt_ask + at))->rta_len = NLMSG_ALIGN(rt_head->nlmsg_len) - at; }

HELPER struct ifinfomsg *link_request(int type, int flags, const char *name)
{
    struct ifinfomsg m = { .ifi_family = AF_UNSPEC, .ifi_index = name ? if_index(name) : 0 };
    return request(type, flags, &m, sizeof m);
}

HELPER int family_of(const char *text) { return strchr(text, ':') ? AF_INET6 : AF_INET; }

/* "10.0.0.1/24" as IFA_LOCAL and, for IPv6, IFA_ADDRESS as well. */
HELPER struct ifaddrmsg *addr_request(int type, int flags, const char *name, const char *cidr)
{
    char text[60];
    snprintf(text, sizeof text, "%s", cidr);
    char *slash = strchr(text, '/');
    if (slash)
        *slash = 0;
    struct ifaddrmsg m = { .ifa_family = family_of(text), .ifa_index = name ? if_index(name) : 0,
                           .ifa_prefixlen = slash ? atoi(slash + 1) : 32 };
    struct ifaddrmsg *at = request(type, flags, &m, sizeof m);
    if (*text)
        put_address(IFA_LOCAL, text);
    return at;
}

/* A unicast route of table main, of scope link without a gateway; "default" and "default6" are the
   empty prefixes. */
HELPER struct rtmsg *route_request(int type, int flags, const char *cidr, const char *name)
{
    char text[60];
    snprintf(text, sizeof text, "%s", cidr);
    char *slash = strchr(text, '/');
    if (slash)
        *slash = 0;
    int all = !strncmp(text, "default", 7), family = all ? (text[7] ? AF_INET6 : AF_INET) : family_of(text);
    struct rtmsg m = { .rtm_family = family, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_type = RTN_UNICAST,
                       .rtm_scope = family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
                       .rtm_dst_len = slash ? atoi(slash + 1) : all ? 0 : family == AF_INET ? 32 : 128 };
    struct rtmsg *at = request(type, flags, &m, sizeof m);
    if (!all)
        put_address(RTA_DST, text);
    if (name)
        put_u32(RTA_OIF, if_index(name));
    return at;
}

HELPER struct ndmsg *neigh_request(int type, int flags, const char *name, const char *address, int state)
{
    struct ndmsg m = { .ndm_family = family_of(address), .ndm_ifindex = name ? if_index(name) : 0, .ndm_state = state };
    struct ndmsg *at = request(type, flags, &m, sizeof m);
    if (*address)
        put_address(NDA_DST, address);
    return at;
}

HELPER struct fib_rule_hdr *rule_request(int type, int flags, int family, int table, int action)
{
    struct fib_rule_hdr m = { .family = family, .table = table, .action = action };
    return request(type, flags, &m, sizeof m);
}

/* A request for a list, with the usual message of its kind. */
HELPER void *dump_request(int type, int family)
{
    static const struct ifinfomsg none;
    size_t len = type == RTM_GETADDR ? sizeof(struct ifaddrmsg) : type == RTM_GETROUTE || type == RTM_GETRULE ? sizeof(struct rtmsg)
                 : type == RTM_GETNEIGH ? sizeof(struct ndmsg) : type == RTM_GETNETCONF ? sizeof(struct netconfmsg)
                 : type == RTM_GETNEIGHTBL ? sizeof(struct ndtmsg) : sizeof none;
    unsigned char *at = request(type, NLM_F_DUMP, &none, len);
    at[0] = family;
    return at;
}

/* ---- the answer ---- */

HELPER int rt_ready(int fd, int ms)
{
    struct pollfd p = { fd, POLLIN, 0 };
    int n;
    while ((n = poll(&p, 1, ms)) == -1 && errno == EINTR)
        ;
    return n > 0;
}

/* Which messages of an answer are shown. */
static int (*rt_wanted)(const struct nlmsghdr *);
static int rt_error;

/* The kernel keeps some lists by a hash that is another one each time: they are shown in order. */
static int rt_sorted;

/* Takes the text that was made so far as one item. */
HELPER void item(char **items, int *count)
{
    rt_text[rt_used] = 0;
    rt_used = 0;
    if (*count < 200)
        items[(*count)++] = strdup(rt_text);
}

/* The items in one text, the last one last. */
HELPER void out_items(char **items, int count)
{
    if (rt_sorted && count > 1)
        qsort(items, count - 1, sizeof *items, by_text);
    for (int i = 0; i < count; i++) {
        out("%s%s", i ? " ; " : "", items[i]);
        free(items[i]);
    }
}

/* Everything that comes until the acknowledgement, the end of the list or an error. */
HELPER void collect(int fd, unsigned seq)
{
    char *items[200];
    int count = 0;
    for (int end = 0; !end;) {
        struct sockaddr_nl from = { 0 };
        socklen_t from_len = sizeof from;
        ssize_t n = -1;
        if (!rt_ready(fd, rt_wait_ms)) {
            out("NO END");
            end = 1;
        } else if ((n = recvfrom(fd, rt_got, sizeof rt_got, 0, (struct sockaddr *)&from, &from_len)) < 0) {
            out("recv %s", errno_name(errno));
            end = 1;
        }
        if (end)
            item(items, &count);
        for (struct nlmsghdr *h = (void *)rt_got; !end && NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            end = h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE;
            if (!end && rt_wanted && !rt_wanted(h))
                continue;
            if (from.nl_pid)
                out("(from a port) ");
            if (h->nlmsg_seq != seq)
                out("(seq %+d) ", (int)(h->nlmsg_seq - seq));
            if (h->nlmsg_pid != rt_port && fd == nl)
                out("(another pid) ");
            out_message(h);
            item(items, &count);
            if (end)
                memcpy(&rt_error, NLMSG_DATA(h), 4);
        }
    }
    out_items(items, count);
}

/* Sends what was built, with a number of its own. */
HELPER void rt_send(void)
{
    rt_head->nlmsg_seq = ++rt_seq;
    MUST(send(nl, rt_ask, rt_head->nlmsg_len, 0));
}

/* Sends the request and prints the answer as one line. */
HELPER void ask(const char *label)
{
    if (!(rt_head->nlmsg_flags & NLM_F_DUMP) || (rt_head->nlmsg_type & 3) != 2)
        rt_head->nlmsg_flags |= NLM_F_ACK;
    rt_send();
    collect(nl, rt_seq);
    out_line(label);
}

/* The same without a line; the answer's error, 0 or negative. */
HELPER int quietly(void)
{
    rt_head->nlmsg_flags |= NLM_F_ACK;
    rt_send();
    collect(nl, rt_seq);
    rt_used = 0;
    return rt_error;
}

/* From now on only these attributes are shown; the list ends with 0. */
HELPER void only(const int *types)
{
    static int chosen[20];
    size_t n = 0;
    while (types[n] && n < 19) {
        chosen[n] = types[n];
        n++;
    }
    chosen[n] = 0;
    rt_only = chosen;
}

#define ONLY(...) only((const int[]){ __VA_ARGS__, 0 })
#define ALL() (rt_only = NULL)

/* A dump in one line. */
HELPER void list(const char *label, int type, int family)
{
    dump_request(type, family);
    ask(label);
}

/* Asks, and hands each message of the list to a function; 0 when the list has no end. */
HELPER int each_answer(void (*with)(const struct nlmsghdr *))
{
    rt_send();
    for (;;) {
        ssize_t n = rt_ready(nl, WAIT_MS) ? recv(nl, rt_got, sizeof rt_got, 0) : -1;
        if (n < 0)
            return 0;
        for (struct nlmsghdr *h = (void *)rt_got; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
                return 1;
            with(h);
        }
    }
}

HELPER int each(int type, int family, void (*with)(const struct nlmsghdr *))
{
    dump_request(type, family);
    return each_answer(with);
}

/* What IPv6 has still to do: the kernel finishes an address later, its flag before its route. */
static struct { int index, tentative, addresses, routes; } rt_pending;

HELPER int is_up(int index)
{
    char name[IFNAMSIZ];
    int flags = if_indextoname(index, name) ? if_flags(name) : -1;
    return flags != -1 && flags & IFF_UP;
}

HELPER void count_address(const struct nlmsghdr *h)
{
    const struct ifaddrmsg *m = NLMSG_DATA(h);
    if (rt_pending.index && (int)m->ifa_index != rt_pending.index)
        return;
    rt_pending.tentative += !!(m->ifa_flags & IFA_F_TENTATIVE);
    rt_pending.addresses += is_up(m->ifa_index);
}

HELPER void count_route(const struct nlmsghdr *h)
{
    const struct rtmsg *m = NLMSG_DATA(h);
    int len = RTM_PAYLOAD(h), index = 0;
    if (m->rtm_type != RTN_LOCAL || m->rtm_protocol != RTPROT_KERNEL)
        return;
    for (const struct rtattr *a = RTM_RTA(m); RTA_OK(a, len); a = RTA_NEXT(a, len))
        if (a->rta_type == RTA_OIF)
            memcpy(&index, RTA_DATA(a), 4);
    if (index && (!rt_pending.index || index == rt_pending.index))
        rt_pending.routes += is_up(index);
}

HELPER int finished(const char *name)
{
    memset(&rt_pending, 0, sizeof rt_pending);
    rt_pending.index = name ? if_index(name) : 0;
    return each(RTM_GETADDR, AF_INET6, count_address) && each(RTM_GETROUTE, AF_INET6, count_route) && !rt_pending.tentative
        && rt_pending.addresses == rt_pending.routes;
}

/* Waits until no address of IPv6 is tentative any more and each has its route; 0 when they do not
   get there. */
HELPER int settled_on(const char *name) { return EVENTUALLY(finished(name), 6000); }
HELPER int settled(void) { return settled_on(NULL); }

/* A tap whose address is the one that is given, and not a random one. */
HELPER int tap_with_address(const char *name, int last)
{
    int fd = tun_attach(name, TAP, 0);
    struct ifreq ifr;
    unsigned char mac[6] = { 0x02, 0, 0, 0, 0, last };
    MUST(if_request(SIOCGIFHWADDR, &ifr, name));
    memcpy(rt_random[rt_randoms++ % 8], ifr.ifr_hwaddr.sa_data, 6);
    memset(&ifr, 0, sizeof ifr);
    ifr.ifr_hwaddr.sa_family = 1;
    memcpy(ifr.ifr_hwaddr.sa_data, mac, 6);
    MUST(if_request(SIOCSIFHWADDR, &ifr, name));
    name_index(name);
    return fd;
}

HELPER int tun_named(const char *name)
{
    int fd = tun_attach(name, TUN, 0);
    name_index(name);
    return fd;
}

#endif
