#!/usr/bin/env bash
# Chromium for the tests: CHROMIUM_PATH, else the PATH, else what the platform's package manager installs.
# Says what to do where it cannot: then those tests are reported as skipped. Ends with 0 in any case.
set -Eeuo pipefail

say() { echo "browser: $*" >&2; }
found() {
  local name
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null; then return 0; fi
  done
  return 1
}

if [ -n "${CHROMIUM_PATH:-}" ]; then
  [ -x "$CHROMIUM_PATH" ] || say "CHROMIUM_PATH=$CHROMIUM_PATH is no program"
  exit 0
fi
if found; then exit 0; fi

as_root=()
if [ "$(id -u)" != 0 ]; then
  if sudo -n true 2>/dev/null; then as_root=(sudo -n); else as_root=(false); fi
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
say 'installing Chromium (once)'
if command -v apt-get >/dev/null; then
  { "${as_root[@]}" apt-get -o DPkg::Lock::Timeout=300 update &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends chromium fonts-dejavu-core; } >"$log" 2>&1 || true
elif command -v dnf >/dev/null; then
  "${as_root[@]}" dnf install -y chromium >"$log" 2>&1 || true
elif command -v apk >/dev/null; then
  "${as_root[@]}" apk add --no-cache chromium font-dejavu >"$log" 2>&1 || true
elif command -v brew >/dev/null; then
  brew install --cask chromium >"$log" 2>&1 || true
fi
if ! found; then
  tail -n 3 "$log" >&2
  say 'no Chromium: install it or Chrome as root and set CHROMIUM_PATH if it is not on the PATH; its tests will be skipped'
fi
