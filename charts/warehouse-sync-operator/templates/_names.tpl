{{/* The name of most objects: that of the release, if it says whose it is. That of a Service holds no dot and begins with a letter. */}}
{{- define "name" -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if regexMatch "^[0-9]" $release -}}
{{- fail (printf "no Service may be named after the release %s, because that begins with a digit: set fullnameOverride" .Release.Name) -}}
{{- else if contains .Chart.Name $release -}}
{{- $release | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" $release .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "account" -}}
{{- .Values.serviceAccount.name | default (include "name" .) -}}
{{- end }}

{{/* What tells pods of this release from all others. It can never change: a Deployment keeps its selector. */}}
{{- define "selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "labels" -}}
{{ include "selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* Of the admission objects. The revision grows with each change of what they say: by it the operator tells those of another version. */}}
{{- define "guard-labels" -}}
{{ include "labels" . }}
warehousesync.dev/guard-revision: "2"
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
