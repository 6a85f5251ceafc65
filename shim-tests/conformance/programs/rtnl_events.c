/* What a listener hears: the messages of every group, in their order, and who sent them. */
#include "rtnl.h"

static int listener;

#define GROUP(n) (1u << ((n) - 1))
static const unsigned all_groups = GROUP(RTNLGRP_LINK) | GROUP(RTNLGRP_NEIGH) | GROUP(RTNLGRP_IPV4_IFADDR) | GROUP(RTNLGRP_IPV4_ROUTE)
    | GROUP(RTNLGRP_IPV4_RULE) | GROUP(RTNLGRP_IPV6_IFADDR) | GROUP(RTNLGRP_IPV6_ROUTE) | GROUP(RTNLGRP_IPV6_IFINFO)
    | GROUP(RTNLGRP_IPV6_RULE) | GROUP(RTNLGRP_IPV4_NETCONF) | GROUP(RTNLGRP_IPV6_NETCONF);

static int listen_to(unsigned groups)
{
    struct sockaddr_nl at = { .nl_family = AF_NETLINK, .nl_groups = groups | GROUP(RTNLGRP_IPV4_RULE) };
    int on = 1, size = 1 << 20, fd = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    MUST(setsockopt(fd, SOL_NETLINK, NETLINK_PKTINFO, &on, sizeof on));
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
    MUST(bind(fd, (struct sockaddr *)&at, sizeof at));
    return fd;
}

static unsigned asked;

/* A rule that comes and goes: when the listener hears of it, it has heard everything before. */
#define FENCE 9998

static int is_fence(const struct nlmsghdr *h)
{
    const struct fib_rule_hdr *m = NLMSG_DATA(h);
    int len = h->nlmsg_len - NLMSG_LENGTH(sizeof *m);
    uint32_t priority = 0;
    if (h->nlmsg_type != RTM_NEWRULE && h->nlmsg_type != RTM_DELRULE)
        return 0;
    for (const struct rtattr *a = (const void *)(m + 1); RTA_OK(a, len); a = RTA_NEXT(a, len))
        if (a->rta_type == FRA_PRIORITY)
            memcpy(&priority, RTA_DATA(a), 4);
    return priority == FENCE;
}

/* Neighbours of IPv6 that the kernel makes for multicast, when it gets to it. */
static int unasked(const struct nlmsghdr *h)
{
    const struct ndmsg *m = NLMSG_DATA(h);
    return (h->nlmsg_type == RTM_NEWNEIGH || h->nlmsg_type == RTM_DELNEIGH) && m->ndm_family == AF_INET6 && m->ndm_state & NUD_NOARP;
}

static void out_event(const struct nlmsghdr *h, const struct sockaddr_nl *from, int group)
{
    out("group=%d", group);
    if (from->nl_groups != (group > 32 ? 0 : GROUP(group)) || from->nl_pid)
        out(" nl_groups=0x%x nl_pid=%u", from->nl_groups, from->nl_pid);
    if (h->nlmsg_pid)
        out(" pid=%s", h->nlmsg_pid == rt_port ? "asker" : "other");
    if (h->nlmsg_seq)
        out(" seq=%s", h->nlmsg_seq == asked ? "asked" : "other");
    out(" ");
    if (h->nlmsg_type == RTM_NEWLINK || h->nlmsg_type == RTM_DELLINK)
        ONLY(IFLA_IFNAME, IFLA_MTU, IFLA_OPERSTATE, IFLA_CARRIER, IFLA_CARRIER_CHANGES, IFLA_TXQLEN, IFLA_ADDRESS, IFLA_EVENT, IFLA_IFALIAS,
             IFLA_GROUP, IFLA_QDISC, IFLA_PROP_LIST);
    out_message(h);
    ALL();
}

