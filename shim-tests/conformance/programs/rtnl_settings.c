/* What listeners hear of settings under /proc/sys/net, which links follow those of new links, and
 * what a router of IPv6 has by that. What the machine decides is set to 0 first. */
#include "rtnl.h"

static int listener;

static void write_setting(const char *family, const char *whose, const char *name, const char *value)
{
    char path[120];
    snprintf(path, sizeof path, "/proc/sys/net/%s/conf/%s/%s", family, whose, name);
    int fd = MUST(open(path, O_WRONLY | O_CLOEXEC));
    MUST(write(fd, value, strlen(value)));
    close(fd);
}

static void out_setting(const char *family, const char *whose, const char *name)
{
    char path[120], text[20] = "";
    snprintf(path, sizeof path, "/proc/sys/net/%s/conf/%s/%s", family, whose, name);
    int fd = MUST(open(path, O_RDONLY | O_CLOEXEC));
    MUST(read(fd, text, sizeof text - 1));
    close(fd);
    out("%s=%.*s ", whose, (int)strcspn(text, "\n"), text);
}

static void out_whose(int index)
{
    if (index == -1)
        out("all");
    else if (index == -2)
        out("default");
    else
        out_index(index);
}

/* One event: a setting with its value, or a route with its kind and destination. */
static void out_event(const struct nlmsghdr *h)
{
    const struct rtmsg *route = NLMSG_DATA(h);
    int conf = h->nlmsg_type == RTM_NEWNETCONF;
    if (!conf && route->rtm_type != RTN_ANYCAST)
        return;
    size_t fixed = conf ? NLMSG_SPACE(sizeof(struct netconfmsg)) : NLMSG_SPACE(sizeof *route);
    int len = h->nlmsg_len - fixed;
    out("%s ", conf ? "NETCONF" : h->nlmsg_type == RTM_NEWROUTE ? "NEWROUTE" : "DELROUTE");
    const struct rtattr *a = (const void *)((const char *)h + fixed);
    for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
        int number = 0;
        memcpy(&number, RTA_DATA(a), 4);
        if (conf && a->rta_type == NETCONFA_IFINDEX)
            out_whose(number);
        else if (conf)
            out(" %d=%d", a->rta_type, number);
        else if (a->rta_type == RTA_DST)
            out_address(RTA_DATA(a), RTA_PAYLOAD(a));
    }
    out("; ");
}

static void heard(const char *label)
{
    ssize_t n;
    while ((n = recv(listener, rt_got, sizeof rt_got, MSG_DONTWAIT)) > 0)
        for (struct nlmsghdr *h = (void *)rt_got; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n))
            out_event(h);
    if (label)
        out_line(label);
    else
        rt_used = 0;
}

static void told(const char *family, const char *name, const char *whose, const char *value, const char *again)
{
    char label[100];
    write_setting(family, whose, name, value);
    snprintf(label, sizeof label, "%s %s of %s, %s%s", family, name, whose, value, again);
    heard(label);
}

static void events(void)
{
    static const char *const whose[] = { "se0", "all", "default" }, *const values[] = { "1", "1", "0" };
    static const struct { const char *family, *name; } some[] = { { "ipv4", "rp_filter" }, { "ipv4", "proxy_arp" },
        { "ipv4", "ignore_routes_with_linkdown" }, { "ipv4", "accept_local" }, { "ipv4", "forwarding" }, { "ipv6", "proxy_ndp" },
        { "ipv6", "ignore_routes_with_linkdown" }, { "ipv6", "accept_redirects" }, { "ipv6", "forwarding" } };
    for (unsigned i = 0; i < sizeof some / sizeof *some; i++) {
        static const char *const all[] = { "se0", "se1", "lo", "all", "default" };
        for (int j = 0; j < 5; j++)
            write_setting(some[i].family, all[j], some[i].name, "0");
        heard(NULL);
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 3; k++)
                told(some[i].family, some[i].name, whose[j], values[k], k == 1 ? " again" : "");
    }
}

