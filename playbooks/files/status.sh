#!/bin/sh
# Prints the data for playbooks/status.yml, one item per line: its kind and a value.
set -u
export LC_ALL=C

# docker stats takes two seconds; the other commands run meanwhile.
docker stats --no-stream --format 'used {{json .}}' 2>/dev/null &
docker container ls --all --format 'listed {{json .}}' 2>/dev/null

if ! command -v docker-autostart >/dev/null; then
  echo 'failure docker-autostart is not installed'
elif response=$(docker-autostart status --json 2>&1); then
  printf '%s\n' "$response" | tr '\n' ' ' | sed 's/^/services /; s/ *$/\n/'
else
  printf '%s\n' "$response" | sed 's/^/failure /'
fi

df --human-readable --output=avail,size /var/lib | sed -n '$s/^/disk /p'
wait
