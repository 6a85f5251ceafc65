/* Which addresses and ports sockets of datagrams can have at the same time. */
#define TYPE SOCK_DGRAM
#include "binding.h"
