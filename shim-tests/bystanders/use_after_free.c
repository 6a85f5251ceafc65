/* The bug that an address sanitizer is for. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
    char *volatile block = malloc(16);
    int fd = open("/dev/zero", O_RDONLY);

    free(block);
    return fd >= 0 && read(fd, block, 16) == 16 ? block[3] : 1;
}
