/* A walk over memtun's table of requests: each with NULL, a bad pointer, an argument of which the
 * last byte is missing, and a good one, on every kind of descriptor that it is for. */
#include "driver.h"
#include "requests.h"
#include <linux/fs.h>

#define ROWS (sizeof requests / sizeof *requests)
#define ROOM 8192

static unsigned char argument[ROOM];
static char line[1024];

static void add(const char *format, ...)
{
    size_t used = strlen(line);
    va_list args;
    va_start(args, format);
    vsnprintf(line + used, sizeof line - used, format, args);
    va_end(args);
}

static int is_pointer(const struct request *row) { return row->argument >= IN; }

/* Fills what a request points to: a byte everywhere, and the interface where it is named. */
static void fill(const struct request *row, unsigned char *at, int byte, const char *name)
{
    static const char *pointer;
    unsigned index = name ? if_index(name) : 0;
    memset(at, byte, row->size);
    if (row->named == NAME && name)
        strcpy(memset(at + row->at, 0, IFNAMSIZ), name);
    if (row->named == INDEX)
        memcpy(at + row->at, index ? &index : &(unsigned){ 999999 }, sizeof index);
    if (row->named == NAME_BEHIND) {
        pointer = name;
        memcpy(at + row->at, &pointer, sizeof pointer);
    }
}

