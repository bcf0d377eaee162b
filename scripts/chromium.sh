#!/usr/bin/env bash
# Install Debian's Chromium, which the tests of the page need, unless a Chromium is there.
set -euo pipefail
for name in chromium chromium-browser google-chrome chrome; do
  if command -v "$name" >/dev/null; then exit; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing Chromium"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends chromium >/dev/null
else
  echo "Chromium is missing, so the tests of the page are skipped; sudo apt-get install chromium" >&2
fi
