/* The same over IPv6. */
#define V6
#include "ping_socket.c"
