/* The same over IPv6. */
#define V6
#include "tcp_anew.c"
