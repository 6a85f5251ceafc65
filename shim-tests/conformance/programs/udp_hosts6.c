/* The same by a nameserver with an address of IPv6. */
#define V6
#include "udp_hosts.c"
