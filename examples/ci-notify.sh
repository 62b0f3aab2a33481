#!/bin/sh
# Tells how a CI job ended; a job that is repeated, or a step that is retried after a timeout, is told once.
# Use as the last step: ci-notify.sh team@example.org shop-tests "$CI_PIPELINE_ID" failed "$CI_JOB_URL"
set -eu
to=$1 job=$2 run=$3 result=$4 link=${5:-}

text="$job $run: $result"
[ -z "$link" ] || text="$text
$link"
# Success means that the server has it. Status 75: not yet, but it still goes out; the job need not fail for it.
printf '%s\n' "$text" | imctl send "$to" --id "ci-$job-$run-$result" --wait server --timeout 30 >/dev/null || {
  status=$?
  [ "$status" -eq 75 ] || exit "$status"
}
