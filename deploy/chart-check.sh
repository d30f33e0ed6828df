#!/usr/bin/env bash
# Installs the chart on a Kubernetes cluster, checks the installation (deploy/chart-check.ts), and removes it.
# The cluster is KUBECONFIG's. Where none answers, PARTS (a script with the commands kube-node, node-image, helm,
# kube-load and env) makes one. KEEP=1 leaves the installation there.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
PARTS=${PARTS:-../shared/parts.sh}
release=${RELEASE:-mutoscope}
namespace=${NAMESPACE:-mutoscope-check}
version=$(sed -n 's/^appVersion: //p' deploy/chart/Chart.yaml)
image=${IMAGE:-mutoscope:$version}
forwards=()

say() { echo "chart-check: $*" >&2; }
answers() { kubectl version --request-timeout=5s >/dev/null 2>&1; }
parts=
if ! answers; then
  [ -x "$PARTS" ] || { say "no cluster answers: set KUBECONFIG, or PARTS to a script that makes one"; exit 1; }
  "$PARTS" kube-node && "$PARTS" node-image && "$PARTS" images && "$PARTS" helm
  eval "$("$PARTS" env)"
fi
if [ -x "$PARTS" ] && [ "$(kubectl config current-context)" = parts ]; then parts=$PARTS; eval "$("$PARTS" env)"; fi

k() { kubectl -n "$namespace" "$@"; }
finish() {
  local status=$?
  if [ $status != 0 ]; then
    k get pods -o wide >&2 || true
    k get events --sort-by=.lastTimestamp 2>/dev/null | tail -n 15 >&2 || true
    for role in collector processor query; do k logs "deployment/$release-$role" --all-containers --tail=15 >&2 || true; done
  fi
  for pid in "${forwards[@]}"; do kill "$pid" 2>/dev/null || true; done
  if [ -z "${KEEP:-}" ]; then
    helm uninstall "$release" -n "$namespace" --wait --timeout 3m >/dev/null 2>&1 || true
    kubectl delete namespace "$namespace" --wait --timeout=180s >/dev/null 2>&1 || true
  fi
  exit $status
}
trap finish EXIT

if [ -n "$parts" ]; then
  # Nothing is pulled there, and its volumes are directories of this machine that belong to root, are not emptied and
  # take no fsGroup.
  "$parts" kube-load "$image" nats:2.15.2 minio/minio:RELEASE.2025-09-07T16-13-09Z
  for volume in $(kubectl get pv -o jsonpath='{range .items[?(@.status.phase!="Bound")]}{.metadata.name}={.spec.hostPath.path}{"\n"}{end}'); do
    path=${volume#*=}
    case $path in */pv/[0-9]*) ;; *) continue ;; esac
    rm -rf "$path"
    install -d -m 0777 "$path"
    kubectl patch pv "${volume%%=*}" --type=json -p '[{"op":"add","path":"/spec/claimRef","value":null}]' >/dev/null
  done
fi

# Whatever the templates make must also please the API server, which `helm install --dry-run` does not ask.
kubectl create namespace "$namespace" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
kubectl label namespace "$namespace" --overwrite pod-security.kubernetes.io/enforce=restricted >/dev/null
helm template "$release" deploy/chart -n "$namespace" --set demo=true | kubectl apply -n "$namespace" --server-side --force-conflicts --dry-run=server -f - >/dev/null
say 'the API server accepts every object'

started=$SECONDS
helm upgrade --install "$release" deploy/chart -n "$namespace" --wait --timeout 3m \
  --set image.repository="${image%:*}" --set image.tag="${image##*:}" --set demo=true \
  --set config.FLUSH_INTERVAL_MS=1000 --set config.REFRESH_INTERVAL_MS=200 >/dev/null
say "installed in $((SECONDS - started)) s"
k get pods >&2

# The Service's own address where this machine is a node, else a tunnel.
address() { # ROLE
  local at log
  at=$(k get service "$release-$1" -o jsonpath='{.spec.clusterIP}:{.spec.ports[0].port}')
  if ! ready "$at"; then
    log=$(mktemp)
    kubectl -n "$namespace" port-forward "service/$release-$1" :80 >"$log" 2>&1 &
    forwards+=($!)
    until at=$(sed -n 's/^Forwarding from \(127[^ ]*\) .*/\1/p' "$log") && [ -n "$at" ]; do
      kill -0 $! || { cat "$log" >&2; return 1; }
      sleep 0.2
    done
    rm -f "$log"
    ready "$at"
  fi
  address=$at
}
ready() { curl -fsS --noproxy '*' --retry 5 --retry-all-errors --retry-delay 1 -m 3 "http://$1/readyz" >/dev/null 2>&1; }
address collector && collector_at=$address
address query && query_at=$address

export COLLECTOR_AT=$collector_at QUERY_AT=$query_at
export COLLECTOR_URL=http://$release-collector.$namespace.svc QUERY_URL=http://$release-query.$namespace.svc
API_KEY=$(k get secret "$release" -o jsonpath='{.data.FIRST_API_KEY}' | base64 -d)
export API_KEY
node deploy/chart-check.ts

# What was recorded is there after every pod was replaced, and every pod left within its grace.
started=$SECONDS
k rollout restart deployment >/dev/null
for role in collector processor query; do k rollout status "deployment/$release-$role" --timeout=180s >/dev/null; done
say "every role was replaced in $((SECONDS - started)) s"
rows=$(curl -fsS --noproxy '*' --retry 10 --retry-all-errors --retry-delay 1 "http://$QUERY_AT/v1/sql" -H "authorization: Bearer $API_KEY" -H 'content-type: application/json' \
  -d '{"sql": "SELECT count(*) FROM events", "format": "csv"}' | tail -n 1)
[ "${rows//[^0-9]/}" -gt 0 ] || { say "after the restart SQL finds $rows events"; exit 1; }
figure() { echo "figure $1 $2 $3"; }
figure chart_events_after_restart "${rows//[^0-9]/}" events
