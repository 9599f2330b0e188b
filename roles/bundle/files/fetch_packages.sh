#!/usr/bin/env bash
# In a container of the hosts' distribution: downloads the given packages with all dependencies into /packages, with an
# index for apt.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
# Let the folder's owner delete its content, whatever happens.
trap 'chown -R --reference=/packages /packages' EXIT

apt-get update -q
# As if nothing were installed: a host may lack packages of this image, or have older ones.
touch /nothing-installed
mkdir -p /packages/partial
apt-get install -yq --no-install-recommends --download-only \
  -o Dir::State::status=/nothing-installed -o Dir::Cache::archives=/packages "$@"
rm -rf /packages/partial /packages/lock
apt-get install -yq --no-install-recommends apt-utils
cd /packages
apt-ftparchive packages . >Packages
