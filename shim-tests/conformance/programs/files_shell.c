/* The files of an interface under /sys and /proc as shells and the tools that scripts use get at
   them: redirections, globs, working directories, descriptors that go over exec. */
#include "host.h"

#define TUN (IFF_TUN | IFF_NO_PI)
#define TAP (IFF_TAP | IFF_NO_PI)

/* Runs a command with a shell, and shows each line that it prints, and its status. */
static void run(const char *shell, const char *command)
{
    char line[400], text[4000] = "";
    char *whole = NULL;
    MUST(setenv("COMMAND", command, 1));
    MUST(asprintf(&whole, "{ %s -c \"$COMMAND\" 2>&1; echo \"status $?\"; } | "
                          "sed 's/^[bd]ash: line [0-9]*: //; s/^[bd]ash: [0-9]*: //'", shell));
    FILE *from = popen(whole, "r");
    if (!from)
        die("popen");
    while (fgets(line, sizeof line, from)) {
        line[strcspn(line, "\n")] = 0;
        append(text, sizeof text, "[%s]", line);
    }
    pclose(from);
    free(whole);
    snprintf(line, sizeof line, "%s, %s", shell, command);
    for (char *c = line; *c; c++)
        if (*c == ':')
            *c = ';';
    say(line, "%s", text);
}

/* The interfaces' own directories, without what the machine has beside them. */
static const char *const commands[] = {
    "cat /sys/class/net/fs0/mtu",
    "echo 1400 > /sys/class/net/fs0/mtu",
    "cat < /sys/class/net/fs0/mtu",
    "echo 7 > /sys/class/net/fs0/mtu",
    "echo x > /sys/class/net/fs0/mtu",
    "printf 1300 > /sys/class/net/fs0/mtu && cat /sys/class/net/fs0/mtu",
    "echo 1 > /sys/class/net/fs0/address",
    "/bin/echo 1200 > /sys/class/net/fs0/mtu && cat /sys/class/net/fs0/mtu",
    "/bin/echo 12 > /sys/class/net/fs0/mtu",
    "echo 1250 | tee /sys/class/net/fs0/mtu",
    "echo 12 | tee /sys/class/net/fs0/mtu > /dev/null",
    "echo 1251 | dd of=/sys/class/net/fs0/mtu status=none && cat /sys/class/net/fs0/mtu",
    "echo 12 | dd of=/sys/class/net/fs0/mtu status=none",
    "cp /sys/class/net/fs0/mtu /dev/stdout",
    "{ echo 1300; echo 1301; } > /sys/class/net/fs0/mtu; cat /sys/class/net/fs0/mtu",
    "exec 3> /sys/class/net/fs0/mtu; echo 1310 >&3; cat /sys/class/net/fs0/mtu",
    "read -r mtu < /sys/class/net/fs0/mtu; echo $mtu",
    "x=$(cat /sys/class/net/fs0/type); echo $x",
    "cd /sys/class/net/fs0 && pwd && pwd -P && cat mtu ../fs1/type && cd statistics && pwd",
    "cd /sys/class/net && echo f* f*/type && cd fs1 && pwd && cat type && cd .. && pwd",
    "cd /sys && cat class/net/fs0/type && cd devices/virtual && cat net/fs1/type",
    "cd /sys/class/net/fs0 && ls statistics | wc -l && ls -d queues/*",
    "for i in /sys/class/net/fs*; do basename $i; done",
    "ls -d /sys/class/net/fs0 /sys/class/net/fs1/",
    "ls -l /sys/class/net/fs0 | sed 's/ [A-Z][a-z][a-z] .*:[0-9]* / /'",
    "ls -l /sys/class/net/fs0/statistics/rx_bytes | cut -c1-27",
    "find /sys/class/net/fs0/ -name '*mtu*'",
    "find -L /sys/class/net/fs0 -maxdepth 1 -name 'tx*'",
    "find /sys/class/net -name 'fs*' -type l | sort",
    "grep . /sys/class/net/fs0/type /sys/class/net/fs1/type",
    "grep -c . /sys/class/net/fs0/statistics/* | tail -1",
    "grep -r . /sys/class/net/fs0/statistics | sort | head -2",
    "head -1 /sys/class/net/fs0/operstate",
    "wc -c /sys/class/net/fs0/mtu",
    "stat -c '%n %a %F %s %U %h' /sys/class/net/fs0 /sys/class/net/fs0/ /sys/class/net/fs0/mtu",
    "readlink /sys/class/net/fs0; readlink -f /sys/class/net/fs0; realpath /sys/class/net/fs0/mtu",
    "test -d /sys/class/net/fs0 && echo there; test -e /sys/class/net/fs9 || echo not there",
    "cd /sys/class/net/fs0; test -r mtu && test -w mtu && test ! -x mtu && echo both",
    "test -w /sys/class/net/fs0/type && echo as root",
    "test /sys/class/net/fs0 -ef /sys/devices/virtual/net/fs0 && echo the same",
    "diff /sys/class/net/fs0/type /sys/class/net/fs0/type && echo the same",
    "tar cf - -C /sys/class/net/fs0 mtu type 2>/dev/null | tar tf -",
    "awk '{ print $1 + 1 }' /sys/class/net/fs0/type",
    "rm -f /sys/class/net/fs0/mtu",
    "mkdir /sys/class/net/fs0/x",
    "touch /sys/class/net/fs0/mtu && chmod 600 /sys/class/net/fs1/mtu",
    "cat /sys/class/net/fs0/carrier",
    "cat /proc/sys/net/ipv4/conf/fs0/rp_filter",
    "echo 2 > /proc/sys/net/ipv4/conf/fs0/rp_filter; cat /proc/sys/net/ipv4/conf/fs0/rp_filter",
    "echo x > /proc/sys/net/ipv4/conf/fs0/rp_filter",
    "ls -d /proc/sys/net/ipv?/*/fs0",
    "grep -c . /proc/sys/net/ipv6/conf/fs0/disable_ipv6",
    "awk -F: '/fs[0-9]/ { print $1 }' /proc/net/dev /proc/self/net/dev",
    "grep fs0 /proc/net/dev",
    "cd /proc/sys/net/ipv4/conf/fs0 && pwd && cat ../fs1/rp_filter && echo 0 > rp_filter",
};

int main(int argc, char **argv)
{
    start(argc, argv);
    own_sysfs();
    tun_attach("fs0", TUN, 0);
    tun_attach("fs1", TAP, 0);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        run("dash", commands[i]);
        run("bash", commands[i]);
    }
    return 0;
}
