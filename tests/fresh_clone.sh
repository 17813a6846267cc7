#!/usr/bin/env bash
# A newcomer's first command: clone, `make run`, with no MovieLens on the machine. Takes minutes.
#
#   bash tests/fresh_clone.sh
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git clone --quiet --no-hardlinks "$root" "$folder/personalens"
cd "$folder/personalens"
unset PERSONALENS_DATA PERSONALENS_HOME VIRTUAL_ENV

fail() {
  echo "fresh clone: $1" >&2
  exit 1
}

make run 2>&1 | tee "$folder/log"
for expected in normalized_discounted_cumulative_gain_at_25 aws-popularity-count aws-sims aws-hrnn \
  "Recommended to viewer" "first recommendation, aws-hrnn" "Executed notebooks: "; do
  grep -qF -- "$expected" "$folder/log" || fail "make run does not show \"$expected\""
done
[ -z "$(git status --porcelain)" ] || fail "make run left files that git sees: $(git status --short)"

.venv/bin/python -m personalens doctor --port 0 || fail "the doctor finds a problem"
make --question "$(echo .venv/.installed-*)" || fail "a second make would install again"
echo "fresh clone: make run passed"
