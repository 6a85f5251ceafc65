/* The same as udp_odd.c by IPv6. */
#define V6
#include "udp_odd.c"