/* In the order of their text: the kernel has those first that it joined last. */
static void dump_of(const char *label, int type)
{
    static const char no[8];
    char *items[200];
    int count = 0;
    memcpy(request(type, NLM_F_DUMP, no, 8), &(char){ AF_INET6 }, 1);
    MUST(send(nl, rt_ask, rt_head->nlmsg_len, 0));
    for (int end = 0; !end;) {
        ssize_t n = MUST(recv(nl, rt_got, sizeof rt_got, 0));
        for (struct nlmsghdr *h = (void *)rt_got; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            const struct ifaddrmsg *m = NLMSG_DATA(h);
            int len = h->nlmsg_len - NLMSG_LENGTH(sizeof *m);
            end |= h->nlmsg_type == NLMSG_DONE;
            if (end)
                break;
            const struct rtattr *a = IFA_RTA(m);
            if (!RTA_OK(a, len))
                continue;
            out_index(m->ifa_index);
            out(" scope=%d ", m->ifa_scope);
            out_address(RTA_DATA(a), RTA_PAYLOAD(a));
            item(items, &count);
        }
    }
    rt_sorted = 1;
    item(items, &count);
    out_items(items, count);
    rt_sorted = 0;
    out_line(label);
}

/* The anycast addresses of se0 in the order in which they are listed. */
static void order_of_anycasts(const char *label)
{
    char text[INET6_ADDRSTRLEN];
    struct { struct nlmsghdr head; struct ifaddrmsg info; } q = { { sizeof q, RTM_GETANYCAST, NLM_F_REQUEST | NLM_F_DUMP, 77, 0 }, { AF_INET6 } };
    MUST(send(nl, &q, sizeof q, 0));
    for (int end = 0; !end && rt_ready(nl, WAIT_MS);) {
        ssize_t n = recv(nl, rt_got, sizeof rt_got, 0);
        for (struct nlmsghdr *h = (void *)rt_got; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            end |= h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR;
            const struct ifaddrmsg *m = NLMSG_DATA(h);
            int rest = h->nlmsg_len - NLMSG_LENGTH(sizeof *m);
            if (!end)
                for (const struct rtattr *a = (const void *)(m + 1); RTA_OK(a, rest); a = RTA_NEXT(a, rest))
                    if (a->rta_type == IFA_ANYCAST)
                        out("%s ", inet_ntop(AF_INET6, RTA_DATA(a), text, sizeof text));
        }
    }
    out_line(label);
}

static void in_networks(int message, const char *networks)
{
    for (const char *n = networks; *n; n++) {
        char text[60];
        snprintf(text, sizeof text, "2001:db8:%c::1/64", *n);
        addr_request(message, message == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0, "se0", text);
        if (message == RTM_NEWADDR)
            put_u32(IFA_FLAGS, IFA_F_NODAD);
        quietly();
        /* The kernel gets to a new address a little later. */
        settled();
    }
}

/* A router has the first address of each of its networks, and belongs to the groups of routers. */
static void routers(void)
{
    addr_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, "se0", "2001:db8:1::1/64");
    put_u32(IFA_FLAGS, IFA_F_NODAD);
    quietly();
    addr_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, "se0", "2001:db8:1::2/64");
    quietly();
    addr_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, "se0", "2001:db8:2::1/127");
    quietly();
    settled();
    heard(NULL);
    dump_of("anycast addresses of no router", RTM_GETANYCAST);
    told("ipv6", "forwarding", "se0", "1", " with addresses");
    dump_of("anycast addresses of a router", RTM_GETANYCAST);
    dump_of("groups of a router", RTM_GETMULTICAST);
    addr_request(RTM_DELADDR, 0, "se0", "2001:db8:1::1/64");
    quietly();
    heard("one of two addresses goes");
    addr_request(RTM_DELADDR, 0, "se0", "2001:db8:1::2/64");
    quietly();
    heard("the last address goes");
    in_networks(RTM_NEWADDR, "536");
    order_of_anycasts("anycasts in their order");
    in_networks(RTM_DELADDR, "3");
    in_networks(RTM_NEWADDR, "32");
    order_of_anycasts("one again, and another");
    write_setting("ipv6", "se0", "forwarding", "0");
    order_of_anycasts("none");
    write_setting("ipv6", "se0", "forwarding", "1");
    order_of_anycasts("all at once");
    in_networks(RTM_DELADDR, "5326");
    settled();
    heard(NULL);
    told("ipv6", "forwarding", "se0", "0", " without addresses");
    dump_of("groups of no router", RTM_GETMULTICAST);
}

