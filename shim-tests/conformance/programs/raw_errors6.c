/* The same over IPv6. */
#define V6
#include "raw_errors.c"
