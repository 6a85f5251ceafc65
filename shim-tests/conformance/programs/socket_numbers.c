/* Numbers that sockets of UDP have had: another socket under the same number is received from and
 * sent to as what it is. Some close without a function of libc's. */
#include "far_tcp.h"
#include <sys/syscall.h>

static far tun;

/* Closes by the call, not by libc's function of that name. */
static void close_raw(int fd) { MUST(syscall(SYS_close, fd)); }

static void close_range_of(int fd) { MUST(close_range(fd, fd, 0)); }

static void close_plain(int fd) { MUST(close(fd)); }

static const struct {
    const char *name;
    void (*close)(int);
} WAYS[] = { { "close", close_plain }, { "by number", close_raw }, { "close_range", close_range_of } };

/* A socket of UDP that the net knows is closed, and so its number is the next one. */
static void leave_number(void (*close_it)(int))
{
    int sock = MUST(socket(FAMILY, SOCK_DGRAM, 0));
    MUST(bind_to(sock, OWN, 0));
    close_it(sock);
}

/* What is received in pieces, by each call that receives. */
static void show_pieces(const char *what, int from, int to)
{
    char text[8] = "";
    SHOW(label("%s, send", what), send(to, "abcdefghijkl", 12, 0));
    ssize_t n = recv(from, text, 2, 0);
    show_data(label("%s, recv", what), n, text);
    n = recvfrom(from, text, 2, 0, NULL, NULL);
    show_data(label("%s, recvfrom", what), n, text);
    n = read(from, text, 2);
    show_data(label("%s, read", what), n, text);
    struct iovec two[] = { { text, 1 }, { text + 1, 1 } };
    n = readv(from, two, 2);
    show_data(label("%s, readv", what), n, text);
    struct msghdr message = { .msg_iov = two, .msg_iovlen = 2 };
    n = recvmsg(from, &message, 0);
    show_data(label("%s, recvmsg", what), n, text);
    struct mmsghdr many = { .msg_hdr = { .msg_iov = two, .msg_iovlen = 2 } };
    SHOW(label("%s, recvmmsg", what), recvmmsg(from, &many, 1, 0, NULL));
    show_data(label("%s, received by that", what), many.msg_len, text);
    SHOW(label("%s, nothing more", what), recv(from, text, 2, MSG_DONTWAIT));
}

int main(int argc, char **argv)
{
    static tcp c;
    tun = far_start(argc, argv);
    int listening = listener(OWN, 7000, 8);
    for (unsigned i = 0; i < sizeof WAYS / sizeof *WAYS; i++) {
        const char *way = WAYS[i].name;
        int pair[2], other = MUST(socket(FAMILY, SOCK_DGRAM, 0));
        MUST(bind_to(other, OWN, 0));
        int low = MUST(socket(FAMILY, SOCK_DGRAM, 0));
        MUST(bind_to(low, OWN, 0));
        WAYS[i].close(other);
        WAYS[i].close(low);
        MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
        say(label("%s, the numbers", way), "%s", pair[0] == other && pair[1] == low ? "the same" : "others");
        char what[40];
        snprintf(what, sizeof what, "%s, pair", way);
        show_pieces(what, pair[0], pair[1]);
        close(pair[0]);
        close(pair[1]);

        if (tcp_dial(&c, &tun, FAR, 6000 + i, OWN, 7000, SOON) != (SYN | ACK))
            die("no answer");
        leave_number(WAYS[i].close);
        int taken = MUST(accepted(listening, NULL));
        tcp_say(&c, PSH | ACK, "abcdefghijkl", 12);
        if (!EVENTUALLY(has_bytes(taken, 12), SOON))
            die("no bytes");
        far_drain(&tun);
        char text[8];
        ssize_t n = recv(taken, text, 2, 0);
        show_data(label("%s, accepted, recv", way), n, text);
        n = read(taken, text, 3);
        show_data(label("%s, accepted, read", way), n, text);
        n = recv(taken, text, 7, 0);
        show_data(label("%s, accepted, the rest", way), n, text);
        SHOW(label("%s, accepted, send", way), send(taken, "answer", 6, 0));
        tcp_show(&c, label("%s, accepted, what is sent", way));
        close(taken);
        far_drain(&tun);
    }
    return 0;
}
