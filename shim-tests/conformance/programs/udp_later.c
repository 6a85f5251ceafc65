/* A socket of UDP connects to an own address where nobody is bound yet: it hears that nobody is
 * there, and reaches whoever is bound there later, by every call that sends, and is reached. */
#include "far.h"

static far tun;

static void hears(const char *what, int sock, name *from)
{
    char text[16] = "";
    struct pollfd p = { .fd = sock, .events = POLLIN };
    from->len = sizeof from->room;
    ssize_t n = poll(&p, 1, SOON) == 1 ? recvfrom(sock, text, sizeof text, MSG_DONTWAIT, &from->sa, &from->len) : -2;
    show_data(what, n, text);
}

static void show_pair(const char *where, const char *to, const char *bound)
{
    name from, there = any_name(to, 4567);
    int sock = MUST(socket(FAMILY, SOCK_DGRAM, 0)), later = MUST(socket(FAMILY, SOCK_DGRAM, 0));
    SHOW(label("%s, connect", where), connect(sock, &there.sa, there.len));
    show_peer(label("%s, peer", where), sock);
    SHOW(label("%s, send to nobody", where), send(sock, "one", 3, 0));
    struct pollfd p = { .fd = sock, .events = POLLIN };
    SHOW(label("%s, poll", where), poll(&p, 1, SOON));
    SHOW(label("%s, send again", where), send(sock, "two", 3, 0));
    MUST(bind_to(later, bound, 4567));
    name own = own_name(sock);
    struct iovec part = { "parts", 5 };
    struct mmsghdr both[2] = { { .msg_hdr = { .msg_iov = &part, .msg_iovlen = 1 } }, { .msg_hdr = { .msg_iov = &part, .msg_iovlen = 1 } } };
    SHOW(label("%s, send", where), send(sock, "sent", 4, 0));
    hears(label("%s, heard of send", where), later, &from);
    say(label("%s, from", where), "%s", memcmp(&own.sa, &from.sa, own.len) ? "another" : "itself");
    SHOW(label("%s, write", where), write(sock, "wrote", 5));
    hears(label("%s, heard of write", where), later, &from);
    SHOW(label("%s, sendmsg", where), sendmsg(sock, &both[0].msg_hdr, 0));
    hears(label("%s, heard of sendmsg", where), later, &from);
    SHOW(label("%s, sendmmsg", where), sendmmsg(sock, both, 2, 0));
    hears(label("%s, heard of sendmmsg", where), later, &from);
    hears(label("%s, heard of sendmmsg too", where), later, &from);
    SHOW(label("%s, answer", where), sendto(later, "answer", 6, 0, &own.sa, own.len));
    hears(label("%s, heard the answer", where), sock, &from);
    SHOW(label("%s, connect back", where), connect(later, &own.sa, own.len));
    SHOW(label("%s, send back", where), send(later, "back", 4, 0));
    hears(label("%s, heard back", where), sock, &from);
    SHOW(label("%s, send forth", where), send(sock, "forth", 5, 0));
    hears(label("%s, heard forth", where), later, &from);
    close(later);
    SHOW(label("%s, send after the end", where), send(sock, "gone", 4, 0));
    SHOW(label("%s, poll after the end", where), poll(&p, 1, SOON));
    SHOW(label("%s, its error", where), send(sock, "gone", 4, 0));
    close(sock);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    show_pair("own", OWN, OWN);
    show_pair("other own", OWN2, OWN2);
    show_pair("any", OWN, ANY);
    return 0;
}