static void three(const char *label, const char *family, const char *name)
{
    static const char *const whose[] = { "se0", "se1", "lo" };
    for (int i = 0; i < 3; i++)
        out_setting(family, whose[i], name);
    out_line(label);
}

/* Which links follow a setting of new links. */
static void new_links(void)
{
    static const struct { const char *family, *name; } some[] = { { "ipv4", "accept_local" }, { "ipv4", "promote_secondaries" },
        { "ipv4", "arp_ignore" }, { "ipv4", "forwarding" }, { "ipv4", "route_localnet" }, { "ipv6", "accept_redirects" }, { "ipv6", "forwarding" } };
    addr_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, "se1", "192.0.2.1/24");
    quietly();
    char label[100];
    for (unsigned i = 0; i < sizeof some / sizeof *some; i++) {
        write_setting(some[i].family, "default", some[i].name, "1");
        snprintf(label, sizeof label, "%s %s of new links, 1", some[i].family, some[i].name);
        three(label, some[i].family, some[i].name);
    }
    int tun = tun_named("se2");
    for (unsigned i = 0; i < sizeof some / sizeof *some; i++)
        out_setting(some[i].family, "se2", some[i].name);
    out_line("a new link");
    for (unsigned i = 0; i < sizeof some / sizeof *some; i++) {
        write_setting(some[i].family, "default", some[i].name, "0");
        out_setting(some[i].family, "se2", some[i].name);
    }
    out_line("and back");
    close(tun);
}

static void rest(void)
{
    rule_request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, AF_INET, 0, FR_ACT_TO_TBL);
    put_u32(FRA_PRIORITY, 77);
    put_u8(FRA_L3MDEV, 1);
    printf("rule of a layer 3 domain: %d\n", quietly());
    rule_request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, AF_INET, 0, FR_ACT_TO_TBL);
    put_u32(FRA_PRIORITY, 77);
    put_u8(FRA_L3MDEV, 1);
    printf("such a rule again: %d\n", quietly());
    rule_request(RTM_DELRULE, 0, AF_INET, 0, FR_ACT_TO_TBL);
    put_u32(FRA_PRIORITY, 77);
    put_u8(FRA_L3MDEV, 1);
    printf("such a rule, deleted: %d\n", quietly());
    route_request(RTM_DELROUTE, 0, "2001:db8:77::/64", "se0")->rtm_flags = RTM_F_CLONED;
    printf("a learned route that is not there: %d\n", quietly());
    int s = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), one = 1;
    char name[IFNAMSIZ] = "";
    socklen_t len = sizeof name;
    MUST(setsockopt(s, SOL_SOCKET, SO_BINDTOIFINDEX, &one, sizeof one));
    int r = getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, name, &len);
    printf("a socket bound to the loopback: %d %s %u\n", r, name, len);
    struct ifreq ifr;
    for (unsigned number = 0x8908; number < 0x8990; number++)
        if (number < 0x890b || number == 0x890e || number == 0x8928 || number == 0x894d || number == 0x8950 || number == 0x8972) {
            memset(&ifr, 0, sizeof ifr);
            printf("request 0x%x: %s", number, if_request(number, &ifr, "se0") ? strerrorname_np(errno) : "0");
            memset(&ifr, 0, sizeof ifr);
            printf(" %s\n", if_request(number, &ifr, "none") ? strerrorname_np(errno) : "0");
        }
}

int main(int argc, char **argv)
{
    start(argc, argv);
    rt_start();
    tun_named("se0");
    tun_attach("se1", TAP, 0);
    name_index("se1");
    struct ifreq ifr = { .ifr_hwaddr = { .sa_family = 1, .sa_data = "\2\0\0\0\0\1" } };
    MUST(if_request(SIOCSIFHWADDR, &ifr, "se1"));
    link_up("se0", 1);
    settled();
    listener = rt_socket(SOCK_RAW, 0);
    static const int groups[] = { RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF, RTNLGRP_IPV6_ROUTE };
    for (int i = 0; i < 3; i++)
        MUST(setsockopt(listener, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]));
    events();
    routers();
    new_links();
    rest();
    return 0;
}
