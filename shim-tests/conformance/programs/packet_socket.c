/* Packet sockets on a tun and a tap: names, what is heard, filters, what is sent. */
#include "far.h"
#include <sys/time.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

static int tun, tap;
static unsigned char buf[2000];

static int new_socket(int type, int protocol)
{
    return MUST(socket(AF_PACKET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(protocol)));
}

static struct sockaddr_ll ll_name(const char *interface, int protocol)
{
    struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol) };
    a.sll_ifindex = interface ? if_index(interface) : 0;
    return a;
}

static int bind_ll(int sock, const char *interface, int protocol)
{
    struct sockaddr_ll a = ll_name(interface, protocol);
    return bind(sock, (struct sockaddr *)&a, sizeof a);
}

static void say_name(const char *what, ssize_t n, const struct sockaddr_ll *a, socklen_t len, const char *more)
{
    char address[40];
    const char *on = a->sll_ifindex == if_index("tun0") ? "tun0" : a->sll_ifindex == if_index("tap0") ? "tap0"
                     : a->sll_ifindex ? "other" : "none";
    say(what, "%zd len=%u protocol=%04x on %s hatype=%d type=%d halen=%d %s%s", n, len, ntohs(a->sll_protocol), on,
        a->sll_hatype, a->sll_pkttype, a->sll_halen, hex(address, a->sll_addr, 8), more);
}

static void show_ll(const char *what, int sock)
{
    struct sockaddr_ll a = { 0 };
    socklen_t len = sizeof a;
    long n = getsockname(sock, (struct sockaddr *)&a, &len);
    say_name(what, n, &a, len, "");
}

static void receive_with(const char *what, int sock, size_t room, int flags)
{
    struct sockaddr_ll a = { 0 };
    socklen_t len = sizeof a;
    char text[160], more[200];
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    ssize_t n = recvfrom(sock, buf, room, MSG_DONTWAIT | flags, (struct sockaddr *)&a, &len);
    if (n < 0) {
        show(what, n);
        return;
    }
    snprintf(more, sizeof more, " %s", describe_data(text, buf, (size_t)n < room ? (size_t)n : room));
    say_name(what, n, &a, len, more);
}

static void receive(const char *what, int sock) { receive_with(what, sock, sizeof buf, 0); }

static void nothing(const char *what, int sock)
{
    struct pollfd p = { .fd = sock, .events = POLLIN };
    SHOW(what, poll(&p, 1, NEVER));
}

/* A frame of the other host. */
static void arrives(const char *to, int ethertype, const char *text)
{
    unsigned char f[200] = { 0 };
    memcpy(f, to, 6);
    memcpy(f + 6, FAR_MAC, 6);
    put16(f + 12, ethertype);
    strcpy((char *)f + 14, text);
    MUST(write(tap, f, 14 + strlen(text)));
}

static void bare(const char *text)
{
    unsigned char p[100] = { 0x45 };
    strcpy((char *)p + 20, text);
    MUST(write(tun, p, 20 + strlen(text)));
}

static void show_wire(const char *what, int fd)
{
    char text[160];
    ssize_t n = read(fd, buf, sizeof buf);
    if (n < 0)
        show(what, n);
    else
        say(what, "%zd %s", n, describe_data(text, buf, n));
}

static void names(void)
{
    SHOW("a stream of packets", socket(AF_PACKET, SOCK_STREAM, 0));
    int sock = new_socket(SOCK_RAW, ETH_P_ARP);
    show_ll("name of an unbound socket", sock);
    SHOW("SO_DOMAIN", option_of(sock, SOL_SOCKET, SO_DOMAIN));
    SHOW("SO_TYPE", option_of(sock, SOL_SOCKET, SO_TYPE));
    SHOW("SO_PROTOCOL", option_of(sock, SOL_SOCKET, SO_PROTOCOL));
    SHOW("SO_RCVLOWAT", option_of(sock, SOL_SOCKET, SO_RCVLOWAT));
    SHOW("SO_ACCEPTCONN", option_of(sock, SOL_SOCKET, SO_ACCEPTCONN));
    struct sockaddr_ll a = ll_name("tap0", ETH_P_ARP);
    SHOW("bind to a short name", bind(sock, (struct sockaddr *)&a, sizeof a - 1));
    a.sll_family = AF_INET;
    SHOW("bind to a name of another family", bind(sock, (struct sockaddr *)&a, sizeof a));
    a = ll_name("tap0", ETH_P_ARP);
    a.sll_ifindex = 4000000;
    SHOW("bind to no interface", bind(sock, (struct sockaddr *)&a, sizeof a));
    SHOW("bind to a tap", bind_ll(sock, "tap0", 0));
    show_ll("name on a tap", sock);
    SHOW("bind to a tun", bind_ll(sock, "tun0", ETH_P_IP));
    show_ll("name on a tun", sock);
    SHOW("connect", connect(sock, (struct sockaddr *)&a, sizeof a));
    SHOW("listen", listen(sock, 1));
    SHOW("accept", accept(sock, NULL, NULL));
    SHOW("SIOCATMARK", ioctl(sock, 0x8905, &(int){ 0 }));
    SHOW("SIOCPROTOPRIVATE", ioctl(sock, 0x89e0, &(int){ 0 }));
    SHOW("shutdown", shutdown(sock, SHUT_RD));
    socklen_t len = sizeof a;
    SHOW("getpeername", getpeername(sock, (struct sockaddr *)&a, &len));
    struct stat st;
    SHOW("fstat says a socket", fstat(sock, &st) == 0 && S_ISSOCK(st.st_mode));
    SHOW("receive of nothing", recv(sock, buf, sizeof buf, 0));
    SHOW("events of nothing", now_events(sock, POLLIN | POLLOUT | POLLERR));
    close(sock);
}

