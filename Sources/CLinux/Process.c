// What the process allows others to do to it.
#include "CLinux.h"

#include <sys/prctl.h>

int clinux_forbid_tracing(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }
