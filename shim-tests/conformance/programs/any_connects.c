/* A socket that is bound to any address connects: which address it has then, and how it is seen at
 * the other end, on the loopback, at an own address and over the tunnel. */
#include "far_tcp.h"

static far tun;

static void show_datagrams(const char *where, const char *to, int no_port)
{
    char text[8] = "", what[60];
    snprintf(what, sizeof what, "datagrams, %s%s", where, no_port ? ", no port" : "");
    int hears = MUST(socket(FAMILY, SOCK_DGRAM, 0)), sock = MUST(socket(FAMILY, SOCK_DGRAM, 0));
    MUST(bind_to(hears, to, 0));
    if (no_port)
        MUST(setsockopt(sock, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &no_port, sizeof no_port));
    MUST(bind_to(sock, ANY, 0));
    name there = own_name(hears);
    SHOW(label("%s, connect", what), connect(sock, &there.sa, there.len));
    show_own(label("%s, its name", what), sock);
    SHOW(label("%s, send", what), send(sock, "hello", 5, 0));
    struct pollfd p = { .fd = hears, .events = POLLIN };
    if (poll(&p, 1, SOON) == 1) {
        name from = { .len = sizeof from.room }, own = own_name(sock);
        ssize_t n = recvfrom(hears, text, sizeof text, 0, &from.sa, &from.len);
        show_data(label("%s, received", what), n, text);
        say(label("%s, seen as", what), "%s, %s", shown(&from), memcmp(&own.sa, &from.sa, own.len) ? "another" : "itself");
        SHOW(label("%s, answered", what), sendto(hears, "answer", 6, 0, &from.sa, from.len));
        p.fd = sock;
        SHOW(label("%s, the answer is there", what), poll(&p, 1, SOON));
    }
    close(sock);
    close(hears);
}

static void show_connection(const char *where, const char *to, int no_port)
{
    static int port = 7000;
    char what[60];
    snprintf(what, sizeof what, "connection, %s%s", where, no_port ? ", no port" : "");
    int sock = MUST(socket(FAMILY, SOCK_STREAM, 0)), listening = listener(to, ++port, 5);
    if (no_port)
        MUST(setsockopt(sock, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &no_port, sizeof no_port));
    MUST(bind_to(sock, ANY, 0));
    name there = any_name(to, port);
    SHOW(label("%s, connect", what), connect(sock, &there.sa, there.len));
    show_own(label("%s, its name", what), sock);
    show_peer(label("%s, its peer", what), sock);
    name from, own = own_name(sock);
    int taken = MUST(accepted(listening, &from));
    say(label("%s, seen as", what), "%s, %s", shown(&from), memcmp(&own.sa, &from.sa, own.len) ? "another" : "itself");
    show_own(label("%s, accepted by", what), taken);
    show_peer(label("%s, accepted from", what), taken);
    close(taken);
    close(sock);
    close(listening);
}

/* What was sent before the socket got its name is heard with what is sent afterwards. */
static void show_before(const char *where, const char *to)
{
    int hears = MUST(socket(FAMILY, SOCK_DGRAM, 0)), sock = MUST(socket(FAMILY, SOCK_DGRAM, 0));
    MUST(bind_to(hears, to, 0));
    name there = own_name(hears);
    SHOW(label("%s, sent before", where), sendto(sock, "before", 6, 0, &there.sa, there.len));
    SHOW(label("%s, connected then", where), connect(sock, &there.sa, there.len));
    SHOW(label("%s, sent then", where), send(sock, "then", 4, 0));
    for (int i = 0; i < 2; i++) {
        char text[8] = "";
        struct pollfd p = { .fd = hears, .events = POLLIN };
        name from = { .len = sizeof from.room }, own = own_name(sock);
        ssize_t n = poll(&p, 1, SOON) == 1 ? recvfrom(hears, text, sizeof text, MSG_DONTWAIT, &from.sa, &from.len) : -2;
        show_data(label("%s, heard %d", where, i), n, text);
        if (n > 0)
            say(label("%s, heard %d from", where, i), "%s", memcmp(&own.sa, &from.sa, own.len) ? "another" : "itself");
    }
    close(sock);
    close(hears);
}

/* Datagrams are connected to a port that nobody has. */
static void show_nobody(const char *where, const char *to)
{
    int sock = MUST(socket(FAMILY, SOCK_DGRAM, 0));
    name there = any_name(to, 45123);
    MUST(bind_to(sock, ANY, 0));
    SHOW(label("%s, connect to nobody", where), connect(sock, &there.sa, there.len));
    show_own(label("%s, nobody, its name", where), sock);
    show_peer(label("%s, nobody, its peer", where), sock);
    SHOW(label("%s, nobody, send", where), send(sock, "hello", 5, 0));
    struct pollfd p = { .fd = sock, .events = POLLIN };
    SHOW(label("%s, nobody, poll", where), poll(&p, 1, SOON));
    SHOW(label("%s, nobody, send again", where), send(sock, "hello", 5, 0));
    close(sock);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    static const struct { const char *name, *address; } WHERE[] = { { "loopback", LOOP }, { "own", OWN }, { "other own", OWN2 } };
    for (int i = 0; i < 3; i++)
        show_before(WHERE[i].name, WHERE[i].address);
    for (int i = 0; i < 3; i++)
        show_nobody(WHERE[i].name, WHERE[i].address);
    for (int i = 0; i < 3; i++)
        for (int no_port = 0; no_port < 2; no_port++) {
            show_connection(WHERE[i].name, WHERE[i].address, no_port);
            show_datagrams(WHERE[i].name, WHERE[i].address, no_port);
        }
    return 0;
}