static void heard(void)
{
    int all = new_socket(SOCK_RAW, 0), arp = new_socket(SOCK_RAW, 0), inner = new_socket(SOCK_DGRAM, 0);
    int every = new_socket(SOCK_RAW, ETH_P_ALL);
    MUST(bind_ll(all, "tap0", ETH_P_ALL));
    MUST(bind_ll(arp, "tap0", ETH_P_ARP));
    MUST(bind_ll(inner, "tap0", ETH_P_ALL));
    arrives(OWN_MAC, ETH_P_IP, "to this host");
    receive("to this host", all);
    receive("to this host, without its header", inner);
    receive("to this host, on any interface", every);
    arrives("\xff\xff\xff\xff\xff\xff", ETH_P_ARP, "to everybody");
    receive("to everybody", all);
    receive("to everybody, of ARP", arp);
    receive("to everybody, without its header", inner);
    receive("to everybody, on any interface", every);
    arrives("\x01\x00\x5e\x00\x00\x01", 0x88b5, "to a group");
    receive("to a group", all);
    receive("to a group, without its header", inner);
    arrives("\x02\x00\x00\x00\x00\x77", ETH_P_IP, "to another host");
    receive("to another host", all);
    arrives(OWN_MAC, 5, "a length");
    receive("a length in place of an ethertype", all);
    nothing("nothing of ARP", arp);
    bare("on a tun");
    int drained;
    for (drained = 0; drained < 3; drained++)
        receive(label("on any interface %d", drained), every);
    receive("on a tun", every);
    SHOW("bound to a tun", bind_ll(inner, "tun0", ETH_P_IP));
    bare("again on a tun");
    (void)EVENTUALLY(now_events(inner, POLLIN), SOON);
    while (recv(inner, buf, sizeof buf, MSG_PEEK) > 0 && buf[0] != 0x45)
        recv(inner, buf, sizeof buf, 0);
    receive("a tun without a header", inner);
    nothing("nothing on the tap", all);
    close(all), close(arp), close(inner), close(every);
}

