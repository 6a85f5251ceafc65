/* /proc/net/fib_trie and /proc/net/fib_triestat: the shape of the trie of routes. */
#include "host.h"
#include <net/route.h>

static void lines(const char *when, const char *file)
{
    static char text[60000];
    char what[80], *rest;
    snprintf(what, sizeof what, "%s, %s", when, file);
    ssize_t n = slurp(label("/proc/net/%s", file), text, sizeof text);
    SHOW(label("%s, read", what), n < 0 ? -1 : n > 0);
    int number = 0;
    for (char *line = strtok_r(text, "\n", &rest); n > 0 && line; line = strtok_r(NULL, "\n", &rest))
        say(label("%s, line %d", what, ++number), "%s", line);
}

static void both(const char *when)
{
    lines(when, "fib_trie");
    lines(when, "fib_triestat");
}

static void route(const char *to, const char *mask, const char *device, int metric)
{
    struct rtentry entry = { .rt_dst = inet(to), .rt_genmask = inet(mask), .rt_flags = RTF_UP, .rt_dev = (char *)device, .rt_metric = metric + 1 };
    int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    MUST(ioctl(fd, SIOCADDRT, &entry));
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    close(tun_attach("vt9", IFF_TUN | IFF_NO_PI, 0));
    both("nothing");
    int one = tun_attach("vt0", IFF_TUN | IFF_NO_PI, 0);
    MUST(set_address(SIOCSIFADDR, "vt0", "10.9.0.1"));
    MUST(set_address(SIOCSIFNETMASK, "vt0", "255.255.255.0"));
    both("down");
    link_up("vt0", 1);
    both("up");
    link_up("lo", 1);
    both("with lo");
    int two = tun_with("vt1", IFF_TAP, "192.168.7.9", "255.255.255.0");
    both("two");
    route("10.9.0.0", "255.255.0.0", "vt0", 0);
    route("10.9.0.0", "255.255.255.0", "vt0", 7);
    both("of one destination");
    route("0.0.0.0", "0.0.0.0", "vt0", 0);
    route("0.0.0.0", "0.0.0.0", "vt1", 5);
    both("default");
    char to[20];
    for (int i = 0; i < 16; i++) {
        snprintf(to, sizeof to, "172.16.%d.0", i * 16);
        route(to, "255.255.240.0", "vt1", 0);
    }
    both("a full node");
    for (int i = 0; i < 32; i++) {
        snprintf(to, sizeof to, "172.16.5.%d", i);
        route(to, "255.255.255.255", "vt0", 0);
    }
    both("many hosts");
    close(two);
    close(one);
    both("lo alone");
    return 0;
}
