/* Prints the hooks behind which another function is noted than dlsym(RTLD_NEXT) finds. Compiled
 * with -DBETWEEN -shared it is a library that stands between memtun's and libc: it has functions of
 * libc's of its own, one of them chosen when it is looked up, and one under an old version. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/types.h>

#ifdef BETWEEN
ssize_t readv(int fd, const void *parts, int count) { return fd < 0 ? -7 : count; }

static int chosen(int fd) { return fd < 0 ? -8 : 0; }
static int (*choose(void))(int) { return chosen; }
int dup(int fd) __attribute__((ifunc("choose")));

int old_dup2(int from, int to) { return from < 0 ? -9 : to; }
__asm__(".symver old_dup2, dup2@OLD");
#else
#include <sys/uio.h>
#include <unistd.h>

extern const char *memtun_hook_name(int);
extern int memtun_hook_is_next(int);
#pragma weak memtun_hook_name
#pragma weak memtun_hook_is_next

int main(void)
{
    int hooks = 0, others = 0;
    if (!memtun_hook_name)
        return 2;
    for (; memtun_hook_name(hooks); hooks++)
        if (!memtun_hook_is_next(hooks)) {
            printf("%s is another one\n", memtun_hook_name(hooks));
            others++;
        }
    printf("readv %zd dup %d dup2 %d\n", readv(-1, NULL, 0), dup(-1), dup2(-1, 5));
    return others != 0 || hooks < 200;
}
#endif
