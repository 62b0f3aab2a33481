// What the process allows others to do to it, and what it must know of those it started.
#define _GNU_SOURCE
#include "CLinux.h"

#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int clinux_forbid_tracing(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

int clinux_open_process(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }

int clinux_limit_files(pid_t process, unsigned long count) {
    struct rlimit limit;
    if (prlimit(process, RLIMIT_NOFILE, NULL, &limit) != 0) return -1;
    if (limit.rlim_cur > count) limit.rlim_cur = count;
    return prlimit(process, RLIMIT_NOFILE, &limit, NULL);
}

int clinux_confine(posix_spawn_file_actions_t *actions, const char *folder) {
    int code = posix_spawn_file_actions_addclosefrom_np(actions, 3);
    return code != 0 ? code : posix_spawn_file_actions_addchdir_np(actions, folder);
}
