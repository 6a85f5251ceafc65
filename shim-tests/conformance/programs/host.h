/* host.h - the interface as every other program sees it: addresses and routes by ioctl, files of
 * /proc and /sys. Nothing here prints an index, an address that was chosen at random or a line
 * about an interface that the program did not make. */
#ifndef HOST_H
#define HOST_H
#include "driver.h"
#include <linux/sockios.h>
#include <sched.h>
#include <sys/mount.h>

/* A label made of parts; four are kept. */
HELPER __attribute__((format(printf, 1, 2))) const char *label(const char *format, ...)
{
    static char kept[4][160];
    static int turn;
    char *text = kept[turn++ % 4];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof kept[0], format, args);
    va_end(args);
    return text;
}

/* Adds to a text, as far as there is room. */
HELPER __attribute__((format(printf, 3, 4))) void append(char *text, size_t room, const char *format, ...)
{
    size_t len = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + len, room - len, format, args);
    va_end(args);
}

/* ---- files ---- */

/* Reads a whole file. Returns its length; -1 and errno when it cannot be opened or read. */
HELPER ssize_t slurp(const char *path, char *text, size_t room)
{
    size_t len = 0;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC), error;
    if (fd < 0)
        return -1;
    while ((n = read(fd, text + len, room - 1 - len)) > 0)
        len += n;
    error = errno;
    close(fd);
    errno = error;
    text[len] = 0;
    return n < 0 ? -1 : (ssize_t)len;
}

HELPER int spit(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), error;
    if (fd < 0)
        return -1;
    int n = write(fd, text, strlen(text));
    error = errno;
    close(fd);
    errno = error;
    return n;
}

/* Newlines, tabs and backslashes as letters. */
HELPER char *escaped(char *out, const char *text, size_t len)
{
    char *at = out;
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\n')
            at += sprintf(at, "\\n");
        else if (text[i] == '\t')
            at += sprintf(at, "\\t");
        else if (!text[i])
            at += sprintf(at, "\\0");
        else
            *at++ = text[i];
    *at = 0;
    return out;
}

/* What a file holds, or which call on it fails. */
HELPER void show_file(const char *what, const char *path)
{
    char text[1000], shown[2000];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        say(what, "open -1 %s", errno_name(errno));
        return;
    }
    ssize_t n = read(fd, text, sizeof text);
    if (n < 0)
        say(what, "read -1 %s", errno_name(errno));
    else
        say(what, "'%s'", escaped(shown, text, n));
    close(fd);
}

/* One write to a file, and which call on it fails. */
HELPER void show_write(const char *what, const char *path, const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        say(what, "open -1 %s", errno_name(errno));
        return;
    }
    ssize_t n = write(fd, text, len);
    if (n < 0)
        say(what, "write -1 %s", errno_name(errno));
    else
        say(what, "%zd", n);
    close(fd);
}

/* The lines of a file that name the interface, numbered; fields with one blank between them, those
   of `hidden` (bit 0 is the first field) as a star. The tables of IPv6 and of neighbours are in an
   order that depends on a random number or on other interfaces, so their lines are sorted. */
HELPER void show_lines(const char *what, const char *path, const char *name, unsigned hidden)
{
    static char text[200000];
    char *found[300], prefix[160];
    int count = 0;
    snprintf(prefix, sizeof prefix, "%s", what);
    if (slurp(path, text, sizeof text) < 0) {
        say(prefix, "-1 %s", errno_name(errno));
        return;
    }
    char *rest, *line = strtok_r(text, "\n", &rest);
    for (; line; line = strtok_r(NULL, "\n", &rest)) {
        char shown[1000] = "", *more, *field;
        int ours = 0, i = 0;
        for (field = strtok_r(line, " \t", &more); field; field = strtok_r(NULL, " \t", &more), i++) {
            size_t len = strlen(name);
            ours |= !strncmp(field, name, len) && (!field[len] || field[len] == ':');
            append(shown, sizeof shown, "%s%s", i ? " " : "", hidden >> i & 1 ? "*" : field);
            /* Whether an address is still tentative depends on when somebody looks. */
            if (i == 4 && strstr(path, "if_inet6"))
                snprintf(shown + strlen(shown) - 2, 3, "%02hhx", (unsigned char)(strtoul(field, NULL, 16) & ~0x40));
        }
        if (ours && count < 300)
            found[count++] = strdup(shown);
    }
    if (strstr(path, "inet6") || strstr(path, "ipv6_route") || strstr(path, "/arp"))
        qsort(found, count, sizeof *found, by_text);
    for (int i = 0; i < count; i++) {
        say(label("%s, line %d", prefix, i + 1), "%s", found[i]);
        free(found[i]);
    }
    say(label("%s, lines", prefix), "%d", count);
}

/* How many lines of the file end with the interface's name and have this text. */
HELPER int count_lines(const char *path, const char *name, const char *with)
{
    static char text[200000];
    int count = 0;
    if (slurp(path, text, sizeof text) < 0)
        return -1;
    char *rest, *line = strtok_r(text, "\n", &rest);
    for (; line; line = strtok_r(NULL, "\n", &rest)) {
        char *last = strrchr(line, ' ');
        count += last && !strcmp(last + 1, name) && strstr(line, with);
    }
    return count;
}

