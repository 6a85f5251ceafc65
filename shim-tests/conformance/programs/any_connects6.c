/* The same over IPv6. */
#define V6
#include "any_connects.c"
