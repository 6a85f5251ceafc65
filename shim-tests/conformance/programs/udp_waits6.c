/* The same over IPv6. */
#define V6
#include "udp_waits.c"
