#!/usr/bin/env bash
# Brings what the interop tests talk to the services with: the AWS CLI in an environment of its own,
# Node with the AWS SDK for JavaScript, and Chromium. What cannot be had is named, and its tests are
# skipped; nothing waits longer than its limit.
#
#   bash tests/interop/install.sh
set -uo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
log=$(mktemp)
trap 'rm -f "$log"' EXIT

try() {  # try SECONDS WHAT COMMAND...: run it, and say in a line if it fails
  local seconds=$1 what=$2
  shift 2
  timeout "$seconds" "$@" </dev/null >"$log" 2>&1 && return
  echo "interop: no $what here ($(tail -n 1 "$log" | cut -c 1-120)); its tests are skipped"
  return 1
}

packages=()
command -v node >/dev/null && command -v npm >/dev/null || packages+=(nodejs npm)
command -v chromium >/dev/null || packages+=(chromium)
if [ ${#packages[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    try 60 "list of packages" apt-get update
    for package in "${packages[@]}"; do
      try 150 "$package" apt-get install -y --no-install-recommends "$package"
    done
  else
    echo "interop: install ${packages[*]} to run all tests"
  fi
fi

if command -v npm >/dev/null; then
  cd labs/web
  try 120 "AWS SDK for JavaScript" npm ci --no-audit --no-fund && try 60 "page" npm run build
  cd "$root"
fi

if [ ! -x .venv-interop/bin/aws ]; then
  python=$(ls .venv/bin/python 2>/dev/null || command -v python3)
  try 60 "environment for the AWS CLI" "$python" -m venv .venv-interop \
    && try 180 "AWS CLI" .venv-interop/bin/python -m pip install -q --disable-pip-version-check \
      -r tests/interop/requirements.txt
fi
exit 0
