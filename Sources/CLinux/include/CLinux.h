// The few calls of the system that Swift's Glibc module does not have.
#ifndef IMD_CLINUX_H
#define IMD_CLINUX_H

#include <spawn.h>
#include <stdint.h>
#include <sys/types.h>

#define CLINUX_NAME_MAX 256

struct clinux_srv {
    uint16_t priority;
    uint16_t weight;
    uint16_t port;
    char target[CLINUX_NAME_MAX];  // without the trailing dot; "." where the service is declared absent
};

/// Looks up the SRV records of `name`, blocking for a few seconds at most.
/// Returns how many were written to `out`, 0 where the name has none, -1 where no answer could be had.
int clinux_srv(const char *name, struct clinux_srv *out, int capacity);

/// Forbids core dumps of this process, and other processes of the user to trace it or read its memory.
/// Returns 0, or -1 with errno set.
int clinux_forbid_tracing(void);

/// Opens a descriptor that becomes readable when a child has ended; close-on-exec.
/// Returns it, or -1 with errno set.
int clinux_open_process(pid_t process);

/// A child will have no descriptors but the first three, and begin in `folder`.
/// Returns 0 or an error number.
int clinux_confine(posix_spawn_file_actions_t *actions, const char *folder);

/// A child may have no more than so many files open.
/// Returns 0, or -1 with errno set.
int clinux_limit_files(pid_t process, unsigned long count);

/// Opens a socket that becomes readable whenever a link, an address or a route changes.
/// Returns its descriptor, close-on-exec and non-blocking, or -1 with errno set.
int clinux_watch_network(void);

/// Opens a descriptor that becomes readable whenever something in a folder has changed.
/// Returns it, close-on-exec and non-blocking, or -1: there is no such folder, or no room for one more watch.
int clinux_watch_folder(const char *path);

/// Gives a file another name, which no file may have yet.
/// Returns 0, or -1 with errno set: EEXIST where one has it, EINVAL where the file system cannot do that.
int clinux_rename_new(const char *from, const char *to);

#endif
