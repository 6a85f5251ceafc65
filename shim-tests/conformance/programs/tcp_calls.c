/* Calls on sockets of a tunnel that are made more seldom: what they are told about a socket in each
 * of its states, with arguments that are wrong, and by other roads. */
#include "far_tcp.h"
#include <sys/sendfile.h>
#include <sys/time.h>

#ifndef SO_INCOMING_NAPI_ID
#define SO_INCOMING_NAPI_ID 56
#endif

static far tun;
static tcp c;
static char buf[70000];

static int new_socket(int type) { return MUST(socket(FAMILY, type | SOCK_CLOEXEC, 0)); }

static int connected(int port)
{
    int sock = new_socket(SOCK_STREAM | SOCK_NONBLOCK);
    (void)connect_to(sock, FAR, port);
    if (!tcp_await(&c, &tun, port, SOON))
        die("no SYN");
    tcp_take(&c);
    if (!EVENTUALLY(now_events(sock, POLLOUT), SOON))
        die("not connected");
    return sock;
}

/* What a socket says of itself. */
static void show_self(const char *what, int sock)
{
    static const struct { const char *what; int option; } all[] = {
        { "SO_DOMAIN", SO_DOMAIN }, { "SO_TYPE", SO_TYPE }, { "SO_PROTOCOL", SO_PROTOCOL },
        { "SO_ACCEPTCONN", SO_ACCEPTCONN }, { "SO_BINDTOIFINDEX", SO_BINDTOIFINDEX },
        { "SO_REUSEADDR", SO_REUSEADDR }, { "SO_REUSEPORT", SO_REUSEPORT }, { "SO_KEEPALIVE", SO_KEEPALIVE },
        { "SO_OOBINLINE", SO_OOBINLINE }, { "SO_DONTROUTE", SO_DONTROUTE }, { "SO_RCVLOWAT", SO_RCVLOWAT },
        { "SO_BROADCAST", SO_BROADCAST },
    };
    char line[400] = "", device[IFNAMSIZ] = "?";
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int value = option_of(sock, SOL_SOCKET, all[i].option);
        append(line, sizeof line, " %s=%d", all[i].what, all[i].option == SO_DOMAIN ? value == FAMILY : value);
    }
    socklen_t len = sizeof device;
    int got = getsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, device, &len);
    append(line, sizeof line, " SO_BINDTODEVICE=%d/%u", got, len);
    say(what, "%s", line + 1);
}

static void show_names(const char *what, int sock)
{
    show_own(label("%s, own", what), sock);
    show_peer(label("%s, peer", what), sock);
}

/* Names in room that is too small, or none. */
static void names(const char *what, int sock)
{
    unsigned char room[40];
    static const socklen_t sizes[] = { 0, 1, 4, 16, 40 };
    int (*const calls[])(int, struct sockaddr *, socklen_t *) = { (void *)getsockname, (void *)getpeername };
    for (int which = 0; which < 2; which++) {
        const char *call = which ? "getpeername" : "getsockname";
        socklen_t len;
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            int got = 0, kept = 0;
            /* A port may look like what was there before. */
            for (int fill = 0x55; fill <= 0xaa; fill += 0x55) {
                memset(room, fill, sizeof room);
                len = sizes[i];
                got = calls[which](sock, (void *)room, &len);
                for (int at = 40; at > kept; at--)
                    if (room[at - 1] != fill)
                        kept = at;
            }
            say(label("%s, %s into %u", what, call, sizes[i]), "%d len=%u stored=%d", got, len, kept);
        }
        len = 28;
        SHOW(label("%s, %s to a bad pointer", what, call), calls[which](sock, BAD_POINTER, &len));
        SHOW(label("%s, %s with a bad length", what, call), calls[which](sock, (void *)room, BAD_POINTER));
        SHOW(label("%s, %s without a length", what, call), calls[which](sock, (void *)room, NULL));
        len = -1;
        SHOW(label("%s, %s with a negative length", what, call), calls[which](sock, (void *)room, &len));
    }
}

