/* Neighbours on a tap: who is answered by ARP and by neighbour discovery, whom the host asks, what
   waits meanwhile, and what it has learned. */
#include "wire.h"
#include <net/if_arp.h>

static wire w;
static pkt p;

#define OWN "10.9.0.1"
#define OWN6 "fd09::1"
#define LOCAL6 "fe80::ff:fe00:1"
#define NO_MAC "\0\0\0\0\0\0"
#define OTHER_MAC "\x02\x00\x00\x00\x00\x03"

static void answers(const char *what) { show_answers(what, &w, "10.9.0.99", OWN); }
static void answers6(const char *what) { show_answers(what, &w, "fd09::99", OWN6); }

static void arp(const char *what, const char *frame_to, int operation, const char *mac, const char *from,
                const char *target_mac, const char *to)
{
    send_arp(&w, frame_to, operation, mac, from, target_mac, to);
    answers(what);
}

static void known(const char *what) { show_lines(what, "/proc/net/arp", w.name, 0); }

static void requests(void)
{
    arp("request", ALL_MAC, 1, PEER_MAC, "10.9.0.2", NO_MAC, OWN);
    arp("request to this host alone", OWN_MAC, 1, PEER_MAC, "10.9.0.3", OWN_MAC, OWN);
    arp("request from another network", ALL_MAC, 1, PEER_MAC, "192.0.2.9", NO_MAC, OWN);
    arp("request for another host", ALL_MAC, 1, PEER_MAC, "10.9.0.4", NO_MAC, "10.9.0.77");
    arp("request for another network", ALL_MAC, 1, PEER_MAC, "10.9.0.4", NO_MAC, "192.0.2.1");
    arp("request for the broadcast address", ALL_MAC, 1, PEER_MAC, "10.9.0.4", NO_MAC, "10.9.0.255");
    arp("request for a group", ALL_MAC, 1, PEER_MAC, "10.9.0.4", NO_MAC, "224.0.0.1");
    arp("request for the loopback", ALL_MAC, 1, PEER_MAC, "10.9.0.4", NO_MAC, "127.0.0.1");
    arp("request from this host's address", ALL_MAC, 1, PEER_MAC, OWN, NO_MAC, OWN);
    arp("request from the broadcast address", ALL_MAC, 1, PEER_MAC, "10.9.0.255", NO_MAC, OWN);
    arp("probe", ALL_MAC, 1, PEER_MAC, "0.0.0.0", NO_MAC, OWN);
    arp("probe for another host", ALL_MAC, 1, PEER_MAC, "0.0.0.0", NO_MAC, "10.9.0.77");
    arp("announcement", ALL_MAC, 1, PEER_MAC, "10.9.0.5", NO_MAC, "10.9.0.5");
    arp("reply that nobody waits for", OWN_MAC, 2, PEER_MAC, "10.9.0.6", OWN_MAC, OWN);
    arp("reverse request", ALL_MAC, 3, PEER_MAC, "10.9.0.7", NO_MAC, OWN);
    arp("request in a frame to another host", OTHER_MAC, 1, PEER_MAC, "10.9.0.8", NO_MAC, OWN);
    set_conf("ipv4", "conf", w.name, "arp_ignore", "8");
    arp("request that is ignored", ALL_MAC, 1, PEER_MAC, "10.9.0.9", NO_MAC, OWN);
    set_conf("ipv4", "conf", w.name, "arp_ignore", "0");
    known("known by requests");
}

static void frames(void)
{
    send_framed(&w, OTHER_MAC, echo(&p, "10.9.0.2", OWN, 7, 1, 4));
    answers("echo in a frame to another host");
    send_framed(&w, ALL_MAC, echo(&p, "10.9.0.2", OWN, 7, 1, 4));
    answers("echo in a frame to everybody");
    send_framed(&w, ALL_MAC, udp(&p, "10.9.0.2", OWN, 1, 2, 4));
    answers("datagram to a closed port in a frame to everybody");
    send_framed(&w, "\x01\x00\x5e\x00\x00\x01", udp(&p, "10.9.0.2", OWN, 1, 2, 4));
    answers("datagram to a closed port in a frame to a group");
    send_framed(&w, OWN_MAC, udp(&p, "10.9.0.2", OWN, 1, 2, 4));
    answers("datagram to a closed port");
    send_framed(&w, OWN_MAC, tcp(&p, "10.9.0.2", OWN, 80, 2, 0));
    answers("segment to a closed port");
    send_framed(&w, ALL_MAC, tcp(&p, "10.9.0.2", OWN, 80, 2, 0));
    answers("segment to a closed port in a frame to everybody");
    send_framed(&w, ALL_MAC, echo(&p, "fd09::99", OWN6, 7, 1, 4));
    answers6("echo in a frame to everybody by IPv6");
}

