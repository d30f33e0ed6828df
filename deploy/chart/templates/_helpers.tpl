{{- define "mutoscope.name" -}}
{{- if contains "mutoscope" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-mutoscope" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "mutoscope.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "mutoscope.secret" -}}
{{ .Values.existingSecret | default (include "mutoscope.name" .) }}
{{- end }}

{{/* Of one component: (list $ "collector") */}}
{{- define "mutoscope.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: mutoscope
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "mutoscope.labels" -}}
{{- $ := index . 0 -}}
{{ include "mutoscope.selector" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ $.Chart.Name }}-{{ $.Chart.Version }}
{{- end }}

{{/* Address under which browsers reach a role: (list $ "query") */}}
{{- define "mutoscope.publicUrl" -}}
{{- $ := index . 0 }}{{ $role := index . 1 }}{{ $values := index $.Values $role -}}
{{- if $values.publicUrl }}{{ $values.publicUrl | trimSuffix "/" }}
{{- else if $.Values.ingress.enabled }}{{ ternary "https" "http" (ne $.Values.ingress.tlsSecret "") }}://{{ $.Values.ingress.host }}
{{- else }}http://{{ include "mutoscope.name" $ }}-{{ $role }}.{{ $.Release.Namespace }}.svc{{ if ne (int $values.service.port) 80 }}:{{ $values.service.port }}{{ end }}
{{- end }}
{{- end }}

{{- define "mutoscope.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "mutoscope.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* One variable from the secret, under its own name: (list $ "FIRST_API_KEY") */}}
{{- define "mutoscope.fromSecret" -}}
- name: {{ index . 1 }}
  valueFrom: { secretKeyRef: { name: {{ include "mutoscope.secret" (index . 0) }}, key: {{ index . 1 }} } }
{{- end }}