/* What the listener heard until now. */
static void heard_by(const char *label, int fd)
{
    char *items[200];
    int count = 0;
    asked = rt_seq;
    rule_request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, AF_INET, 99, FR_ACT_TO_TBL);
    put_u32(FRA_PRIORITY, FENCE);
    if (quietly())
        die("fence");
    rule_request(RTM_DELRULE, 0, AF_INET, 99, FR_ACT_TO_TBL);
    put_u32(FRA_PRIORITY, FENCE);
    if (quietly())
        die("fence");
    for (int end = 0; !end;) {
        struct sockaddr_nl from = { 0 };
        char control[200];
        struct iovec part = { rt_got, sizeof rt_got };
        struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                            .msg_controllen = sizeof control };
        ssize_t n = rt_ready(fd, WAIT_MS) ? recvmsg(fd, &m, 0) : -1;
        if (n < 0) {
            out("NO FENCE");
            item(items, &count);
            break;
        }
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        int group = c ? (int)((struct nl_pktinfo *)CMSG_DATA(c))->group : -1;
        for (struct nlmsghdr *h = (void *)rt_got; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            if (is_fence(h)) {
                end |= h->nlmsg_type == RTM_DELRULE;
                continue;
            }
            if (unasked(h))
                continue;
            out_event(h, &from, group);
            item(items, &count);
        }
    }
    out_items(items, count);
    out_line(label);
}

static void heard(const char *label) { heard_by(label, listener); }

static void ifr_number(unsigned long request, const char *name, int number)
{
    struct ifreq ifr = { .ifr_mtu = number };
    MUST(if_request(request, &ifr, name));
}

static void by_hand(int result) { if (result) die("request"); }

/* ---- links ---- */

