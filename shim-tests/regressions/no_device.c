/* A special device that the machine does not have, by every call of libc that takes a path. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utime.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/time.h>

#define SHOW(call) do { errno = 0; long r_ = (long)(call); printf(#call " %ld %s\n", r_, r_ ? strerrorname_np(errno) : "0"); } while (0)

int main(void)
{
    const char *device = "/nowhere/net/tun", *name;
    struct statfs fs;
    struct statvfs vfs;
    struct stat st;
    posix_spawn_file_actions_t actions;
    char place[4096], *found;
    for (int i = 0; i < 2; i++) {
        name = i ? "/nowhere/./net/../net/tun" : device;
        found = realpath(name, NULL);
        printf("realpath %s\n", found ? found : strerrorname_np(errno));
        free(found);
        found = realpath(name, place);
        printf("realpath to a place %d %s\n", found == place, found ? found : strerrorname_np(errno));
        found = canonicalize_file_name(name);
        printf("canonicalize_file_name %s\n", found ? found : strerrorname_np(errno));
        free(found);
    }
    SHOW(opendir(device) ? 0 : -1);
    SHOW(chdir(device));
    SHOW(statfs(device, &fs));
    SHOW(statvfs(device, &vfs));
    SHOW(stat(device, &st));
    SHOW(access(device, R_OK | W_OK));
    SHOW(chmod(device, 0600));
    SHOW(chown(device, 0, 0));
    SHOW(lchown(device, 0, 0));
    SHOW(fchmodat(AT_FDCWD, device, 0600, 0));
    SHOW(fchownat(AT_FDCWD, device, 0, 0, 0));
    SHOW(utime(device, NULL));
    SHOW(utimes(device, NULL));
    SHOW(lutimes(device, NULL));
    SHOW(utimensat(AT_FDCWD, device, NULL, 0));
    SHOW(truncate(device, 0));
    SHOW(mknod(device, S_IFIFO | 0600, 0));
    posix_spawn_file_actions_init(&actions);
    printf("addopen %s\n", strerrorname_np(posix_spawn_file_actions_addopen(&actions, 3, device, O_RDWR, 0)));
    name = "/nowhere/net/other";
    SHOW(realpath(name, NULL) ? 0 : -1);
    SHOW(opendir(name) ? 0 : -1);
    SHOW(chmod(name, 0600));
    return 0;
}
