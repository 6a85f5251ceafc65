/* The settings of links: every file of all, default and a link, its permissions, and what may be
   written into it. */
#include "host.h"

#define TUN (IFF_TUN | IFF_NO_PI)
#define TAP (IFF_TAP | IFF_NO_PI)

static const char *const folders[] = { "ipv4/conf", "ipv4/neigh", "ipv6/conf", "ipv6/neigh" };

static const char *const texts[] = {
    "0", "1", "-1", "5\n", "255", "256", "65535", "65536", "2147483647", "2147483648", "-2147483649", "4294967296",
    "18446744073709551616", "0x10", "08", "+1", " 1", "1 2", "a", "",
};

/* What writing each of the texts returns, and what is read then where it is taken. */
static void all_texts(const char *what, const char *path)
{
    static char text[4000];
    text[0] = 0;
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
        char value[100] = "";
        int fd = open(path, O_WRONLY);
        ssize_t n = fd < 0 ? -1 : write(fd, texts[t], strlen(texts[t]));
        int error = errno;
        close(fd);
        slurp(path, value, sizeof value);
        value[strcspn(value, "\n")] = 0;
        if (n < 0)
            append(text, sizeof text, "%s%s", t ? " " : "", error == EINVAL ? "-" : errno_name(error));
        else
            append(text, sizeof text, "%s%zd:%s", t ? " " : "", n, value);
    }
    say(what, "%s", text);
}

static void every(const char *name)
{
    for (size_t i = 0; i < 4; i++) {
        struct dirent **list;
        char path[400], folder[100];
        snprintf(folder, sizeof folder, "/proc/sys/net/%s/%s", folders[i], name);
        int n = scandir(folder, &list, NULL, alphasort);
        say(label("%s/%s, files", folders[i], name), "%d", n);
        for (int k = 0; k < n; k++) {
            struct stat st;
            char before[100] = "", shown[200];
            if (list[k]->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", folder, list[k]->d_name);
            MUST(stat(path, &st));
            ssize_t len = slurp(path, before, sizeof before);
            say(label("%s/%s/%s", folders[i], name, list[k]->d_name), "%o '%s'", st.st_mode,
                len < 0 ? errno_name(errno) : escaped(shown, before, len));
            if (!strcmp(name, "sv0") && strcmp(list[k]->d_name, "stable_secret") && strcmp(list[k]->d_name, "disable_ipv6")) {
                all_texts(label("%s/%s/%s, written", folders[i], name, list[k]->d_name), path);
                spit(path, before);
            }
            free(list[k]);
        }
        if (n >= 0)
            free(list);
    }
}

static void several(const char *path)
{
    static const char *const all[] = { "1000 2000", "1000\t2000\n", "3000", "4000 ", "5000\n", "1 2 3", "x", "6000 x", "7000,8000", "9000 1000", "0 1", "65535 65536",
                                       "", "\n", "-1 5", "100 200\n300 400\n", "5 5" };
    char value[100], shown[200], text[100], name[100];
    snprintf(name, sizeof name, "%s", strrchr(path, '/') + 1);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        show_write(label("%s, several %zu '%s'", name, i, escaped(text, all[i], strlen(all[i]))), path, all[i], strlen(all[i]));
        ssize_t len = slurp(path, value, sizeof value);
        say(label("%s, after %zu", name, i), "'%s'", len < 0 ? errno_name(errno) : escaped(shown, value, len));
    }
    int fd = open(path, O_RDWR);
    SHOW(label("%s, in two writes, first", name), write(fd, "111", 3));
    SHOW(label("%s, in two writes, second", name), write(fd, " 222", 4));
    SHOW(label("%s, pwrite at 1", name), pwrite(fd, "333 444", 7, 1));
    SHOW(label("%s, writev", name), (lseek(fd, 0, SEEK_SET), writev(fd, (struct iovec[]){ { "55", 2 }, { "5 666", 5 } }, 2)));
    SHOW(label("%s, position", name), lseek(fd, 0, SEEK_CUR));
    show_file(label("%s, at last", name), path);
    lseek(fd, 0, SEEK_SET);
    show_data(label("%s, a byte", name), read(fd, value, 1), value);
    show_data(label("%s, another", name), read(fd, value, 1), value);
    show_data(label("%s, pread at 1", name), pread(fd, value, 5, 1), value);
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    close(tun_attach("sn9", TUN, 0));
    spit("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    plain_sysctls();
    int fd = tun_attach("sv0", TAP, 0);
    every("all");
    every("default");
    every("lo");
    every("sv0");
    close(fd);
    spit("/proc/sys/net/ipv4/ip_local_port_range", "32768 60999");
    several("/proc/sys/net/ipv4/ip_local_port_range");
    return 0;
}
