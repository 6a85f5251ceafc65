/* The same by IPv6. */
#define V6
#include "group_filters.c"
