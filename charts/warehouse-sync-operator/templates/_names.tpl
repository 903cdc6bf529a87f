{{/* The name of most objects: the name of the release if it contains that of the chart. The name of a Service has no dot and starts with a letter. */}}
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

{{/* Labels that select this release's pods. They must never change, because a Deployment's selector is immutable. */}}
{{- define "selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Labels of an object: (list . COMPONENT). */}}
{{- define "labels" -}}
{{- with index . 0 -}}
{{ include "selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of the admission objects. Increase the revision with each change of their content: the operator uses it to recognise other versions. */}}
{{- define "guard-labels" -}}
{{ include "labels" . }}
warehousesync.dev/guard-revision: "5"
{{- end }}

{{/* Listed namespaces that were deleted after the installation, as a JSON list. Without a cluster to ask, none. */}}
{{- define "missing" -}}
{{- $missing := list -}}
{{- if and .Release.IsUpgrade (lookup "v1" "Namespace" "" .Release.Namespace) -}}
{{- range include "namespaces" . | fromJsonArray -}}
{{- if not (lookup "v1" "Namespace" "" .) -}}
{{- $missing = append $missing . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $missing | toJson -}}
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

{{/* The account that writes status, by namespace, as a JSON map, which is also one in CEL; "*" stands for the namespaces that are not listed. */}}
{{- define "writers" -}}
{{- $others := .Values.admissionPolicies.otherOperators -}}
{{- if and .Values.clusterWide $others -}}
{{- fail "clusterWide means all namespaces, so there can be no admissionPolicies.otherOperators: list namespaces instead" -}}
{{- end -}}
{{- $own := include "namespaces" . | fromJsonArray -}}
{{- $writers := dict "*" (printf "system:serviceaccount:%s:%s" .Release.Namespace (include "account" .)) -}}
{{- range $other := $others -}}
{{- range $namespace := $other.namespaces -}}
{{- if or (has $namespace $own) (hasKey $writers $namespace) -}}
{{- fail (printf "namespace %s is listed twice, in admissionPolicies.otherOperators and there or in namespaces: only one operator can write status in it" $namespace) -}}
{{- end -}}
{{- $_ := set $writers $namespace $other.serviceAccount -}}
{{- end -}}
{{- end -}}
{{- $writers | toJson -}}
{{- end }}
