{{/* The name of everything of the release. */}}
{{- define "streamjob.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "streamjob.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "streamjob.name" .) -}}
{{- end -}}

{{- define "streamjob.selector" -}}
app.kubernetes.io/name: streamjob-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "streamjob.labels" -}}
{{ include "streamjob.selector" . }}
app.kubernetes.io/part-of: streamjob
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}

{{/* Where the job of `helm test` is: in a namespace that is watched. */}}
{{- define "streamjob.testNamespace" -}}
{{- if or (not .Values.watchNamespaces) (has .Release.Namespace .Values.watchNamespaces) -}}
{{ .Release.Namespace }}
{{- else -}}
{{ first .Values.watchNamespaces }}
{{- end -}}
{{- end -}}

{{/* Names of jobs are short. */}}
{{- define "streamjob.testName" -}}
{{- include "streamjob.name" . | trunc 35 | trimSuffix "-" }}-test
{{- end -}}

{{/* What `helm test` makes, in the order of these weights. */}}
{{- define "streamjob.hook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