static void links(void)
{
    int tun = tun_named("ev0");
    heard("TUNSETIFF tun");
    int tap = tun_attach("ev1", TAP, 0);
    name_index("ev1");
    struct ifreq ifr;
    MUST(if_request(SIOCGIFHWADDR, &ifr, "ev1"));
    memcpy(rt_random[rt_randoms++], ifr.ifr_hwaddr.sa_data, 6);
    heard("TUNSETIFF tap");
    ifr_number(SIOCSIFMTU, "ev0", 1400);
    heard("SIOCSIFMTU");
    ifr_number(SIOCSIFMTU, "ev0", 1400);
    heard("SIOCSIFMTU, the same");
    memset(&ifr, 0, sizeof ifr);
    ifr.ifr_hwaddr.sa_family = 1;
    memcpy(ifr.ifr_hwaddr.sa_data, "\2\0\0\0\0\1", 6);
    MUST(if_request(SIOCSIFHWADDR, &ifr, "ev1"));
    heard("SIOCSIFHWADDR");
    snprintf(ifr.ifr_newname, IFNAMSIZ, "ren0");
    MUST(if_request(SIOCSIFNAME, &ifr, "ev0"));
    heard("SIOCSIFNAME");
    snprintf(ifr.ifr_newname, IFNAMSIZ, "ev0");
    MUST(if_request(SIOCSIFNAME, &ifr, "ren0"));
    heard("SIOCSIFNAME back");
    link_request(RTM_SETLINK, 0, "ev0");
    put_u32(IFLA_MTU, 1300);
    by_hand(quietly());
    heard("netlink, mtu");
    link_request(RTM_SETLINK, 0, "ev0");
    put_u32(IFLA_MTU, 1300);
    by_hand(quietly());
    heard("netlink, the same mtu");
    link_request(RTM_SETLINK, 0, "ev0");
    put_u32(IFLA_TXQLEN, 77);
    by_hand(quietly());
    heard("netlink, txqlen");
    link_request(RTM_SETLINK, 0, "ev0");
    put_text(IFLA_IFALIAS, "alias");
    by_hand(quietly());
    heard("netlink, alias");
    link_request(RTM_SETLINK, 0, "ev0");
    put_u32(IFLA_GROUP, 7);
    by_hand(quietly());
    heard("netlink, group");
    link_request(RTM_SETLINK, 0, "ev0");
    put_u32(IFLA_MTU, 1200);
    put_u32(IFLA_TXQLEN, 78);
    put_text(IFLA_IFALIAS, "another");
    by_hand(quietly());
    heard("netlink, three at once");
    link_request(RTM_SETLINK, 0, "ev0");
    put_text(IFLA_IFNAME, "ren1");
    by_hand(quietly());
    heard("netlink, rename");
    link_request(RTM_SETLINK, 0, "ren1");
    put_text(IFLA_IFNAME, "ev0");
    by_hand(quietly());
    heard("netlink, rename back");
    link_request(RTM_NEWLINKPROP, 0, "ev0");
    size_t list = nest(IFLA_PROP_LIST | NLA_F_NESTED);
    put_text(IFLA_ALT_IFNAME, "other-name");
    nest_end(list);
    by_hand(quietly());
    heard("netlink, altname");
    link_request(RTM_SETLINK, 0, "ev0");
    put_u32(IFLA_MTU, 60);
    quietly();
    heard("netlink, refused");
    MUST(ioctl(tun, TUNSETPERSIST, 1));
    MUST(ioctl(tun, TUNSETPERSIST, 0));
    heard("TUNSETPERSIST while down");
    MUST(ioctl(tun, TUNSETOFFLOAD, TUN_F_CSUM));
    heard("TUNSETOFFLOAD");
    link_up("ev0", 1);
    settled();
    heard("tun up");
    link_up("ev1", 1);
    settled();
    heard("tap up");
    MUST(ioctl(tun, TUNSETPERSIST, 1));
    MUST(ioctl(tun, TUNSETPERSIST, 1));
    heard("TUNSETPERSIST while up, twice");
    MUST(ioctl(tun, TUNSETPERSIST, 0));
    heard("TUNSETPERSIST 0 while up");
    ifr_number(SIOCSIFMTU, "ev0", 1250);
    heard("mtu of v4 only, while up");
    ifr_number(SIOCSIFMTU, "ev0", 1500);
    settled();
    heard("mtu 1500 while up");
    MUST(if_set_flags("ev1", 0));
    MUST(if_set_flags("ev1", IFF_UP | IFF_BROADCAST | IFF_MULTICAST | IFF_PROMISC));
    settled();
    heard("tap down, up and promiscuous");
    MUST(if_set_flags("ev1", IFF_UP | IFF_BROADCAST | IFF_MULTICAST));
    heard("no longer promiscuous");
    link_request(RTM_SETLINK, 0, "ev0");
    put_text(IFLA_IFALIAS, "alias while up");
    by_hand(quietly());
    heard("netlink, alias while up");
    link_request(RTM_SETLINK, 0, "ev0");
    put_u32(IFLA_GROUP, 8);
    by_hand(quietly());
    heard("netlink, group while up");
    link_request(RTM_DELLINKPROP, 0, "ev0");
    list = nest(IFLA_PROP_LIST | NLA_F_NESTED);
    put_text(IFLA_ALT_IFNAME, "other-name");
    nest_end(list);
    by_hand(quietly());
    heard("netlink, altname deleted while up");
    link_request(RTM_SETLINK, 0, "ev0");
    put_u32(IFLA_MTU, 1400);
    put_text(IFLA_IFALIAS, "two while up");
    by_hand(quietly());
    heard("netlink, mtu and alias while up");
    link_request(RTM_SETLINK, 0, "ev0");
    put_u8(IFLA_LINKMODE, 1);
    by_hand(quietly());
    heard("netlink, linkmode while up");
    link_request(RTM_SETLINK, 0, "ev0");
    put_u8(IFLA_LINKMODE, 0);
    by_hand(quietly());
    heard("netlink, linkmode back");
    link_request(RTM_SETLINK, 0, "ev0");
    by_hand(quietly());
    heard("netlink, nothing changed while up");
    int off = 0, on = 1;
    MUST(ioctl(tun, TUNSETCARRIER, &off));
    EVENTUALLY(!(if_flags("ev0") & IFF_RUNNING), 2000);
    heard("TUNSETCARRIER 0");
    MUST(ioctl(tun, TUNSETCARRIER, &on));
    EVENTUALLY(if_flags("ev0") & IFF_RUNNING, 3000);
    settled();
    heard("TUNSETCARRIER 1");
    link_up("ev0", 0);
    heard("tun down");
    link_up("ev1", 0);
    heard("tap down");
    close(tun);
    heard("the tun is closed");
    close(tap);
    heard("the tap is closed");
}

