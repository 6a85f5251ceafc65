/* The same by IPv6. */
#define V6
#include "udp_local.c"
