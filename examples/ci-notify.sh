#!/bin/sh
# Tells how a CI job ended; a job that is repeated, or a step that is retried after a timeout, is told once.
# Use as the last step: ci-notify.sh team@example.org shop-tests "$CI_PIPELINE_ID" failed "$CI_JOB_URL"
set -eu
to=$1 job=$2 run=$3 result=$4 link=${5:-}
# A runner may not set it, and imctl has no other way to find imd.
: "${XDG_RUNTIME_DIR:=/run/user/$(id -u)}"
export XDG_RUNTIME_DIR

text="$job $run: $result"
[ -z "$link" ] || text="$text
$link"
tell() { printf '%s\n' "$text" | imctl send "$to" --id "ci-$job-$run-$result" "$@" >/dev/null; }

# Success means that the server has it. Status 75 may mean that imd has it and goes on trying, or that it never got it:
# the same id again finds out, and sends nothing twice.
tell --wait server --timeout 30 || {
  status=$?
  [ "$status" -eq 75 ] || exit "$status"
  tell
}
