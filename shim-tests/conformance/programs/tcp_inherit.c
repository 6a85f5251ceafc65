/* Connections in other processes and under other numbers: the names stay, and so does what is
 * sent. */
#include "far_tcp.h"

static far tun;

static int connected(tcp *c, int port)
{
    int sock = MUST(socket(FAMILY, SOCK_STREAM | SOCK_NONBLOCK, 0));
    (void)connect_to(sock, FAR, port);
    if (!tcp_await(c, &tun, port, SOON))
        die("no SYN");
    tcp_take(c);
    if (!EVENTUALLY(now_events(sock, POLLOUT), SOON))
        die("not connected");
    return sock;
}

static int datagrams(void)
{
    int sock = MUST(socket(FAMILY, SOCK_DGRAM, 0));
    MUST(bind_to(sock, OWN, 5000));
    MUST(connect_to(sock, FAR, 9000));
    return sock;
}

static void show_names(const char *what, int sock)
{
    name own = own_name(sock), peer = peer_name(sock);
    say(what, "%s %s", shown(&own), shown(&peer));
}

/* What a program prints that was started with descriptors 100 and more. */
static int names_of_descriptors(void)
{
    alarm(WATCHDOG_SECONDS);
    setvbuf(stdout, NULL, _IOLBF, 0);
    show_names("exec, connection", 100);
    SHOW("exec, send", send(100, "exec", 4, 0));
    show_names("exec, listener", 101);
    name peer;
    int got = accepted(101, &peer);
    say("exec, accept", "%d %s", got >= 0, shown(&peer));
    show_names("exec, accepted", got);
    SHOW("exec, answer", send(got, "welcome", 7, 0));
    close(got);
    show_names("exec, datagrams", 102);
    SHOW("exec, datagram", send(102, "datagram", 8, 0));
    int sock = MUST(socket(FAMILY, SOCK_DGRAM, 0));
    SHOW("exec, a socket of its own", send_to(sock, FAR, 9001, "own", 3));
    show_names("exec, its name", sock);
    return 0;
}

int main(int argc, char **argv)
{
    static tcp c, other;
    static seen s;
    if (argc > 1 && !strcmp(argv[1], "--names"))
        return names_of_descriptors();
    tun = far_start(argc, argv);
    int sock = connected(&c, 80), copy = MUST(dup(sock)), high = MUST(dup2(sock, 700));
    show_names("dup", copy);
    show_names("dup2", high);
    show_names("F_DUPFD", MUST(fcntl(sock, F_DUPFD_CLOEXEC, 300)));
    close(300);
    SHOW("dup, send", send(copy, "dup", 3, 0));
    tcp_show(&c, "dup, comes");
    SHOW("dup2, write", write(high, "dup2", 4));
    tcp_show(&c, "dup2, comes");
    close(copy);
    close(high);
    tcp_show_nothing(&c, "copies closed");

    pid_t pid = child();
    if (!pid) {
        show_names("fork", sock);
        SHOW("fork, send", send(sock, "child", 5, 0));
        int mine = MUST(socket(FAMILY, SOCK_DGRAM, 0));
        SHOW("fork, a socket of its own", send_to(mine, FAR, 9000, "mine", 4));
        show_names("fork, its name", mine);
        _exit(0);
    }
    say("fork, ends", "%s", finish(pid));
    tcp_show(&c, "fork, comes");
    SHOW("fork, the parent sends", send(sock, "parent", 6, 0));
    tcp_show(&c, "fork, comes from the parent");
    far_drain(&tun);

    /* Made in a child, and used here. */
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    char control[CMSG_SPACE(sizeof(int))], byte = 'x';
    struct iovec iov = { &byte, 1 };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    pid = child();
    if (!pid) {
        int made = connected(&other, 81);
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(h), &made, sizeof made);
        MUST(sendmsg(pair[1], &m, 0));
        _exit(0);
    }
    MUST(recvmsg(pair[0], &m, 0));
    say("SCM_RIGHTS, the child ends", "%s", finish(pid));
    int passed;
    memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof passed);
    show_names("SCM_RIGHTS", passed);
    SHOW("SCM_RIGHTS, send", send(passed, "passed", 6, 0));
    int came = 0;
    while (!came && far_next(&tun, &s, SOON))
        if (s.proto == IPPROTO_TCP && s.to_port == 81 && s.len > (size_t)(s.data[12] >> 4) * 4)
            came = s.len - (s.data[12] >> 4) * 4;
    say("SCM_RIGHTS, bytes that come", "%d", came);
    close(passed);
    far_drain(&tun);

    int waits = listener(OWN, 8080, 5), udp = datagrams();
    if (tcp_dial(&other, &tun, FAR, 4001, OWN, 8080, SOON) != (SYN | ACK))
        die("no SYN|ACK");
    fflush(stdout);
    pid = child();
    if (!pid) {
        MUST(dup2(sock, 100));
        MUST(dup2(waits, 101));
        MUST(dup2(udp, 102));
        execl("/proc/self/exe", argv[0], "--names", (char *)NULL);
        _exit(126);
    }
    say("exec, ends", "%s", finish(pid));
    int datagram = 0, own = 0, from_exec = 0, welcome = 0;
    while (far_next(&tun, &s, NEVER)) {
        datagram |= s.proto == IPPROTO_UDP && s.from_port == 5000 && s.len == 8;
        own |= s.proto == IPPROTO_UDP && s.to_port == 9001;
        from_exec |= s.proto == IPPROTO_TCP && s.to_port == 80 && s.len - (s.data[12] >> 4) * 4 == 4;
        welcome |= s.proto == IPPROTO_TCP && s.to_port == 4001 && s.len - (s.data[12] >> 4) * 4 == 7;
    }
    say("exec, what comes", "connection %d, accepted %d, datagram %d, its own %d", from_exec, welcome, datagram, own);
    show_names("exec, here", udp);
    close(udp);
    close(waits);

    /* The last descriptor is closed by the end of a process. */
    udp = datagrams();
    pid = child();
    if (!pid) {
        (void)connected(&other, 82);
        _exit(0);
    }
    finish(pid);
    int end = 0;
    while (!end && far_next(&tun, &s, SOON))
        end = s.proto == IPPROTO_TCP && s.to_port == 82 ? s.data[13] & (FIN | RST) : 0;
    say("a process ends with a connection", "%s", segment_bits(end));
    pid = child();
    if (!pid) {
        (void)connected(&other, 83);
        kill(getpid(), SIGKILL);
    }
    say("killed", "%s", finish(pid));
    end = 0;
    while (!end && far_next(&tun, &s, SOON))
        end = s.proto == IPPROTO_TCP && s.to_port == 83 ? s.data[13] & (FIN | RST) : 0;
    say("a process is killed with a connection", "%s", segment_bits(end));
    return 0;
}