static void receives(void)
{
    int sock = new_socket(SOCK_RAW, 0), n = 0;
    char text[160];
    MUST(bind_ll(sock, "tap0", 0x88b5));
    MUST(bind_ll(sock, "tap0", ETH_P_ALL));
    arrives(OWN_MAC, 0x88b5, "first");
    arrives(OWN_MAC, 0x88b5, "second, which is longer");
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    SHOW("FIONREAD", ioctl(sock, FIONREAD, &n));
    SHOW("length of the first", n);
    struct timeval came = { 0 };
    SHOW("SIOCGSTAMP before anything is received", ioctl(sock, 0x8906, &came));
    receive_with("MSG_PEEK", sock, sizeof buf, MSG_PEEK);
    receive_with("MSG_PEEK into little", sock, 16, MSG_PEEK);
    receive_with("MSG_PEEK | MSG_TRUNC into little", sock, 16, MSG_PEEK | MSG_TRUNC);
    SHOW("read into little", read(sock, buf, 10));
    struct timeval then;
    gettimeofday(&then, NULL);
    SHOW("SIOCGSTAMP", ioctl(sock, 0x8906, &came));
    SHOW("it came a moment ago", then.tv_sec - came.tv_sec < 60 && came.tv_sec <= then.tv_sec);
    struct timespec fine;
    SHOW("SIOCGSTAMPNS", ioctl(sock, 0x8907, &fine));
    SHOW("the same time", fine.tv_sec == came.tv_sec && fine.tv_nsec / 1000 == came.tv_usec);
    SHOW("SIOCGSTAMP, a bad pointer", ioctl(sock, 0x8906, (void *)8));
    char control[200] = { 0 };
    struct iovec parts[2] = { { buf, 6 }, { buf + 100, 20 } };
    struct sockaddr_ll a;
    struct msghdr m = { .msg_name = &a, .msg_namelen = sizeof a, .msg_iov = parts, .msg_iovlen = 2, .msg_control = control,
        .msg_controllen = sizeof control };
    SHOW("PACKET_AUXDATA", option(sock, SOL_PACKET, PACKET_AUXDATA, 1));
    SHOW("PACKET_AUXDATA is", option_of(sock, SOL_PACKET, PACKET_AUXDATA));
    arrives(OWN_MAC, 0x88b5, "second, which is longer");
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    recv(sock, buf, sizeof buf, 0);
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    SHOW("recvmsg", recvmsg(sock, &m, 0));
    say("flags of it", "%x name=%u %s", m.msg_flags, m.msg_namelen, describe_data(text, buf + 100, 20));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c) {
        struct tpacket_auxdata aux;
        memcpy(&aux, CMSG_DATA(c), sizeof aux);
        say("control message", "level=%d type=%d len=%zu status=%u len=%u snaplen=%u mac=%u net=%u", c->cmsg_level,
            c->cmsg_type, (size_t)c->cmsg_len, aux.tp_status & 1, aux.tp_len, aux.tp_snaplen, aux.tp_mac, aux.tp_net);
    }
    nothing("nothing is left", sock);
    struct timeval soon = { .tv_usec = 50000 };
    MUST(setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon));
    MUST(fcntl(sock, F_SETFL, 0));
    SHOW("SO_RCVTIMEO", recv(sock, buf, sizeof buf, 0));
    MUST(fcntl(sock, F_SETFL, O_NONBLOCK));
    /* A child has it, and a copy is the same socket. */
    int copy = MUST(dup(sock));
    close(sock);
    arrives(OWN_MAC, 0x88b5, "to a copy");
    receive("a copy", copy);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        arrives(OWN_MAC, 0x88b5, "to a child");
        receive("a child", copy);
        fflush(stdout);
        _exit(0);
    }
    MUST(waitpid(child, NULL, 0));
    struct tpacket_stats counts = { 9, 9 };
    socklen_t len = sizeof counts;
    SHOW("PACKET_STATISTICS", getsockopt(copy, SOL_PACKET, PACKET_STATISTICS, &counts, &len));
    say("counted", "%u %u len=%u", counts.tp_packets, counts.tp_drops, len);
    MUST(getsockopt(copy, SOL_PACKET, PACKET_STATISTICS, &counts, &len));
    say("counted then", "%u %u", counts.tp_packets, counts.tp_drops);
    struct packet_mreq request = { .mr_ifindex = if_index("tap0"), .mr_type = PACKET_MR_PROMISC };
    SHOW("promiscuous", setsockopt(copy, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request));
    SHOW("a short request", setsockopt(copy, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, 8));
    SHOW("no promiscuous", setsockopt(copy, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &request, sizeof request));
    SHOW("no such option", option(copy, SOL_PACKET, 77, 1));
    SHOW("IP_TTL", option(copy, IPPROTO_IP, IP_TTL, 9));
    close(copy);
}

static int attach(int sock, struct sock_filter *code, int count)
{
    struct sock_fprog program = { count, code };
    return setsockopt(sock, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

static void filters(void)
{
    int sock = new_socket(SOCK_RAW, 0), inner = new_socket(SOCK_DGRAM, 0);
    struct sock_filter first_x[] = { BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 14), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'x', 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 16), BPF_STMT(BPF_RET | BPF_K, 0) };
    struct sock_filter inner_x[] = { BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'x', 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0xffff), BPF_STMT(BPF_RET | BPF_K, 0) };
    struct sock_filter groups[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PKTTYPE),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_MULTICAST, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0xffff),
        BPF_STMT(BPF_RET | BPF_K, 0) };
    struct sock_filter wrong[] = { BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0) };
    MUST(bind_ll(sock, "tap0", ETH_P_ALL));
    MUST(bind_ll(inner, "tap0", ETH_P_ALL));
    SHOW("a wrong filter", attach(sock, wrong, 1));
    SHOW("a filter", attach(sock, first_x, 4));
    SHOW("a filter behind the header", attach(inner, inner_x, 4));
    arrives(OWN_MAC, 0x88b5, "y is left out");
    arrives(OWN_MAC, 0x88b5, "x is cut");
    receive("cut by a filter", sock);
    receive("whole", inner);
    SHOW("another filter", attach(sock, groups, 4));
    arrives(OWN_MAC, 0x88b5, "x to this host");
    arrives("\x01\x00\x5e\x00\x00\x01", 0x88b5, "x to a group");
    receive("to a group alone", sock);
    nothing("nothing else", sock);
    SHOW("no filter", option(sock, SOL_SOCKET, SO_DETACH_FILTER, 0));
    arrives(OWN_MAC, 0x88b5, "y without a filter");
    receive("without a filter", sock);
    close(sock), close(inner);
}

