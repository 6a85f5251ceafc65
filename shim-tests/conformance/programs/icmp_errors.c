/* Errors: how many of them one host gets, what is never answered by one, and the way from a tap to
   a neighbour that does not answer. */
#include "wire.h"

static wire w, tap;
static pkt p;

#define OWN "10.9.0.1"
#define OWN6 "fd09::1"

static void answers(const char *what, int v6) { show_answers(what, &w, v6 ? "fd09::99" : "10.9.0.99", v6 ? OWN6 : OWN); }

/* How many errors come of `count` datagrams that are sent at once. */
static void many(const char *what, int count, int v6, int same)
{
    static unsigned char f[70100];
    static pkt end;
    int errors = 0;
    for (int i = 0; i < count; i++) {
        char from[40];
        snprintf(from, sizeof from, v6 ? "fd09::%x" : "10.9.0.%d", same ? 200 : 100 + i);
        send_packet(&w, udp(&p, from, v6 ? OWN6 : OWN, 1000, 2000, 10));
    }
    send_packet(&w, echo(&end, v6 ? "fd09::99" : "10.9.0.99", v6 ? OWN6 : OWN, 1, 1, 4));
    for (;;) {
        ssize_t n = next_frame(&w, f, sizeof f, 3000);
        if (n < 0)
            die("no answer");
        int type = v6 ? f[40] : f[20];
        if (type == 0 || type == 129)
            break;
        errors++;
    }
    say(what, "%d", errors);
}

/* Errors about packets that this host has not sent, and about errors. */
static void unasked(void)
{
    static pkt quoted;
    static const struct { const char *name; int type, code; } v4[] = {
        { "unreachable port", 3, 3 }, { "fragments needed", 3, 4 }, { "source quench", 4, 0 }, { "redirect", 5, 1 },
        { "time exceeded", 11, 0 }, { "parameter problem", 12, 0 }, { "unknown code", 3, 77 },
    };
    for (size_t i = 0; i < sizeof v4 / sizeof *v4; i++) {
        udp(&quoted, OWN, "10.9.0.2", 40000, 5, 8);
        icmp(&p, "10.9.0.2", OWN, v4[i].type, v4[i].code, v4[i].code == 4 ? 600 : 0, quoted.bytes, quoted.len);
        send_packet(&w, &p);
        answers(v4[i].name, 0);
    }
    icmp(&p, "10.9.0.2", OWN, 3, 3, 0, quoted.bytes, 20);
    send_packet(&w, &p);
    answers("one that quotes too little", 0);
    icmp(&p, "10.9.0.2", OWN, 3, 3, 0, NULL, 0);
    send_packet(&w, &p);
    answers("one that quotes nothing", 0);
    static const struct { const char *name; int type, code; } v6[] = {
        { "unreachable port by IPv6", 1, 4 }, { "too big by IPv6", 2, 0 }, { "time exceeded by IPv6", 3, 0 },
        { "parameter problem by IPv6", 4, 1 }, { "unknown error by IPv6", 100, 0 },
    };
    for (size_t i = 0; i < sizeof v6 / sizeof *v6; i++) {
        udp(&quoted, OWN6, "fd09::2", 40000, 5, 8);
        icmp(&p, "fd09::2", OWN6, v6[i].type, v6[i].code, v6[i].type == 2 ? 1300 : 0, quoted.bytes, quoted.len);
        send_packet(&w, &p);
        answers(v6[i].name, 1);
    }
}

/* A packet that is passed on to a neighbour of a tap who does not answer. */
static void unreachable(int v6)
{
    static unsigned char f[70100];
    ssize_t n;
    int asked = 0;
    MUST(spit("/proc/sys/net/ipv4/ip_forward", "1"));
    MUST(spit("/proc/sys/net/ipv6/conf/all/forwarding", "1"));
    udp(&p, v6 ? "fd09::9" : "10.9.0.9", v6 ? "fd08::9" : "10.8.0.9", 1, 2, 8);
    send_packet(&w, &p);
    n = next_frame(&w, f, sizeof f, 6000);
    if (n > 0)
        show_frame(v6 ? "no neighbour by IPv6" : "no neighbour", &w, f, n);
    else
        say(v6 ? "no neighbour by IPv6" : "no neighbour", "nothing");
    while ((n = next_frame(&tap, f, sizeof f, 10)) > 0)
        asked += v6 ? f[54] == 135 : f[13] == 6;
    say(v6 ? "asked so often by IPv6" : "asked so often", "%d", asked);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    w = wire_ready("er0", 0, OWN, "255.255.255.0", OWN6);
    tap = wire_ready("er1", 1, "10.8.0.1", "255.255.255.0", "fd08::1");
    spit("/proc/sys/net/ipv4/icmp_msgs_burst", "1000");
    many("errors to one host", 12, 0, 1);
    many("errors to one host by IPv6", 12, 1, 1);
    many("errors to many hosts", 12, 0, 0);
    many("errors to many hosts by IPv6", 12, 1, 0);
    spit("/proc/sys/net/ipv4/icmp_ratelimit", "0");
    many("errors to one host without a limit", 12, 0, 1);
    unasked();
    unreachable(0);
    unreachable(1);
    return 0;
}
