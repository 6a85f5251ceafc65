/* Connections with the other side's port 0: none that anybody makes on purpose, and a socket whose
 * port was forgotten gets what a host there says. */
#include "segments.h"

static tcp c;

/* Begins a connect to port 0, whose SYN has come then. */
static int begun(const char *what)
{
    int sock = fresh();
    SHOW(label("%s, connect", what), connect_to(sock, FAR, 0));
    say(label("%s, a SYN to port 0", what), "%d", tcp_await(&c, &tun, 0, SOON));
    return sock;
}

static void to_port_0(void)
{
    char text[160];
    int sock = begun("refused");
    tcp_refuse(&c);
    show_state("refused, poll", sock, POLLHUP);
    show_error("refused, SO_ERROR", sock);
    show_peer("refused, peer", sock);
    close(sock);

    sock = begun("taken");
    tcp_take(&c);
    say("taken, third", "%s", segment_bits(tcp_next_of(&c, &tcp_seen, SOON, 1)));
    show_state("taken, poll", sock, POLLOUT);
    show_error("taken, SO_ERROR", sock);
    show_peer("taken, peer", sock);
    SHOW("taken, send", send(sock, "there", 5, 0));
    tcp_show(&c, "taken, what was sent");
    tcp_say(&c, PSH | ACK, "back", 4);
    show_state("taken, poll for data", sock, POLLIN);
    show_data("taken, recv", recv(sock, text, sizeof text, 0), text);
    SHOW("taken, connect again", connect_to(sock, FAR, 0));
    reset(sock);
    tcp_show(&c, "taken, closed with a reset");

    SHOW("to the own address", connect_to(MUST(socket(FAMILY, SOCK_STREAM, 0)), OWN, 0));
}

static void from_port_0(void)
{
    char text[160];
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    int sock = listener(OWN, 7200, 5);
    say("from port 0, answer", "%s", segment_bits(tcp_dial(&c, &tun, FAR, 0, OWN, 7200, SOON)));
    say("from port 0, poll", "%d", EVENTUALLY(now_events(sock, POLLIN), SOON) != 0);
    SHOW("from port 0, accept with a name", accept(sock, (struct sockaddr *)&peer, &len));
    tcp_show(&c, "from port 0, accepted with a name");

    close(sock);
    sock = listener(OWN, 7201, 5);
    say("from port 0 again, answer", "%s", segment_bits(tcp_dial(&c, &tun, FAR, 0, OWN, 7201, SOON)));
    say("from port 0 again, poll", "%d", EVENTUALLY(now_events(sock, POLLIN), SOON) != 0);
    int got = accept(sock, NULL, NULL);
    show_peer("from port 0, peer", got);
    tcp_say(&c, PSH | ACK, "data", 4);
    show_state("from port 0, poll for data", got, POLLIN);
    show_data("from port 0, recv", recv(got, text, sizeof text, 0), text);
    SHOW("from port 0, send", send(got, "answer", 6, 0));
    tcp_show(&c, "from port 0, what was sent");
    reset(got);
    close(sock);
    far_drain(&tun);
    say("to port 0", "%s", segment_bits(tcp_dial(&c, &tun, FAR, 3000, OWN, 0, SOON)));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    plain_sysctls();
    spit("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    spit("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "0");
    link_up("lo", 1);
    tun = far_up("tun0", OWN, OWN2, FAR, IFF_TUN);
    set_defaults();
    to_port_0();
    from_port_0();
    return 0;
}
