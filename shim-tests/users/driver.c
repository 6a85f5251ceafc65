/* driver.c - a driver of somebody's net: driver DIR|- OWNER|- STEP...
 *
 * DIR `-` is the net of the process itself. OWNER `-` is nobody in particular. Answers are lines
 * "step: ok" or "step: ERRNO SENTENCE".
 *
 *     join            nothing more than joining, which comes first always
 *     everything      all that a driver can do with the net and its interface tun0, waiting at most
 *                     5 ms for each thing
 *     deny, remove
 *     ready           says so, for whoever waits for it
 *     wait, nap       sleeps until somebody kills it, or for a moment
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memtun.h"

enum { MS = 5 };

static memtun_net *net;
static char room[1 << 20];

static void say(const char *what, long answer)
{
    if (answer < 0)
        printf("%s: %ld %s\n", what, -answer, memtun_error_text());
    else
        printf("%s: ok\n", what);
}

static long made(void *handle) { return handle ? 0 : -(long)errno; }

static void with_the_interface(void)
{
    memtun_interface *tun = memtun_interface_open(net, "tun0", MS);
    say("interface", made(tun));
    if (!tun)
        return;
    char packet[100] = { 0x45 };
    say("up", memtun_interface_set_up(tun, 1));
    say("describe_interface", memtun_interface_describe(tun, room, sizeof room));
    for (int i = 0; i < 3; i++) {
        say("inject", memtun_interface_inject(tun, packet, sizeof packet, 0, MS));
        say("deliver", memtun_interface_deliver(tun, packet, sizeof packet, MS));
        say("send_udp", memtun_interface_send_udp(tun, NULL, 0, "10.0.0.1", 7, "x", 1, MS));
        say("recv", memtun_interface_recv(tun, room, sizeof room, NULL, MS));
    }
    say("receive_udp", memtun_interface_recv_udp(tun, NULL, 7, room, sizeof room, MS));
    memtun_subscriber *reader = memtun_subscriber_open(tun);
    say("subscribe", made(reader));
    if (reader)
        say("subscriber_recv", memtun_subscriber_recv(reader, room, sizeof room, NULL, NULL, MS));
    memtun_subscriber_close(reader);
    say("down", memtun_interface_set_up(tun, 0));
    say("up", memtun_interface_set_up(tun, 1));
    say("carrier", memtun_interface_set_carrier(tun, 1));
    say("mtu", memtun_interface_set_mtu(tun, 1400));
    say("txqlen", memtun_interface_set_txqueuelen(tun, 3));
    say("name", memtun_interface_set_name(tun, "tun7"));
    say("del", memtun_interface_delete(tun));
    memtun_interface_close(tun);
}

static void everything(void)
{
    say("describe", memtun_net_describe(net, room, sizeof room));
    for (char *at = room; (at = strstr(at, "\"id\":")); at++) {
        static char tunnel[1 << 16];
        say("describe_tunnel", memtun_net_describe_tunnel(net, strtoull(at + 5, NULL, 10), tunnel, sizeof tunnel));
    }
    say("fault", memtun_net_fault(net, "write=EINTR@1"));
    say("fault_take_back", memtun_net_take_back(net, "write=EINTR@1"));
    say("deny", memtun_net_deny(net, "open"));
    say("permit", memtun_net_permit(net, "open"));
    say("set_rename", memtun_net_set_name_suffix(net, ""));
    with_the_interface();
    say("reset", memtun_net_reset(net));
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    const char *dir = strcmp(argv[1], "-") ? argv[1] : NULL;
    setvbuf(stdout, NULL, _IOLBF, 0);
    net = strcmp(argv[2], "-") ? memtun_net_open_of_user(dir, strtoul(argv[2], NULL, 10)) : memtun_net_open(dir);
    say("join", made(net));
    for (int i = 3; net && i < argc; i++) {
        if (!strcmp(argv[i], "everything"))
            everything();
        else if (!strcmp(argv[i], "deny"))
            say("deny", memtun_net_deny(net, "open"));
        else if (!strcmp(argv[i], "remove"))
            say("remove", memtun_net_remove(net));
        else if (!strcmp(argv[i], "ready"))
            puts("ready");
        else if (!strcmp(argv[i], "wait"))
            pause();
        else if (!strcmp(argv[i], "nap"))
            usleep(200000);
    }
    memtun_net_close(net);
    return 0;
}