static void asking(void)
{
    send_framed(&w, OWN_MAC, udp(&p, "10.9.0.50", OWN, 1, 2, 4));
    answers("an unknown neighbour is to be answered");
    send_framed(&w, OWN_MAC, echo(&p, "10.9.0.50", OWN, 7, 1, 4));
    answers("and once more");
    known("known while it is asked for");
    arp("it answers", OWN_MAC, 2, OTHER_MAC, "10.9.0.50", OWN_MAC, OWN);
    send_framed(&w, OWN_MAC, echo(&p, "10.9.0.50", OWN, 7, 2, 4));
    answers("it is known");
    arp("it moves too soon", ALL_MAC, 2, PEER_MAC, "10.9.0.50", OWN_MAC, OWN);
    send_framed(&w, OWN_MAC, echo(&p, "10.9.0.50", OWN, 7, 3, 4));
    answers("it is known as before");
    arp("it announces itself", ALL_MAC, 1, PEER_MAC, "10.9.0.50", NO_MAC, "10.9.0.50");
    send_framed(&w, OWN_MAC, echo(&p, "10.9.0.50", OWN, 7, 4, 4));
    answers("it has moved");
    known("known by answers");
}

static void silent(void)
{
    static unsigned char f[70100];
    int requests = 0;
    send_framed(&w, OWN_MAC, echo(&p, "10.9.0.60", OWN, 7, 1, 4));
    double until = now() + 3.7;
    ssize_t n;
    while (now() < until)
        if ((n = next_frame(&w, f, sizeof f, 100)) == 42 && f[13] == 6)
            requests++;
    say("who does not answer is asked so often", "%d", requests);
    known("known after that");
    send_framed(&w, OWN_MAC, echo(&p, "10.9.0.60", OWN, 7, 2, 4));
    answers("it is asked again");
}

static void set_by_programs(void)
{
    struct arpreq a = { .arp_flags = ATF_PERM };
    int sock = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    struct sockaddr_in in = { .sin_family = AF_INET };
    inet_pton(AF_INET, "10.9.0.70", &in.sin_addr);
    memcpy(&a.arp_pa, &in, sizeof in);
    a.arp_ha.sa_family = 1;
    memcpy(a.arp_ha.sa_data, OTHER_MAC, 6);
    strcpy(a.arp_dev, w.name);
    MUST(ioctl(sock, SIOCSARP, &a));
    send_framed(&w, OWN_MAC, echo(&p, "10.9.0.70", OWN, 7, 1, 4));
    answers("one that a program has set");
    arp("it announces another address", ALL_MAC, 1, PEER_MAC, "10.9.0.70", NO_MAC, "10.9.0.70");
    send_framed(&w, OWN_MAC, echo(&p, "10.9.0.70", OWN, 7, 2, 4));
    answers("it stays as it was set");
    MUST(ioctl(sock, SIOCDARP, &a));
    send_framed(&w, OWN_MAC, echo(&p, "10.9.0.70", OWN, 7, 3, 4));
    answers("one that a program has taken away");
    close(sock);
}

static void solicit(const char *what, const char *from, const char *to, const char *target, const char *mac)
{
    send_framed(&w, OWN_MAC, discovery(&p, 135, from, to, target, 0, mac));
    answers6(what);
}

