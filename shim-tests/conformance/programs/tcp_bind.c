/* Which addresses and ports sockets of connections can have at the same time. */
#define TYPE SOCK_STREAM
#include "binding.h"