/* ---- addresses and routes ---- */

static void addr(int type, int flags, const char *cidr)
{
    addr_request(type, flags, "ev0", cidr);
    if (family_of(cidr) == AF_INET6)
        put_u32(IFA_FLAGS, IFA_F_NODAD);
    by_hand(quietly());
}

static void addresses(void)
{
    int tun = tun_named("ev0");
    addr(RTM_NEWADDR, 0, "10.9.0.1/24");
    heard("v4 address while down");
    addr(RTM_DELADDR, 0, "10.9.0.1/24");
    heard("v4 address deleted while down");
    link_up("ev0", 1);
    settled();
    heard("up without addresses");
    addr(RTM_NEWADDR, 0, "10.9.0.1/24");
    heard("v4 address");
    addr(RTM_NEWADDR, NLM_F_REPLACE, "10.9.0.1/24");
    heard("v4 address replaced");
    addr(RTM_NEWADDR, 0, "10.9.0.2/24");
    heard("v4 secondary");
    addr(RTM_DELADDR, 0, "10.9.0.1/24");
    heard("v4 primary deleted with its secondary");
    struct ifreq ifr = { .ifr_addr.sa_family = AF_INET };
    ((struct sockaddr_in *)&ifr.ifr_addr)->sin_addr.s_addr = htonl(0x0a080001);
    MUST(if_request(SIOCSIFADDR, &ifr, "ev0"));
    heard("SIOCSIFADDR");
    ((struct sockaddr_in *)&ifr.ifr_addr)->sin_addr.s_addr = htonl(0xffffff00);
    MUST(if_request(SIOCSIFNETMASK, &ifr, "ev0"));
    heard("SIOCSIFNETMASK");
    addr(RTM_NEWADDR, 0, "fd09::1/64");
    settled();
    heard("v6 address");
    addr(RTM_DELADDR, 0, "fd09::1/64");
    heard("v6 address deleted");
    addr_request(RTM_NEWADDR, NLM_F_ECHO, "ev0", "10.7.0.1/32");
    ask("address with NLM_F_ECHO, the asker");
    heard("address with NLM_F_ECHO");
    route_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO, "10.51.0.0/16", "ev0");
    ask("route with NLM_F_ECHO, the asker");
    heard("route with NLM_F_ECHO");
    link_request(RTM_SETLINK, NLM_F_ECHO, "ev0");
    put_u32(IFLA_MTU, 1450);
    ask("link with NLM_F_ECHO, the asker");
    heard("link with NLM_F_ECHO");
    rule_request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO, AF_INET, 100, FR_ACT_TO_TBL);
    put_u32(FRA_PRIORITY, 50);
    ask("rule with NLM_F_ECHO, the asker");
    heard("rule with NLM_F_ECHO");
    route_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, "10.50.0.0/16", "ev0");
    by_hand(quietly());
    heard("v4 route");
    route_request(RTM_NEWROUTE, NLM_F_REPLACE, "10.50.0.0/16", "ev0");
    size_t metrics = nest(RTA_METRICS);
    put_u32(RTAX_MTU, 1300);
    nest_end(metrics);
    by_hand(quietly());
    heard("v4 route replaced");
    route_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, "10.50.0.0/16", "ev0");
    by_hand(quietly());
    heard("v4 route appended");
    route_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, "10.50.0.0/16", "ev0");
    quietly();
    heard("v4 route refused");
    route_request(RTM_DELROUTE, 0, "10.50.0.0/16", "ev0");
    by_hand(quietly());
    heard("v4 route deleted");
    route_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, "fd50::/32", "ev0");
    by_hand(quietly());
    heard("v6 route");
    route_request(RTM_NEWROUTE, NLM_F_REPLACE, "fd50::/32", "ev0");
    by_hand(quietly());
    heard("v6 route replaced");
    route_request(RTM_DELROUTE, 0, "fd50::/32", "ev0");
    by_hand(quietly());
    heard("v6 route deleted");
    addr(RTM_NEWADDR, 0, "fd09::1/64");
    settled();
    heard("v6 address again");
    link_up("ev0", 0);
    heard("down with addresses and routes");
    link_up("ev0", 1);
    settled();
    heard("up with addresses");
    close(tun);
    heard("closed while up with addresses");
    rule_request(RTM_DELRULE, 0, AF_INET, 100, FR_ACT_TO_TBL);
    put_u32(FRA_PRIORITY, 50);
    by_hand(quietly());
    heard("v4 rule deleted");
    rule_request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, AF_INET6, 100, FR_ACT_TO_TBL);
    put_u32(FRA_PRIORITY, 50);
    put_text(FRA_IIFNAME, "ev9");
    by_hand(quietly());
    heard("v6 rule");
    int nine = tun_named("ev9");
    heard("the rule's interface comes");
    link_request(RTM_DELLINK, 0, "ev9");
    by_hand(quietly());
    heard("DELLINK");
    close(nine);
    heard("closed after DELLINK");
    rule_request(RTM_DELRULE, 0, AF_INET6, 100, FR_ACT_TO_TBL);
    put_u32(FRA_PRIORITY, 50);
    by_hand(quietly());
    heard("v6 rule deleted");
}