static void solicitations(void)
{
    solicit("solicitation to the group", "fd09::2", "ff02::1:ff00:1", OWN6, PEER_MAC);
    solicit("solicitation to this host", "fd09::2", OWN6, OWN6, PEER_MAC);
    solicit("solicitation to this host that says no address", "fd09::2", OWN6, OWN6, NULL);
    solicit("solicitation to the group that says no address, from one who is known", "fd09::2", "ff02::1:ff00:1", OWN6, NULL);
    solicit("solicitation to all nodes", "fd09::2", "ff02::1", OWN6, PEER_MAC);
    solicit("solicitation for the address of the link", "fe80::2", "ff02::1:ff00:1", LOCAL6, PEER_MAC);
    solicit("solicitation for another address", "fd09::2", "ff02::1:ff00:1", "fd09::77", PEER_MAC);
    solicit("solicitation for a group", "fd09::2", OWN6, "ff02::1", PEER_MAC);
    solicit("look for a duplicate", "::", "ff02::1:ff00:1", OWN6, NULL);
    solicit("look for a duplicate that says an address", "::", "ff02::1:ff00:1", OWN6, PEER_MAC);
    solicit("look for a duplicate to this host", "::", OWN6, OWN6, NULL);
    discovery(&p, 135, "fd09::2", OWN6, OWN6, 0, PEER_MAC)->bytes[7] = 64;
    send_framed(&w, OWN_MAC, &p);
    answers6("solicitation from afar");
    discovery(&p, 135, "fd09::2", OWN6, OWN6, 0, PEER_MAC)->bytes[60] ^= 1;
    send_framed(&w, OWN_MAC, &p);
    answers6("solicitation with a wrong sum");
    discovery(&p, 135, "fd09::2", OWN6, OWN6, 0, PEER_MAC)->bytes[41] = 1;
    send_framed(&w, OWN_MAC, finish_sum(&p, 40, 2, 58));
    answers6("solicitation with a code");
    discovery(&p, 135, "fd09::2", OWN6, OWN6, 0, PEER_MAC)->bytes[65] = 0;
    send_framed(&w, OWN_MAC, finish_sum(&p, 40, 2, 58));
    answers6("solicitation with an option without length");
    discovery(&p, 135, "fd09::2", OWN6, OWN6, 0, PEER_MAC)->bytes[65] = 2;
    send_framed(&w, OWN_MAC, finish_sum(&p, 40, 2, 58));
    answers6("solicitation with an option that goes beyond the end");
    discovery(&p, 135, "fd09::2", OWN6, OWN6, 0, NULL)->len -= 4;
    send_framed(&w, OWN_MAC, finish_sum(&p, 40, 2, 58));
    answers6("solicitation that is too short");
    send_framed(&w, OWN_MAC, echo(&p, "fd09::2", "ff02::1:ff00:1", 7, 1, 4));
    answers6("echo to the group of the address");
    send_framed(&w, OWN_MAC, echo(&p, "fe80::2", LOCAL6, 7, 1, 4));
    answers6("echo to the address of the link");
}

static void asking6(void)
{
    send_framed(&w, OWN_MAC, udp(&p, "fd09::50", OWN6, 1, 2, 4));
    answers6("an unknown neighbour is to be answered by IPv6");
    send_framed(&w, OWN_MAC, discovery(&p, 136, "fd09::50", OWN6, "fd09::50", 0x60000000, OTHER_MAC));
    answers6("it answers by IPv6");
    send_framed(&w, OWN_MAC, echo(&p, "fd09::50", OWN6, 7, 1, 4));
    answers6("it is known by IPv6");
    send_framed(&w, OWN_MAC, discovery(&p, 136, "fd09::50", OWN6, "fd09::50", 0x40000000, PEER_MAC));
    send_framed(&w, OWN_MAC, echo(&p, "fd09::50", OWN6, 7, 2, 4));
    answers6("another address that does not replace it");
    send_framed(&w, OWN_MAC, discovery(&p, 136, "fd09::50", "ff02::1", "fd09::50", 0x20000000, PEER_MAC));
    send_framed(&w, OWN_MAC, echo(&p, "fd09::50", OWN6, 7, 3, 4));
    answers6("it has moved by IPv6");
    send_framed(&w, OWN_MAC, udp(&p, "fd09::51", OWN6, 1, 2, 4));
    answers6("another unknown neighbour");
    send_framed(&w, OWN_MAC, discovery(&p, 136, "fd09::51", OWN6, "fd09::51", 0x60000000, NULL));
    answers6("it answers without an address");
    send_framed(&w, OWN_MAC, discovery(&p, 135, "fd09::51", OWN6, OWN6, 0, OTHER_MAC));
    answers6("it asks, and says its address by that");
    send_framed(&w, OWN_MAC, udp(&p, "fe80::52", LOCAL6, 1, 2, 4));
    answers6("an unknown neighbour of the link");
    send_framed(&w, OWN_MAC, discovery(&p, 136, "fd09::53", OWN6, "fd09::53", 0x60000000, OTHER_MAC));
    send_framed(&w, OWN_MAC, echo(&p, "fd09::53", OWN6, 7, 4, 4));
    answers6("an answer that nobody waits for");
}

int main(int argc, char **argv)
{
    start(argc, argv);
    w = wire_ready("nd0", 1, OWN, "255.255.255.0", OWN6);
    introduce(&w, "10.9.0.99", OWN);
    introduce(&w, "fd09::99", OWN6);
    requests();
    frames();
    asking();
    set_by_programs();
    silent();
    introduce(&w, "fd09::99", OWN6);
    solicitations();
    asking6();
    return 0;
}
