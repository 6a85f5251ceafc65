/* The same over IPv6. */
#define V6
#include "tcp_no_port.c"
