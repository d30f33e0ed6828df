#!/usr/bin/env bash
# Puts other programs' readers of the lake into .cache/readers for the tests: pyiceberg, polars, pyarrow and DuckDB;
# with READERS=more also ClickHouse (chdb) and Spark, which needs Java 17 and Maven.
# Says why where it cannot: then those tests are reported as skipped. Ends with 0 in any case.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
SPARK_ICEBERG=org.apache.iceberg:iceberg-spark-runtime-4.0_2.13:1.10.1
venv=$PWD/.cache/readers

say() { echo "readers: $*" >&2; }
run() { # NAME COMMAND…
  local name=$1 && shift
  "$@" >".cache/$name.log" 2>&1 || { tail -n 3 ".cache/$name.log" >&2 && say "$* failed (.cache/$name.log)" && return 1; }
}

get() { # NAME, of deploy/readers/NAME.txt
  local list=deploy/readers/$1.txt
  if cmp -s "$list" "$venv/$1.txt"; then return; fi
  say "getting $(grep -cv '^#' "$list") packages of $list (once)"
  run "$1" "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$list" || return 1
  cp "$list" "$venv/$1.txt"
}

main() {
  mkdir -p .cache
  if [ -n "${TEST_READERS_PYTHON:-}" ]; then return; fi
  if [ ! -x "$venv/bin/pip" ]; then
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      say "no Python 3.11 or newer as python3; the readers' tests will be skipped"
      return
    fi
    run venv python3 -m venv "$venv" || return
  fi
  get requirements || { rm -rf "$venv" && return; }
  if [ "${READERS:-}" != more ]; then return; fi
  get requirements-more || return
  if ! command -v mvn >/dev/null || ! command -v java >/dev/null; then
    say "no java or mvn: Spark will not be asked"
    return
  fi
  if ! compgen -G "$venv/jars/*.jar" >/dev/null; then
    run jars mvn --quiet --batch-mode dependency:copy "-Dartifact=$SPARK_ICEBERG" "-DoutputDirectory=$venv/jars"
  fi
}

main || true
