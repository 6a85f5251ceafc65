/* The same by IPv6. */
#define V6
#include "socket_options.c"
