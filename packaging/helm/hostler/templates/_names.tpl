{{- define "hostler.name" -}}
{{- if contains "hostler" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-hostler" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "hostler.account" -}}
{{ .Values.serviceAccount.name | default (include "hostler.name" .) }}
{{- end }}

{{- /* Whether they ask the cluster anything: else they have no token for it. An account that is not the chart's has rights of which the chart knows nothing. */}}
{{- define "hostler.asks" -}}
{{- if or .Values.pods.namespaces .Values.customResources.namespaces .Values.customResources.apply (not .Values.serviceAccount.make) }}true{{ else }}false{{ end }}
{{- end }}

{{- define "hostler.selector" -}}
app.kubernetes.io/name: hostler
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hostler.labels" -}}
{{ include "hostler.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- /* The key in the ConfigMap of a path: keys have no slashes. */}}
{{- define "hostler.key" -}}
{{- if contains "__" . }}{{ fail (printf "files: %s: a path with __ cannot be kept" .) }}{{ end -}}
{{ . | replace "/" "__" }}
{{- end }}

{{- /* What is to be read at the start alone: pods are made anew with it. */}}
{{- define "hostler.files" -}}
hostler.conf: |
  # What the chart says, and then what its value config does.
  [store]
  url = file:/secrets/database/{{ .Values.database.key }}
{{- with .Values.ingress.host }}

  [controller]
  hosts = {{ . }}
{{- end }}
{{- with .Values.customResources }}
{{- if or .namespaces .apply }}

  [resources]
  {{- with .namespaces }}
  namespaces = {{ join ", " . }}
  {{- end }}
  {{- with .apply }}
  apply = {{ join ", " . }}
  {{- end }}
  show = {{ int .show }}
{{- end }}
{{- end }}
{{- with .Values.config }}

{{ . | trimSuffix "\n" | indent 2 }}
{{- end }}
{{- range $path, $text := .Values.files }}
{{ include "hostler.key" $path }}: |2
{{ $text | trimSuffix "\n" | indent 2 }}
{{- end }}
{{- end }}
