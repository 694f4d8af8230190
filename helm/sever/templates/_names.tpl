{{/* Names, labels and addresses. */}}

{{- define "sever.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for every suffix, and for the hash that a StatefulSet adds, within 63 characters. */}}
{{- define "sever.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "sever.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "sever.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "sever.selector" -}}
app.kubernetes.io/name: {{ include "sever.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* What every object carries besides the labels that select. */}}
{{- define "sever.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: sever
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sever.labels" -}}
{{ include "sever.selector" . }}
{{ include "sever.commonLabels" . }}
{{- end -}}

{{/* Selects the pods of one role: all, intake or worker. */}}
{{- define "sever.roleSelector" -}}
{{ include "sever.selector" .root }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "sever.workload" -}}
{{- if eq .role "all" -}}{{ include "sever.fullname" .root }}{{- else -}}{{ include "sever.fullname" .root }}-{{ .role }}{{- end -}}
{{- end -}}

{{/* The role whose pods take alerts. */}}
{{- define "sever.intakeRole" -}}
{{- if .Values.roles.split -}}intake{{- else -}}all{{- end -}}
{{- end -}}

{{- define "sever.workerRole" -}}
{{- if .Values.roles.split -}}worker{{- else -}}all{{- end -}}
{{- end -}}

{{- define "sever.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sever.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "sever.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* sqlite, postgresql, or nothing where it is neither. A URL that is a secret holds a password, so it is PostgreSQL's. */}}
{{- define "sever.store" -}}
{{- $store := default "sqlite:///var/lib/sever/sever.db" .Values.config.store -}}
{{- if kindIs "map" $store -}}postgresql
{{- else if hasPrefix "sqlite:" $store -}}sqlite
{{- else if regexMatch "^postgres(ql)?:" $store -}}postgresql
{{- end -}}
{{- end -}}

{{- define "sever.alertsAddress" -}}
{{- $listen := default "0.0.0.0:8080" .Values.config.listen -}}
{{- if kindIs "map" $listen -}}{{ $listen.address }}{{- else -}}{{ $listen }}{{- end -}}
{{- end -}}

{{- define "sever.alertsScheme" -}}
{{- $listen := default "" .Values.config.listen -}}
{{- if and (kindIs "map" $listen) (hasKey $listen "tls") -}}https{{- else -}}http{{- end -}}
{{- end -}}

{{/* Empty where there is no such listener. */}}
{{- define "sever.metricsAddress" -}}
{{- with .Values.config.metrics -}}{{ .listen }}{{- end -}}
{{- end -}}

{{- define "sever.adminAddress" -}}
{{- with .Values.config.admin -}}{{ default "127.0.0.1:8081" .listen }}{{- end -}}
{{- end -}}

{{- define "sever.adminScheme" -}}
{{- if and .Values.config.admin (hasKey (default dict .Values.config.admin) "tls") -}}https{{- else -}}http{{- end -}}
{{- end -}}

{{- define "sever.port" -}}
{{- regexFind "[0-9]+$" . -}}
{{- end -}}

{{/* The port, if others than the pod itself reach the address. */}}
{{- define "sever.openPort" -}}
{{- if not (regexMatch "^(127\\.|localhost:|\\[::1\\])" .) -}}{{ include "sever.port" . }}{{- end -}}
{{- end -}}

{{- define "sever.metricsPort" -}}
{{- include "sever.openPort" (include "sever.metricsAddress" .) -}}
{{- end -}}

{{/* Names of sources that have `amqp`. */}}
{{- define "sever.queues" -}}
{{- range $name, $source := .Values.config.sources -}}
{{- if $source.amqp }}{{ $name }} {{ end -}}
{{- end -}}
{{- end -}}

{{- define "sever.created" -}}
{{- include "sever.fullname" . }}-created
{{- end -}}
