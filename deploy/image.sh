#!/usr/bin/env bash
# Builds the image: stages sources, dist/ and production modules in .cache/image, then `docker build` copies them.
# IMAGE names it (default mutoscope:<version>); NODE_IMAGE and BASE_IMAGE name what it is made from.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
[ -d dist/recorder ] && [ -d dist/player ] || { echo "image: dist/ is not there: run 'make build' first" >&2; exit 1; }
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)
image=${IMAGE:-mutoscope:$version}
case $(docker version --format '{{.Server.Arch}}') in amd64) cpu=x64 ;; arm64) cpu=arm64 ;; *) echo 'image: neither amd64 nor arm64' >&2; exit 1 ;; esac
stage=.cache/image
modules=.cache/image-modules

# The modules are those of the lockfile for the image's platform, whatever this machine is; installed once a lockfile.
key="$cpu $(cksum <package-lock.json)"
if [ "$(cat "$modules/key" 2>/dev/null)" != "$key" ]; then
  rm -rf "$modules"
  mkdir -p "$modules"
  cp package.json package-lock.json "$modules/"
  npm ci --prefix "$modules" --omit=dev --ignore-scripts --no-audit --no-fund --os=linux --cpu="$cpu" --libc=glibc
  # Read by people, compilers and debuggers only. Licences stay.
  rm -rf "$modules"/node_modules/@types "$modules"/node_modules/.bin
  find "$modules/node_modules" -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -iname 'readme*' -o -iname 'changelog*' \) -delete
  find "$modules/node_modules" -type d -empty -delete
  echo "$key" >"$modules/key"
fi

rm -rf "$stage"
mkdir -p "$stage"
cp -R "$modules/node_modules" "$stage/"
tar -c --exclude='*.test.ts' --exclude='*.bench.ts' --exclude='*.contract.ts' --exclude='*.victim.ts' --exclude=fixtures --exclude=deploy/chart --exclude='*.sh' \
  package.json LICENSE collector processor query recorder deploy dist | tar -x -C "$stage"
DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-0} docker build --quiet -f deploy/Dockerfile -t "$image" \
  ${NODE_IMAGE:+--build-arg NODE_IMAGE="$NODE_IMAGE"} ${BASE_IMAGE:+--build-arg BASE_IMAGE="$BASE_IMAGE"} "$stage" >/dev/null
echo "$image: $(docker image inspect --format '{{.Size}}' "$image" | awk '{printf "%.0f MB", $1 / 1e6}')"