static void result(int got, int error)
{
    char link[64], target[64] = "";
    if (got == -1) {
        add(" -1 %s", errno_name(error));
        return;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", got);
    if (got > 2 && readlink(link, target, sizeof target - 1) > 0 && !strncmp(target, "net:", 4)) {
        add(" a namespace");
        close(got);
        return;
    }
    add(" %d", got);
}

static void probe(const char *kind, int fd, unsigned number, void *pointer)
{
    add("%s%s", *line ? "; " : "", kind);
    int got = ioctl(fd, number, pointer);
    result(got, errno);
}

/* A good argument; twice, over zeroes and over ones, where the request writes something: then it is
 * seen what. (TUNSETIFF with all flags set wants root of the machine.) */
static void good(const char *kind, const struct request *row, int fd, unsigned number, const char *name)
{
    static unsigned char before[ROOM];
    static char changed[ROOM];
    int twice = row->argument == OUT || (row->argument == INOUT && number != TUNSETIFF);
    if (!is_pointer(row))
        return;
    memset(changed, 0, sizeof changed);
    add("%s%s", *line ? "; " : "", kind);
    for (int i = 0; i <= twice; i++) {
        fill(row, argument, i ? 0xff : 0, name);
        memcpy(before, argument, row->size);
        int got = ioctl(fd, number, argument);
        result(got, errno);
        for (unsigned at = 0; at < row->size; at++)
            changed[at] |= argument[at] != before[at];
    }
    for (unsigned at = 0; at < row->size; at++)
        if (changed[at] && (!at || !changed[at - 1])) {
            unsigned end = at;
            while (end + 1 < row->size && changed[end + 1])
                end++;
            add(" [%u-%u]", at, end);
        }
}

/* What memtun does not have: its answer is the table's. The kernel is not asked, it would do
   something. */
static void absent(const struct request *row, int fd, const char *name)
{
    fill(row, argument, 0, name);
    add("%s%s", *line ? "; " : "", name);
    if (!under_shim() || (ioctl(fd, row->number, argument) == -1 && errno == row->error))
        add(" as listed");
    else
        add(" %s", errno_name(errno));
}

static void bad(const struct request *row, int fd, unsigned number, const char *name)
{
    if (!is_pointer(row)) {
        probe("0", fd, number, NULL);
        probe("-1", fd, number, (void *)-1l);
        return;
    }
    probe("null", fd, number, NULL);
    probe("bad", fd, number, BAD_POINTER);
    unsigned char *part = edge(row->size - 1);
    static unsigned char whole[ROOM];
    fill(row, whole, 0, name);
    memcpy(part, whole, row->size - 1);
    probe("cut", fd, number, part);
}

static void finish_line(const struct request *row, unsigned number, const char *on)
{
    char label[100];
    if (number == row->number)
        snprintf(label, sizeof label, "%s, %s", row->name, on);
    else
        snprintf(label, sizeof label, "%s+%u, %s", row->name, number - row->number, on);
    say(label, "%s", line);
    *line = 0;
}

/* Requests that the kernel permits to root of the machine only, those that it has only if it was
 * built so, and the one whose answer tells where another descriptor's file is. */
static int depends_on_machine(const struct request *row)
{
    /* Whether IPv6 is on differs between the two sides; in6_ioctl turns it on. */
    if (row->answer == STACK && row->on == ON_INET6)
        return 1;
    return row->number == SIOCSIFTXQLEN || row->number == SIOCSIFMAP || row->number >> 8 == 0x8b || row->number == FICLONE;
}

static void on_tunnel(const struct request *row, const char *state, int fd, const char *name)
{
    if (row->answer == ABSENT && strcmp(state, "unattached") && (row->on != ON_TAP || !strcmp(state, "tap"))) {
        absent(row, fd, name);
    } else {
        bad(row, fd, row->number, name);
        good("good", row, fd, row->number, name);
    }
    finish_line(row, row->number, state);
}

static void tunnels(void)
{
    int tun = tun_attach("rq0", IFF_TUN | IFF_NO_PI, 0), tap = tun_attach("rq1", IFF_TAP | IFF_NO_PI, 0);
    for (size_t i = 0; i < ROWS; i++) {
        if (requests[i].on > ON_TAP || depends_on_machine(&requests[i]))
            continue;
        int unattached = MUST(open(DEVICE, O_RDWR));
        on_tunnel(&requests[i], "unattached", unattached, "rq2");
        close(unattached);
        on_tunnel(&requests[i], "tun", tun, "rq0");
        on_tunnel(&requests[i], "tap", tap, "rq1");
    }
    MUST(ioctl(tun, TUNSETPERSIST, 0));
    MUST(ioctl(tap, TUNSETPERSIST, 0));
    close(tun);
    close(tap);
}

static int has_row_of_inet6(unsigned number)
{
    for (size_t i = 0; i < ROWS; i++)
        if (requests[i].number == number && requests[i].on == ON_INET6)
            return 1;
    return 0;
}

/* Is the request for sockets of this family, or unknown to them? */
static int is_own(const struct request *row, int family)
{
    return row->on == ON_SOCKET || (row->on == ON_INET && family == AF_INET) || (row->on == ON_INET6 && family == AF_INET6);
}

static int is_for(const struct request *row, int family)
{
    switch (row->on) {
    case ON_SOCKET:
        return 1;
    case ON_INET:
        return family != AF_INET6 || !has_row_of_inet6(row->number);
    case ON_INET6:
        return family == AF_INET6;
    default:
        return 0;
    }
}

static void on_socket(const struct request *row, unsigned number, int sock, int family, const char *name)
{
    bad(row, sock, number, "rq0");
    if (row->answer == ABSENT && is_own(row, family)) {
        absent(row, sock, "rq0");
        absent(row, sock, "rq1");
        finish_line(row, number, name);
        return;
    }
    good("tun", row, sock, number, "rq0");
    good("tap", row, sock, number, "rq1");
    if (row->named == NAME && !row->at)
        good("missing", row, sock, number, "nothere");
    finish_line(row, number, name);
}

static void sockets(void)
{
    static const struct { const char *name; int family; } families[] = {
        { "inet", AF_INET }, { "inet6", AF_INET6 }, { "unix", AF_UNIX },
    };
    int tun = tun_attach("rq0", IFF_TUN | IFF_NO_PI, 0), tap = tun_attach("rq1", IFF_TAP | IFF_NO_PI, 0);
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        int sock = MUST(socket(families[f].family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        for (size_t i = 0; i < ROWS; i++) {
            const struct request *row = &requests[i];
            if (row->answer == HOST || depends_on_machine(row) || !is_for(row, families[f].family))
                continue;
            on_socket(row, row->number, sock, families[f].family, families[f].name);
            if (row->count > 1)
                on_socket(row, row->number + row->count - 1, sock, families[f].family, families[f].name);
        }
        close(sock);
    }
    close(tun);
    close(tap);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    tunnels();
    sockets();
    return 0;
}
