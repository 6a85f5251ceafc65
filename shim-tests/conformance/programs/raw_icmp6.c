#define V6
#include "raw_icmp.c"