/* The kernel makes the host route of an IPv6 address some time after the address. */
HELPER void ipv6_settled(const char *name)
{
    (void)EVENTUALLY(count_lines("/proc/net/if_inet6", name, "") ==
                     count_lines("/proc/net/ipv6_route", name, " 80200001 "), 1000);
}

/* The sysfs of the namespace that the program is in. The mount belongs to this process alone. */
HELPER void own_sysfs(void)
{
    if (under_shim())
        return;
    MUST(unshare(CLONE_NEWNS));
    MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
    MUST(mount("sysfs", "/sys", "sysfs", 0, NULL));
}

HELPER void sysctl(const char *family, const char *name, const char *what, const char *value)
{
    char path[200];
    snprintf(path, sizeof path, "/proc/sys/net/%s/conf/%s/%s", family, name, what);
    if (spit(path, value) < 0)
        die(path);
}

/* What a new namespace takes over from the machine is set to what the kernel starts with. */
HELPER void plain_sysctls(void)
{
    static const struct { const char *name, *value; } all[] = {
        { "rp_filter", "0" }, { "promote_secondaries", "0" }, { "log_martians", "0" }, { "arp_ignore", "0" },
        { "arp_announce", "0" }, { "arp_filter", "0" }, { "arp_notify", "0" }, { "arp_accept", "0" },
        { "accept_redirects", "1" }, { "accept_source_route", "1" }, { "secure_redirects", "1" },
        { "send_redirects", "1" }, { "shared_media", "1" }, { "forwarding", "0" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        spit(label("/proc/sys/net/ipv4/conf/all/%s", all[i].name), all[i].value);
        spit(label("/proc/sys/net/ipv4/conf/default/%s", all[i].name), all[i].value);
    }
}

/* Begins a program about files: they are those of a namespace with IPv6, in which a tunnel of this
 * name has been. */
HELPER void start_files(int argc, char **argv, const char *before)
{
    start(argc, argv);
    own_sysfs();
    close(tun_attach(before, IFF_TUN | IFF_NO_PI, 0));
    spit("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    plain_sysctls();
}

/* Runs a script of bash. `all`, with room for `size` bytes, gets what it says, without the path of
 * the folder. */
HELPER void run_script(const char *script, const char *folder, char *all, size_t size)
{
    char *at;
    int p[2];
    MUST(pipe(p));
    pid_t pid = child();
    if (!pid) {
        dup2(p[1], 1);
        dup2(p[1], 2);
        close(p[0]);
        close(p[1]);
        execlp("bash", "bash", "-c", script, (char *)NULL);
        _exit(127);
    }
    close(p[1]);
    size_t len = 0;
    ssize_t n;
    while (len < size - 1 && (n = read(p[0], all + len, size - 1 - len)) > 0)
        len += n;
    close(p[0]);
    all[len] = 0;
    while ((at = strstr(all, folder)))
        memmove(at, at + strlen(folder), strlen(at + strlen(folder)) + 1);
    finish(pid);
}

/* IPv6 for one interface: on, without a link-local address that the kernel makes, and without
   looking for duplicates. */
HELPER void ipv6_on(const char *name)
{
    sysctl("ipv6", name, "addr_gen_mode", "1");
    sysctl("ipv6", name, "accept_dad", "0");
    sysctl("ipv6", name, "router_solicitations", "0");
    sysctl("ipv6", name, "disable_ipv6", "0");
}

/* ---- addresses ---- */

HELPER struct sockaddr inet(const char *address)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr sa;
    if (inet_pton(AF_INET, address, &in.sin_addr) != 1)
        die(address);
    memcpy(&sa, &in, sizeof sa);
    return sa;
}

HELPER int set_address(unsigned long request, const char *name, const char *address)
{
    struct ifreq ifr = { .ifr_addr = inet(address) };
    return if_request(request, &ifr, name);
}

/* The address or the error. */
HELPER char *get_address(char out[40], unsigned long request, const char *name)
{
    struct ifreq ifr = { 0 };
    ifr.ifr_addr.sa_family = AF_INET;
    if (if_request(request, &ifr, name))
        snprintf(out, 40, "%s", errno_name(errno));
    else if (ifr.ifr_addr.sa_family != AF_INET)
        snprintf(out, 40, "family %d", ifr.ifr_addr.sa_family);
    else
        inet_ntop(AF_INET, &((struct sockaddr_in *)&ifr.ifr_addr)->sin_addr, out, 40);
    return out;
}

HELPER void show_addresses(const char *what, const char *name)
{
    char address[40], mask[40], peer[40], broadcast[40];
    get_address(address, SIOCGIFADDR, name);
    get_address(mask, SIOCGIFNETMASK, name);
    get_address(peer, SIOCGIFDSTADDR, name);
    get_address(broadcast, SIOCGIFBRDADDR, name);
    say(what, "addr=%s mask=%s dst=%s brd=%s", address, mask, peer, broadcast);
}

/* An interface with an address, up. */
HELPER int tun_with(const char *name, int iff, const char *address, const char *mask)
{
    int fd = tun_attach(name, iff | IFF_NO_PI, O_NONBLOCK);
    MUST(set_address(SIOCSIFADDR, name, address));
    MUST(set_address(SIOCSIFNETMASK, name, mask));
    link_up(name, 1);
    return fd;
}

HELPER void show_routes(const char *what, const char *name) { show_lines(what, "/proc/net/route", name, 0); }

#endif
