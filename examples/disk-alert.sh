#!/bin/sh
# Tells you which disks are nearly full, each finding once a day, also if cron runs it every hour.
# Use in a crontab: 17 * * * * /path/to/disk-alert.sh you@example.org 90
set -eu
to=$1 limit=${2:-90}
# cron does not set it, and imctl has no other way to find imd.
: "${XDG_RUNTIME_DIR:=/run/user/$(id -u)}"
export XDG_RUNTIME_DIR
PATH=$PATH:/usr/local/bin

# A mount point may have spaces: it is all that follows the number.
full=$(df --output=pcent,target |
  awk -v limit="$limit" 'NR > 1 && $1 + 0 >= limit { sub(/^ *[^ ]+ /, ""); print }' | sort -u)
[ -n "$full" ] || exit 0
text="On $(uname -n) these are at least $limit % full:
$full"
# The same text on the same day has the same id: it goes out once.
id="disk-$(date +%F)-$(printf '%s' "$text" | cksum | tr ' ' -)"
printf '%s\n' "$text" | imctl send "$to" --id "$id" >/dev/null
