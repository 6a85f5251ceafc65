/* The same over IPv6. */
#define V6
#include "mixed_names.c"
