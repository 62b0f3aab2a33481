#!/bin/sh
# Answers each message with its own text; put your own program in the place of jq. Needs a running imd.
# Use: ./echo-bot.sh, or for one person alone: ./echo-bot.sh --from you@example.org
set -eu
exec imctl bot echo "$@" -- jq -r .body
