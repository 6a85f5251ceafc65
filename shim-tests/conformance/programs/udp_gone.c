/* Sockets whose only interface is gone: nothing that they send goes another way. */
#include "host.h"

static struct sockaddr_in to;

static int udp(void) { return MUST(socket(AF_INET, SOCK_DGRAM, 0)); }

static long send_to(int sock) { return sendto(sock, "x", 1, 0, (struct sockaddr *)&to, sizeof to); }

static long connect_to(int sock) { return connect(sock, (struct sockaddr *)&to, sizeof to); }

int main(int argc, char **argv)
{
    start(argc, argv);
    struct sockaddr host = inet("10.9.0.5");
    memcpy(&to, &host, sizeof to);
    to.sin_port = htons(9);
    int tun = tun_with("go0", IFF_TUN, "10.9.0.1", "255.255.255.0");
    int unconnected = udp(), connected = udp(), bound = udp();
    struct sockaddr_in own = to;
    host = inet("10.9.0.1");
    own.sin_addr = ((struct sockaddr_in *)&host)->sin_addr;
    MUST(bind(bound, (struct sockaddr *)&own, sizeof own));
    SHOW("unconnected", send_to(unconnected));
    SHOW("connect", connect_to(connected));
    SHOW("connected", send(connected, "x", 1, 0));
    SHOW("bound", send_to(bound));
    close(tun);
    SHOW("gone, unconnected", send_to(unconnected));
    SHOW("gone, connected", send(connected, "x", 1, 0));
    SHOW("gone, bound", send_to(bound));
    SHOW("gone, a new one", send_to(udp()));
    SHOW("gone, connect", connect_to(udp()));
    int stream = MUST(socket(AF_INET, SOCK_STREAM, 0));
    SHOW("gone, connect of a stream", connect_to(stream));
    SHOW("gone, bind", bind(udp(), (struct sockaddr *)&own, sizeof own));
    return 0;
}
