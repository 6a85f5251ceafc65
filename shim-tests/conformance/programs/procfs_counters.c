/* What IP and the protocols above it have counted, of the namespace and of each link. */
#include "host.h"
#include <ctype.h>

#define TUN (IFF_TUN | IFF_NO_PI)

/* Lines of names and of numbers: the protocols, what is a setting or a constant, and how many
   counters are not 0. */
static void by_protocol(const char *path)
{
    static char text[20000];
    char what[60];
    snprintf(what, sizeof what, "%s", path);
    ssize_t n = slurp(path, text, sizeof text);
    SHOW(label("%s, read", what), n > 0 ? 1 : n);
    char *rest, *line = strtok_r(text, "\n", &rest);
    for (; line; line = strtok_r(NULL, "\n", &rest)) {
        char *more, *word = strtok_r(line, " ", &more), *protocol = word, first[100] = "";
        int count = 0, others = 0, names = 0;
        while ((word = strtok_r(NULL, " ", &more))) {
            names |= !isdigit(*word) && *word != '-';
            int is_set = !strcmp(protocol, "Ip:") ? count < 2 : !strcmp(protocol, "Tcp:") && count < 4;
            if (is_set)
                append(first, sizeof first, " %s", word);
            else
                others += strcmp(word, "0") != 0;
            count++;
        }
        protocol[strcspn(protocol, ":")] = 0;
        say(label("%s, %s %s", what, protocol, names ? "names" : "numbers"), "%s %d", first, names ? 0 : others);
    }
}

/* Lines of a name and a number. */
static void by_name(const char *path, const char *what)
{
    static char text[20000];
    char first[100] = "";
    ssize_t n = slurp(path, text, sizeof text);
    SHOW(label("%s, read", what), n > 0 ? 1 : n);
    if (n < 0)
        return;
    int ip = 0, icmp = 0, udp = 0, others = 0, counted = 0, widths = 0;
    char *rest, *line = strtok_r(text, "\n", &rest);
    for (; line; line = strtok_r(NULL, "\n", &rest)) {
        char *tab = strchr(line, '\t');
        if (!*first)
            snprintf(first, sizeof first, "%.*s", (int)strcspn(line, "\t"), line);
        ip |= !strncmp(line, "Ip6", 3);
        icmp |= !strncmp(line, "Icmp6", 5);
        udp |= !strncmp(line, "Udp6", 4);
        others += !tab;
        widths += tab && tab - line != 32;
        counted += tab && strncmp(line, "ifIndex", 7) && strcmp(tab + 1, "0");
    }
    say(label("%s, begins with", what), "'%s'", first);
    say(label("%s, kinds", what), "%d %d %d, odd %d %d, counted %d", ip, icmp, udp, others, widths, counted);
}

static void links(const char *when)
{
    struct dirent **list;
    char names[200] = "";
    int n = scandir("/proc/net/dev_snmp6", &list, NULL, alphasort);
    for (int i = 0; i < n; i++)
        append(names, sizeof names, " %s/%d", list[i]->d_name, list[i]->d_type);
    say(label("%s, links", when), "%s", n < 0 ? errno_name(errno) : names);
    static const char *const all[] = { "lo", "vc0", "vc1", "nothere" };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct stat st = { 0 };
        char path[100];
        snprintf(path, sizeof path, "/proc/self/net/dev_snmp6/%s", all[i]);
        by_name(path, label("%s, %s", when, all[i]));
        SHOW(label("%s, stat of %s", when, all[i]), stat(path, &st));
        say(label("%s, what stat says of %s", when, all[i]), "%o %ld %d", st.st_mode, (long)st.st_size, (int)st.st_nlink);
        SHOW(label("%s, access of %s", when, all[i]), access(path, R_OK));
        SHOW(label("%s, unlink of %s", when, all[i]), unlink(path));
    }
}

int main(int argc, char **argv)
{
    start(argc, argv);
    own_sysfs();
    close(tun_attach("vc9", TUN, 0));
    plain_sysctls();
    int one = tun_attach("vc0", TUN, 0), two = tun_attach("vc1", TUN, 0);
    ipv6_on("vc0");
    MUST(set_address(SIOCSIFADDR, "vc0", "10.9.0.1"));
    by_protocol("/proc/net/snmp");
    by_protocol("/proc/self/net/netstat");
    by_name("/proc/thread-self/net/snmp6", "snmp6");
    links("both");
    MUST(spit("/proc/sys/net/ipv4/ip_forward", "1"));
    MUST(spit("/proc/sys/net/ipv4/ip_default_ttl", "33"));
    by_protocol("/proc/net/./snmp");
    MUST(if_set_mtu("vc1", 1000));
    links("without IPv6");
    close(two);
    links("one");
    int dir = MUST(open("/proc/net/dev_snmp6", O_RDONLY | O_DIRECTORY)), file = openat(dir, "vc0", O_RDONLY);
    char text[100];
    SHOW("openat", file < 0 ? file : 0);
    SHOW("read", read(file, text, 7));
    MUST(fchdir(dir));
    SHOW("a relative path", access("vc0", R_OK));
    SHOW("a way back", access("../dev", R_OK));
    say("the working directory", "%d", getcwd(text, sizeof text) && strstr(text, "/net/dev_snmp6"));
    MUST(chdir("/"));
    close(one);
    SHOW("read when the link is gone", (lseek(file, 0, SEEK_SET), read(file, text, 7)) > 0 ? 1 : 0);
    close(file);
    close(dir);
    return 0;
}
