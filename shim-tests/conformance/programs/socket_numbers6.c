/* The same over IPv6. */
#define V6
#include "socket_numbers.c"