static void options(const char *what, int sock, int level, int option, int size)
{
    unsigned char room[8];
    for (int give = 0; give <= 8; give += give == 1 ? 2 : give == 3 ? 1 : give == 4 ? 4 : 1) {
        memset(room, 0x55, sizeof room);
        socklen_t len = give;
        int got = getsockopt(sock, level, option, room, &len), kept = 8;
        while (kept && room[kept - 1] == 0x55)
            kept--;
        say(label("%s into %d", what, give), "%d len=%u stored=%d", got, len, got ? 0 : kept);
    }
    socklen_t len = size;
    SHOW(label("%s to a bad pointer", what), getsockopt(sock, level, option, BAD_POINTER, &len));
    SHOW(label("%s with a bad length", what), getsockopt(sock, level, option, room, BAD_POINTER));
    len = -1;
    SHOW(label("%s with a negative length", what), getsockopt(sock, level, option, room, &len));
}

static void states(void)
{
    int sock = new_socket(SOCK_STREAM | SOCK_NONBLOCK);
    show_self("new", sock);
    show_names("new", sock);
    SHOW("new, shutdown", shutdown(sock, SHUT_WR));
    SHOW("new, accept", accept(sock, NULL, NULL));
    SHOW("new, disconnect", connect(sock, &(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof(struct sockaddr)));
    show_names("new, disconnected", sock);
    MUST(bind_to(sock, OWN, 8080));
    show_self("bound", sock);
    show_names("bound", sock);
    SHOW("bound, shutdown", shutdown(sock, SHUT_WR));
    SHOW("bound, disconnect", connect(sock, &(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof(struct sockaddr)));
    show_names("bound, disconnected", sock);
    SHOW("listen", listen(sock, 3));
    show_self("listening", sock);
    show_names("listening", sock);
    SHOW("listening, listen again", listen(sock, 5));
    SHOW("listening, send", send(sock, "x", 1, MSG_NOSIGNAL));
    SHOW("listening, recv", recv(sock, buf, 1, 0));
    int n = -1;
    SHOW("listening, FIONREAD", ioctl(sock, FIONREAD, &n));
    SHOW("listening, SIOCATMARK", ioctl(sock, SIOCATMARK, &n));
    tcp client;
    say("listening, a connection", "%s", segment_bits(tcp_dial(&client, &tun, FAR, 4000, OWN, 8080, SOON)));
    name peer;
    int got = accepted(sock, &peer);
    say("accepted from", "%s", shown(&peer));
    show_self("accepted", got);
    show_names("accepted", got);
    SHOW("listening, shutdown", shutdown(sock, SHUT_RD));
    show_state("listening, shut, poll", sock, POLLHUP);
    SHOW("listening, shut, accept", accept(sock, NULL, NULL));
    say("listening, shut, a connection", "%s", segment_bits(tcp_dial(&client, &tun, FAR, 4001, OWN, 8080, SOON)));
    show_names("listening, shut", sock);
    SHOW("listening, listen once more", listen(sock, 5));
    say("listening once more, a connection", "%s", segment_bits(tcp_dial(&client, &tun, FAR, 4002, OWN, 8080, SOON)));
    SHOW("listening, disconnect", connect(sock, &(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof(struct sockaddr)));
    show_names("listening, disconnected", sock);
    say("listening, disconnected, a connection", "%s", segment_bits(tcp_dial(&client, &tun, FAR, 4003, OWN, 8080, SOON)));
    close(got);
    close(sock);
    far_drain(&tun);
    sock = connected(80);
    show_self("connected", sock);
    show_names("connected", sock);
    names("connected", sock);
    options("SO_ERROR", sock, SOL_SOCKET, SO_ERROR, 4);
    options("TCP_MAXSEG", sock, IPPROTO_TCP, TCP_MAXSEG, 4);
    show_error("SO_ERROR after all", sock);
    SHOW("connected, bind", bind_to(sock, OWN, 0));
    SHOW("connected, accept", accept(sock, NULL, NULL));
    SHOW("connected, IP_MTU", option_of(sock, FAMILY == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP, FAMILY == AF_INET6 ? IPV6_MTU : IP_MTU));
    close(sock);
    far_drain(&tun);
    sock = new_socket(SOCK_STREAM);
    SHOW("not connected, IP_MTU", option_of(sock, FAMILY == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP, FAMILY == AF_INET6 ? IPV6_MTU : IP_MTU));
    close(sock);
}

static void accepts(void)
{
    int sock = listener(OWN, 8090, 5);
    unsigned char room[40];
    static const socklen_t sizes[] = { 0, 2, 16, 40 };
    tcp client;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        tcp_dial(&client, &tun, FAR, 4100 + i, OWN, 8090, SOON);
        (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
        memset(room, 0x55, sizeof room);
        socklen_t len = sizes[i];
        int got = accept(sock, (void *)room, &len), kept = 40;
        while (kept && room[kept - 1] == 0x55)
            kept--;
        say(label("accept into %u", sizes[i]), "%d len=%u stored=%d", got >= 0, len, kept);
        close(got);
    }
    tcp_dial(&client, &tun, FAR, 4110, OWN, 8090, SOON);
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    socklen_t len = 28;
    SHOW("accept to a bad pointer", accept(sock, BAD_POINTER, &len));
    SHOW("accept, it is gone", accept(sock, NULL, NULL));
    tcp_dial(&client, &tun, FAR, 4111, OWN, 8090, SOON);
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    SHOW("accept with a bad length", accept(sock, (void *)room, BAD_POINTER));
    SHOW("accept, it is gone, too", accept(sock, NULL, NULL));
    tcp_dial(&client, &tun, FAR, 4112, OWN, 8090, SOON);
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    len = -1;
    SHOW("accept with a negative length", accept(sock, (void *)room, &len));
    SHOW("accept4 with a wrong flag", accept4(sock, NULL, NULL, 1));
    tcp_dial(&client, &tun, FAR, 4113, OWN, 8090, SOON);
    int got = accepted(sock, NULL);
    say("accepted, FD_CLOEXEC", "%d", fcntl(got, F_GETFD));
    say("accepted, O_NONBLOCK", "%d", !!(fcntl(got, F_GETFL) & O_NONBLOCK));
    int on = 1;
    SHOW("FIONBIO", ioctl(got, FIONBIO, &on));
    say("FIONBIO, O_NONBLOCK", "%d", !!(fcntl(got, F_GETFL) & O_NONBLOCK));
    SHOW("FIONBIO, recv", recv(got, buf, 1, 0));
    close(got);
    close(sock);
    sock = listener(OWN, 8091, 5);
    SHOW("TCP_DEFER_ACCEPT", option(sock, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5));
    SHOW("TCP_FASTOPEN", option(sock, IPPROTO_TCP, TCP_FASTOPEN, 5));
    close(sock);
    far_drain(&tun);
}

static void pending(void)
{
    int sock = new_socket(SOCK_STREAM);
    struct timeval limit = { .tv_usec = 30000 };
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    SHOW("SO_SNDTIMEO, connect", connect_to(sock, FAR, 99));
    SHOW("SO_SNDTIMEO, send", send(sock, "x", 1, MSG_NOSIGNAL));
    SHOW("SO_SNDTIMEO, recv", recv(sock, buf, 1, 0));
    SHOW("pending, shutdown", shutdown(sock, SHUT_RDWR));
    show_state("pending and shut, poll", sock, POLLHUP);
    show_error("pending and shut, SO_ERROR", sock);
    SHOW("pending and shut, connect", connect_to(sock, FAR, 99));
    close(sock);
    far_drain(&tun);
    sock = new_socket(SOCK_STREAM);
    int on = 1;
    SHOW("FIONBIO before connect", ioctl(sock, FIONBIO, &on));
    SHOW("FIONBIO, connect", connect_to(sock, FAR, 98));
    SHOW("FIONBIO, bind", bind_to(sock, OWN, 0));
    SHOW("FIONBIO, listen", listen(sock, 1));
    if (!tcp_await(&c, &tun, 98, SOON))
        die("no SYN");
    tcp_take(&c);
    show_state("FIONBIO, taken", sock, POLLOUT);
    close(sock);
    far_drain(&tun);
    sock = new_socket(SOCK_STREAM | SOCK_NONBLOCK);
    SHOW("TCP_FASTOPEN_CONNECT", option(sock, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1));
    close(sock);
    sock = new_socket(SOCK_STREAM | SOCK_NONBLOCK);
    SHOW("a closed port of its own", connect_to(sock, OWN, 7777));
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    show_error("a closed port of its own, SO_ERROR", sock);
    close(sock);
}

static void reads(void)
{
    int sock = connected(80), ends[2];
    tcp_say(&c, ACK | PSH, "abcdefgh", 8);
    has_bytes(sock, 8);
    memset(buf, 0, 16);
    SHOW("MSG_PEEK", recv(sock, buf, 4, MSG_PEEK));
    SHOW("MSG_PEEK|MSG_TRUNC", recv(sock, buf, 4, MSG_PEEK | MSG_TRUNC));
    SHOW("MSG_TRUNC", recv(sock, NULL, 2, MSG_TRUNC));
    SHOW("MSG_WAITALL|MSG_DONTWAIT", recv(sock, buf, 16, MSG_WAITALL | MSG_DONTWAIT));
    SHOW("nothing left", recv(sock, buf, 16, MSG_DONTWAIT));
    SHOW("nothing left, MSG_ERRQUEUE", recv(sock, buf, 16, MSG_ERRQUEUE));
    name from = { .len = sizeof from.room };
    tcp_say(&c, ACK | PSH, "ijkl", 4);
    has_bytes(sock, 4);
    ssize_t n = recvfrom(sock, buf, 4, 0, &from.sa, &from.len);
    say("recvfrom", "%zd len=%u", n, from.len);
    tcp_say(&c, ACK | PSH, "mnop", 4);
    has_bytes(sock, 4);
    SHOW("to a bad pointer", recv(sock, BAD_POINTER, 4, 0));
    SHOW("after that", recv(sock, buf, 4, 0));
    MUST(pipe(ends));
    tcp_say(&c, ACK | PSH, "qrst", 4);
    has_bytes(sock, 4);
    SHOW("splice out", splice(sock, NULL, ends[1], NULL, 10, SPLICE_F_NONBLOCK));
    SHOW("splice in", splice(ends[0], NULL, sock, NULL, 10, 0));
    tcp_show(&c, "splice in, what comes");
    SHOW("sendto with a name", send_to(sock, FAR2, 9, "named", 5));
    tcp_show(&c, "sendto with a name, what comes");
    SHOW("send to a bad pointer", send(sock, BAD_POINTER, 4, 0));
    SHOW("send of nothing", send(sock, buf, 0, 0));
    int copy = MUST(dup(sock));
    close(sock);
    show_names("the copy", copy);
    tcp_say(&c, ACK | PSH, "uv", 2);
    has_bytes(copy, 2);
    SHOW("the copy, read", read(copy, buf, 10));
    SHOW("the copy, shutdown for reading", shutdown(copy, SHUT_RD));
    SHOW("shut for reading, recv", recv(copy, buf, 1, MSG_DONTWAIT));
    show_state("shut for reading, poll", copy, 0);
    SHOW("shut for reading, send", send(copy, "w", 1, 0));
    tcp_show(&c, "shut for reading, what comes");
    SHOW("shutdown for writing", shutdown(copy, SHUT_WR));
    tcp_show(&c, "shutdown for writing, what comes");
    SHOW("shut for writing, send", send(copy, "w", 1, MSG_NOSIGNAL));
    SHOW("shutdown with a wrong number", shutdown(copy, 3));
    show_names("shut", copy);
    tcp_say(&c, FIN | ACK, NULL, 0);
    (void)EVENTUALLY(!peer_name(copy).len, SOON);
    show_names("over", copy);
    SHOW("over, shutdown", shutdown(copy, SHUT_RDWR));
    close(copy);
    sock = connected(81);
    tcp_say(&c, RST | ACK, NULL, 0);
    (void)EVENTUALLY(now_events(sock, POLLHUP), SOON);
    show_names("reset", sock);
    SHOW("reset, shutdown", shutdown(sock, SHUT_RDWR));
    show_error("reset, SO_ERROR", sock);
    show_error("reset, SO_ERROR again", sock);
    SHOW("reset, send", send(sock, "x", 1, MSG_NOSIGNAL));
    SHOW("reset, recv", recv(sock, buf, 1, 0));
    SHOW("reset, connect", connect_to(sock, FAR, 82));
    SHOW("reset, connect again", connect_to(sock, FAR, 82));
    close(sock);
    far_drain(&tun);
}

static void refused(void)
{
    static const char *const how[] = { "recv", "send", "read", "write", "sendmsg", "recvmsg", "readv", "writev" };
    for (int i = 0; i < 8; i++) {
        int sock = new_socket(SOCK_STREAM | SOCK_NONBLOCK);
        (void)connect_to(sock, FAR, 1);
        if (!tcp_await(&c, &tun, 1, SOON))
            die("no SYN");
        if (i & 1)
            pause_ms(10);
        tcp_refuse(&c);
        (void)EVENTUALLY(now_events(sock, POLLHUP), SOON);
        struct iovec iov = { buf, 1 };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
        signal(SIGPIPE, SIG_IGN);
        ssize_t n = i == 0 ? recv(sock, buf, 1, 0) : i == 1 ? send(sock, buf, 1, 0) : i == 2 ? read(sock, buf, 1) :
                    i == 3 ? write(sock, buf, 1) : i == 4 ? sendmsg(sock, &m, 0) : i == 5 ? recvmsg(sock, &m, 0) :
                    i == 6 ? readv(sock, &iov, 1) : writev(sock, &iov, 1);
        int why = errno;
        SHOW(label("refused, %s", how[i]), (errno = why, n));
        show_error(label("refused, %s, SO_ERROR", how[i]), sock);
        close(sock);
    }
}

static void datagrams(void)
{
    int sock = new_socket(SOCK_DGRAM | SOCK_NONBLOCK);
    show_self("datagrams", sock);
    show_names("datagrams", sock);
    SHOW("datagrams, listen", listen(sock, 1));
    SHOW("datagrams, accept", accept(sock, NULL, NULL));
    SHOW("datagrams, shutdown", shutdown(sock, SHUT_RDWR));
    SHOW("datagrams, recv after shutdown", recv(sock, buf, 1, MSG_DONTWAIT));
    SHOW("datagrams, send to nobody", send(sock, "x", 1, 0));
    SHOW("datagrams, connect", connect_to(sock, FAR, 9000));
    show_names("datagrams, connected", sock);
    names("datagrams", sock);
    SHOW("datagrams, shutdown when connected", shutdown(sock, SHUT_RD));
    show_state("datagrams, shut, poll", sock, 0);
    SHOW("datagrams, shut, recv", recv(sock, buf, 1, MSG_DONTWAIT));
    SHOW("datagrams, shut, send", send(sock, "x", 1, 0));
    close(sock);
    sock = new_socket(SOCK_DGRAM | SOCK_NONBLOCK);
    MUST(bind_to(sock, OWN, 5000));
    far_udp(&tun, FAR, 9000, OWN, 5000, "abcdefgh", 8);
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    int n = 0;
    ioctl(sock, FIONREAD, &n);
    say("datagrams, FIONREAD", "%d", n);
    SHOW("datagrams, MSG_PEEK", recv(sock, buf, 4, MSG_PEEK));
    SHOW("datagrams, MSG_PEEK|MSG_TRUNC", recv(sock, buf, 4, MSG_PEEK | MSG_TRUNC));
    SHOW("datagrams, MSG_WAITALL", recv(sock, buf, 20, MSG_WAITALL));
    far_udp(&tun, FAR, 9000, OWN, 5000, "abcdefgh", 8);
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    SHOW("datagrams, to a bad pointer", recv(sock, BAD_POINTER, 8, 0));
    SHOW("datagrams, after that", recv(sock, buf, 8, 0));
    far_udp(&tun, FAR, 9000, OWN, 5000, "abcdefgh", 8);
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    SHOW("datagrams, of no bytes", recv(sock, buf, 0, 0));
    SHOW("datagrams, it is gone", recv(sock, buf, 8, 0));
    static const socklen_t sizes[] = { 0, 2, 16, 40 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char room[40];
        far_udp(&tun, FAR, 9000, OWN, 5000, "x", 1);
        (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
        memset(room, 0x55, sizeof room);
        socklen_t len = sizes[i];
        ssize_t got = recvfrom(sock, buf, 8, 0, (void *)room, &len);
        int kept = 40;
        while (kept && room[kept - 1] == 0x55)
            kept--;
        say(label("datagrams, recvfrom into %u", sizes[i]), "%zd len=%u stored=%d", got, len, kept);
    }
    far_udp(&tun, FAR, 9000, OWN, 5000, "x", 1);
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    socklen_t len = -1;
    name from;
    SHOW("datagrams, recvfrom with a negative length", recvfrom(sock, buf, 8, 0, &from.sa, &len));
    socklen_t *volatile bad = BAD_POINTER;
    SHOW("datagrams, recvfrom with a bad length", recvfrom(sock, buf, 8, MSG_DONTWAIT, &from.sa, bad));
    (void)recv(sock, buf, 8, MSG_DONTWAIT);
    memset(&from, 0, sizeof from);
    SHOW("datagrams, sendto a short name", sendto(sock, "x", 1, 0, &from.sa, 3));
    name to = any_name(FAR, 9000);
    SHOW("datagrams, sendto a name cut short", sendto(sock, "x", 1, 0, &to.sa, to.len - 5));
    SHOW("datagrams, sendto a bad name", sendto(sock, "x", 1, 0, BAD_POINTER, to.len));
    SHOW("datagrams, sendto from a bad pointer", sendto(sock, BAD_POINTER, 8, 0, &to.sa, to.len));
    SHOW("datagrams, sendto port 0", send_to(sock, FAR, 0, "x", 1));
    SHOW("datagrams, too long", send_to(sock, FAR, 9000, buf, 65536));
    SHOW("datagrams, sendmsg of a bad pointer", sendmsg(sock, BAD_POINTER, 0));
    SHOW("datagrams, recvmsg of a bad pointer", recvmsg(sock, BAD_POINTER, MSG_DONTWAIT));
    to.sa.sa_family = AF_UNIX;
    SHOW("datagrams, sendto another family", sendto(sock, "x", 1, 0, &to.sa, to.len));
    SHOW("datagrams, sendfile", ({ int f = open("/etc/hostname", O_RDONLY); int r = (int)sendfile(sock, f, NULL, 1); close(f); r; }));
    SHOW("datagrams, disconnect", connect(sock, &(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof(struct sockaddr)));
    show_names("datagrams, disconnected", sock);
    close(sock);
    far_drain(&tun);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    states();
    accepts();
    pending();
    reads();
    refused();
    datagrams();
    return 0;
}