static void sends(void)
{
    int raw = new_socket(SOCK_RAW, 0), cooked = new_socket(SOCK_DGRAM, 0), all = new_socket(SOCK_RAW, 0);
    int arp = new_socket(SOCK_RAW, 0);
    unsigned char f[1600] = { 0 };
    struct sockaddr_ll a = ll_name("tap0", 0x88b5);
    MUST(bind_ll(all, "tap0", ETH_P_ALL));
    MUST(bind_ll(arp, "tap0", 0x88b5));
    memcpy(f, FAR_MAC, 6);
    memcpy(f + 6, OWN_MAC, 6);
    put16(f + 12, 0x88b5);
    strcpy((char *)f + 14, "from here");
    SHOW("send without a name", send(raw, f, 30, 0));
    SHOW("sendto a short name", sendto(raw, f, 30, 0, (struct sockaddr *)&a, 11));
    a.sll_ifindex = 4000000;
    SHOW("sendto no interface", sendto(raw, f, 30, 0, (struct sockaddr *)&a, sizeof a));
    a = ll_name("tap0", 0x88b5);
    SHOW("sendto", sendto(raw, f, 30, 0, (struct sockaddr *)&a, sizeof a));
    show_wire("on the wire", tap);
    receive("heard going out", all);
    nothing("what goes out is not heard by its ethertype", arp);
    SHOW("a frame without a whole header", sendto(raw, f, 13, 0, (struct sockaddr *)&a, sizeof a));
    SHOW("too long", sendto(raw, f, 1519, 0, (struct sockaddr *)&a, sizeof a));
    SHOW("MSG_OOB", sendto(raw, f, 30, MSG_OOB, (struct sockaddr *)&a, sizeof a));
    MUST(bind_ll(raw, "tap0", 0x88b5));
    SHOW("send on a bound socket", send(raw, f, 24, 0));
    show_wire("on the wire from it", tap);
    SHOW("write", write(raw, f, 25));
    show_wire("on the wire by write", tap);
    a.sll_halen = 6;
    memcpy(a.sll_addr, FAR_MAC, 6);
    SHOW("sendto without a header", sendto(cooked, "hello", 5, 0, (struct sockaddr *)&a, sizeof a));
    show_wire("a header was made", tap);
    SHOW("too long without a header", sendto(cooked, f, 1505, 0, (struct sockaddr *)&a, sizeof a));
    for (int i = 0; i < 3; i++)
        receive(label("heard going out %d", i), all);
    SHOW("who hears everything sends", send(all, f, 24, 0));
    show_wire("on the wire from that one", tap);
    nothing("it does not hear itself", all);
    a = ll_name("tun0", ETH_P_IP);
    unsigned char p[40] = { 0x45, 0, 0, 40 };
    SHOW("sendto by a tun", sendto(cooked, p, 40, 0, (struct sockaddr *)&a, sizeof a));
    show_wire("on the wire of the tun", tun);
    SHOW("sendto by a tun, raw", sendto(raw, p, 39, 0, (struct sockaddr *)&a, sizeof a));
    show_wire("on the wire of the tun, raw", tun);
    link_up("tap0", 0);
    a = ll_name("tap0", 0x88b5);
    SHOW("an interface that is down", sendto(raw, f, 30, 0, (struct sockaddr *)&a, sizeof a));
    link_up("tap0", 1);
    close(raw), close(cooked), close(all), close(arp);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    spit("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    tun = tun_attach("tun0", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    tap = tun_attach("tap0", IFF_TAP | IFF_NO_PI, O_NONBLOCK);
    struct ifreq ifr = { .ifr_hwaddr.sa_family = 1 };
    memcpy(ifr.ifr_hwaddr.sa_data, OWN_MAC, 6);
    MUST(if_request(SIOCSIFHWADDR, &ifr, "tap0"));
    link_up("tun0", 1);
    link_up("tap0", 1);
    names();
    heard();
    receives();
    filters();
    sends();
    return 0;
}