static void neighbours(void)
{
    int tap = tap_with_address("ev1", 1);
    heard("a tap for neighbours");
    addr_request(RTM_NEWADDR, 0, "ev1", "10.20.0.1/24");
    by_hand(quietly());
    link_up("ev1", 1);
    settled();
    heard("the tap is up");
    neigh_request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, "ev1", "10.20.0.5", NUD_PERMANENT);
    put(NDA_LLADDR, "\2\0\0\0\0\5", 6);
    by_hand(quietly());
    heard("neighbour");
    neigh_request(RTM_NEWNEIGH, NLM_F_REPLACE, "ev1", "10.20.0.5", NUD_PERMANENT);
    put(NDA_LLADDR, "\2\0\0\0\0\6", 6);
    by_hand(quietly());
    heard("neighbour replaced");
    neigh_request(RTM_NEWNEIGH, NLM_F_REPLACE, "ev1", "10.20.0.5", NUD_PERMANENT);
    put(NDA_LLADDR, "\2\0\0\0\0\6", 6);
    by_hand(quietly());
    heard("neighbour replaced by the same");
    neigh_request(RTM_DELNEIGH, 0, "ev1", "10.20.0.5", 0);
    by_hand(quietly());
    heard("neighbour deleted");
    neigh_request(RTM_NEWNEIGH, NLM_F_CREATE, "ev1", "10.20.0.7", NUD_PERMANENT)->ndm_flags = NTF_PROXY;
    by_hand(quietly());
    heard("proxy");
    neigh_request(RTM_NEWNEIGH, NLM_F_CREATE, "ev1", "fd20::7", NUD_PERMANENT);
    put(NDA_LLADDR, "\2\0\0\0\0\7", 6);
    by_hand(quietly());
    heard("v6 neighbour");
    link_up("ev1", 0);
    heard("the tap is down with a neighbour");
    close(tap);
    heard("the tap with a neighbour is closed");
}

/* Is the loopback's address told of once more? That takes the kernel up to a second. */
static int is_told_again(void)
{
    for (int i = 0; i < 20 && rt_ready(listener, WAIT_MS); i++) {
        ssize_t n = recv(listener, rt_got, sizeof rt_got, 0);
        for (struct nlmsghdr *h = (void *)rt_got; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n))
            if (h->nlmsg_type == RTM_NEWADDR)
                return ((struct ifaddrmsg *)NLMSG_DATA(h))->ifa_family == AF_INET6;
    }
    return -1;
}

