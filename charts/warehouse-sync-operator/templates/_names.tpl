{{/* The name of most objects: that of the release, if it says whose it is. */}}
{{- define "name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "account" -}}
{{- .Values.serviceAccount.name | default (include "name" .) -}}
{{- end }}

{{/* What tells pods of this release from all others. It can never change: a Deployment keeps its selector. */}}
{{- define "selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "labels" -}}
{{ include "selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Namespaces with policies, as a JSON list; empty means all. */}}
{{- define "namespaces" -}}
{{- if not .Values.clusterWide -}}
{{- .Values.namespaces | default (list .Release.Namespace) | sortAlpha | uniq | toJson -}}
{{- else if .Values.namespaces -}}
{{- fail "clusterWide means all namespaces: leave namespaces empty, or clusterWide false" -}}
{{- else -}}
[]
{{- end -}}
{{- end }}
