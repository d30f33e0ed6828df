#!/usr/bin/env bash
# Puts nats-server and minio into .cache/bin for the tests, where neither a Docker engine nor the PATH gives them, and
# versitygw (the second S3 server) and s3proxy (one that must be refused), which always run as programs.
# Says why where it cannot: then those tests are reported as skipped. Ends with 0 in any case.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
NATS=github.com/nats-io/nats-server/v2@v2.15.2
# MinIO's modules have no version numbers: this is the commit of RELEASE.2025-09-07T16-13-09Z.
MINIO=github.com/minio/minio@v0.0.0-20250907161309-07c3a429bfed
VERSITYGW=github.com/versity/versitygw/cmd/versitygw@v1.8.0
S3PROXY=org.gaul:s3proxy:3.0.0:jar:jar-with-dependencies
NATS_IMAGE=${NATS_IMAGE:-nats:2.15.2}
MINIO_IMAGE=${MINIO_IMAGE:-minio/minio:RELEASE.2025-09-07T16-13-09Z}
bin=$PWD/.cache/bin

say() { echo "servers: $*" >&2; }
limit() { if command -v timeout >/dev/null; then timeout "$@"; else shift && "$@"; fi; }
has_engine() { command -v docker >/dev/null && limit 10 docker info >/dev/null 2>&1; }
has_image() { docker image inspect "$1" >/dev/null 2>&1 || limit 600 docker pull --quiet "$1" >/dev/null 2>&1; }

get() { # PROGRAM GIVEN IMAGE MODULE
  local program=$1 given=$2 image=$3 module=$4
  if [ -n "$given" ]; then return; fi
  if command -v "$program" >/dev/null || [ -x "$bin/$program" ]; then return; fi
  if [ -n "$image" ] && has_engine && has_image "$image"; then return; fi
  if ! command -v go >/dev/null; then
    say "no $program: ${image:+no Docker engine has $image, }it is not on the PATH, and there is no go to build it; its tests will be skipped"
    return
  fi
  say "building $module (once, some minutes)"
  mkdir -p "$bin" .cache
  if ! CGO_ENABLED=0 GOBIN=$bin GOFLAGS=-trimpath go install -ldflags '-s -w' "$module" >".cache/$program.log" 2>&1; then
    tail -n 3 ".cache/$program.log" >&2
    say "no $program: go install failed (.cache/$program.log); its tests will be skipped"
  fi
}

get_jar() { # NAME ARTIFACT
  local name=$1 artifact=$2
  if [ -s "$bin/$name.jar" ]; then return; fi
  if ! command -v java >/dev/null || ! command -v mvn >/dev/null; then
    say "no $name: it needs java to run and mvn to be had; its tests will be skipped"
    return
  fi
  mkdir -p "$bin/.jar"
  if ! limit 600 mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -Dartifact="$artifact" \
    -DoutputDirectory="$bin/.jar" >".cache/$name.log" 2>&1; then
    tail -n 3 ".cache/$name.log" >&2
    say "no $name: mvn failed (.cache/$name.log); its tests will be skipped"
    return
  fi
  mv "$bin/.jar/"*.jar "$bin/$name.jar" && rmdir "$bin/.jar"
}

get nats-server "${TEST_NATS_URL:-}" "$NATS_IMAGE" "$NATS"
get minio "${TEST_S3_ENDPOINT:-}" "$MINIO_IMAGE" "$MINIO"
get versitygw '' '' "$VERSITYGW"
get_jar s3proxy "$S3PROXY"