/* The loopback may have an mtu with which there is no IP. */
static void loopback(void)
{
    static const int sizes[] = { 1280, 1279, 68, 67, 0, 68, 1279, 1280, 65536, 70000, 67, 65536 };
    char label[60];
    link_up("lo", 1);
    heard("lo is up");
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ifr_number(SIOCSIFMTU, "lo", sizes[i]);
        snprintf(label, sizeof label, "lo, size %u: %d", i, sizes[i]);
        for (char *c = label; *c; c++)
            *c = *c == ':' ? ',' : *c;
        heard(label);
    }
    dump_request(RTM_GETADDR, AF_UNSPEC);
    ask("lo, addresses then");
    link_up("lo", 0);
    heard("lo is down");
    link_up("lo", 1);
    heard("lo is up again");
    dump_request(RTM_GETADDR, AF_UNSPEC);
    ask("lo, addresses again");
    for (int on = 1; on >= 0; on--) {
        struct ifreq ifr;
        MUST(if_request(SIOCGIFFLAGS, &ifr, "lo"));
        ifr.ifr_flags = on ? ifr.ifr_flags | IFF_NOARP : ifr.ifr_flags & ~IFF_NOARP;
        MUST(if_request(SIOCSIFFLAGS, &ifr, "lo"));
        snprintf(label, sizeof label, "lo, IFF_NOARP %d, told again", on);
        say(label, "%d", is_told_again());
    }
    link_up("lo", 0);
    heard("lo is down at last");
}

/* Each group alone. */
static void each_group(void)
{
    static const int groups[] = { RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR,
                                  RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV6_IFINFO, RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF };
    int fds[9];
    for (int i = 0; i < 9; i++)
        fds[i] = listen_to(GROUP(groups[i]));
    int tun = tun_named("ev0");
    addr(RTM_NEWADDR, 0, "10.9.0.1/24");
    link_up("ev0", 1);
    settled();
    close(tun);
    for (int i = 0; i < 9; i++) {
        char label[40];
        snprintf(label, sizeof label, "group %d alone", groups[i]);
        heard_by(label, fds[i]);
    }
    for (int i = 0; i < 9; i++)
        close(fds[i]);
    listener = listen_to(GROUP(RTNLGRP_LINK));
    int drop = RTNLGRP_LINK;
    MUST(setsockopt(listener, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &drop, sizeof drop));
    tun = tun_named("ev0");
    heard("after a dropped membership");
    MUST(setsockopt(listener, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &drop, sizeof drop));
    close(tun);
    heard("after an added membership");
    close(listener);
}

/* A socket that asks and listens gets both. */
static void asking_listener(void)
{
    int fd = rt_socket(SOCK_RAW, RTMGRP_LINK), old = nl;
    nl = fd;
    int tun = tun_named("ev0");
    link_request(RTM_SETLINK, NLM_F_ACK, "ev0");
    put_u32(IFLA_MTU, 1400);
    rt_send();
    ONLY(IFLA_IFNAME, IFLA_MTU, IFLA_EVENT);
    for (int end = 0, count = 0; !end;) {
        ssize_t n = rt_ready(fd, WAIT_MS) ? recv(fd, rt_got, sizeof rt_got, 0) : -1;
        if (n < 0)
            break;
        for (struct nlmsghdr *h = (void *)rt_got; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            out("%s%s", count++ ? " ; " : "", h->nlmsg_pid ? "(own pid) " : "");
            out_message(h);
            end = h->nlmsg_type == NLMSG_ERROR;
        }
    }
    ALL();
    out_line("the asker listens");
    close(tun);
    close(fd);
    nl = old;
}

/* Who joins later does not hear of what was there before. This stands first: nobody has asked
   anything yet. */
static void joined_behind(void)
{
    int tun = tun_named("ev0");
    listener = listen_to(all_groups);
    heard("joined behind an interface");
    MUST(ioctl(tun, TUNSETCARRIER, &(int){ 0 }));
    int other = listen_to(all_groups);
    heard_by("joined behind a change", other);
    close(other);
    close(listener);
    close(tun);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    rt_start();
    joined_behind();
    listener = listen_to(all_groups);
    heard("nothing");
    links();
    addresses();
    neighbours();
    loopback();
    close(listener);
    each_group();
    asking_listener();
    return 0;
}
