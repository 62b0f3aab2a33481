// SRV look-ups (RFC 2782) through the system's resolver.
#include "CLinux.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <string.h>

int clinux_srv(const char *name, struct clinux_srv *out, int capacity) {
    struct __res_state state;
    memset(&state, 0, sizeof state);
    if (res_ninit(&state) != 0) return -1;
    state.retrans = 2;
    state.retry = 2;

    unsigned char answer[65535];
    int length = res_nquery(&state, name, ns_c_in, ns_t_srv, answer, sizeof answer);
    int reason = state.res_h_errno;
    res_nclose(&state);
    if (length < 0) return reason == HOST_NOT_FOUND || reason == NO_DATA ? 0 : -1;
    if (length > (int)sizeof answer) length = sizeof answer;

    ns_msg message;
    if (ns_initparse(answer, length, &message) != 0) return -1;
    int found = 0;
    for (int i = 0; i < ns_msg_count(message, ns_s_an) && found < capacity; i++) {
        ns_rr record;
        if (ns_parserr(&message, ns_s_an, i, &record) != 0) return -1;
        if (ns_rr_type(record) != ns_t_srv || ns_rr_rdlen(record) < 7) continue;
        const unsigned char *data = ns_rr_rdata(record);
        struct clinux_srv *srv = &out[found];
        srv->priority = ns_get16(data);
        srv->weight = ns_get16(data + 2);
        srv->port = ns_get16(data + 4);
        // dn_expand leaves an empty string for the root name, which RFC 2782 gives the meaning "not here".
        if (dn_expand(ns_msg_base(message), ns_msg_end(message), data + 6, srv->target, CLINUX_NAME_MAX) < 0)
            continue;
        if (srv->target[0] == '\0') strcpy(srv->target, ".");
        found++;
    }
    return found;
}
