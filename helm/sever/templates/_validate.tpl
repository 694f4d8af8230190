{{/* Values that the schema takes one by one and that do not go together: each as a line, with the value's path. */}}

{{- define "sever.wrongScale" -}}
{{- $values := .Values -}}
{{- $store := include "sever.store" . -}}
{{- $mend := "needs PostgreSQL: set config.store to {url: {file: ...}}" -}}
{{- if not $store }}
config.store: is neither sqlite:///... nor postgres://... nor {url: {file: ...}}
{{- end }}
{{- if eq $store "sqlite" }}
{{- if gt (int $values.replicas) 1 }}
replicas: {{ $values.replicas }} pods cannot share one SQLite file; set it to 1, for more than one {{ $mend }}
{{- end }}
{{- range $key := list "autoscaling" "keda" }}
{{- if (get $values $key).enabled }}
{{ $key }}.enabled: pods cannot share one SQLite file, so more than one {{ $mend }}
{{- end }}
{{- end }}
{{- if $values.roles.split }}
roles.split: two processes cannot share one SQLite file; it {{ $mend }}
{{- end }}
{{- end }}
{{- if and $values.roles.split (ne (int $values.replicas) 1) }}
replicas: is unused with roles.split; set roles.intake.replicas and roles.worker.replicas
{{- end }}
{{- range $key := list "autoscaling" "keda" }}
{{- $scaler := get $values $key }}
{{- if and $scaler.enabled (gt (int $scaler.minReplicas) (int $scaler.maxReplicas)) }}
{{ $key }}.minReplicas: is more than {{ $key }}.maxReplicas
{{- end }}
{{- end }}
{{- if and $values.autoscaling.enabled $values.keda.enabled (not $values.roles.split) }}
autoscaling.enabled: would scale the same pods as keda.enabled; switch one off, or set roles.split
{{- end }}
{{- with $values.podDisruptionBudget }}
{{- if and .enabled (kindIs "invalid" .minAvailable) (kindIs "invalid" .maxUnavailable) }}
podDisruptionBudget.maxUnavailable: give it or podDisruptionBudget.minAvailable
{{- end }}
{{- if and .enabled (not (kindIs "invalid" .minAvailable)) }}
{{- if not (kindIs "invalid" .maxUnavailable) }}
podDisruptionBudget.minAvailable: Kubernetes takes it or maxUnavailable; set maxUnavailable to null
{{- else if eq $store "sqlite" }}
podDisruptionBudget.minAvailable: there is one pod, so its node could never be drained; use maxUnavailable: 1
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sever.wrongPlaces" -}}
{{- $values := .Values -}}
{{- if eq (include "sever.store" .) "sqlite" }}
{{- $file := trimPrefix "sqlite://" (default "sqlite:///var/lib/sever/sever.db" $values.config.store) }}
{{- if not (hasPrefix (printf "%s/" $values.persistence.mountPath) $file) }}
config.store: {{ $file }} is not below persistence.mountPath ({{ $values.persistence.mountPath }}), and nothing else can be written
{{- end }}
{{- end }}
{{- if not (include "sever.openPort" (include "sever.alertsAddress" .)) }}
config.listen: neither a Service nor a probe reaches {{ include "sever.alertsAddress" . }}; use 0.0.0.0:8080
{{- end }}
{{- $ports := dict (include "sever.port" (include "sever.alertsAddress" .)) "config.listen" }}
{{- range $path, $address := dict "config.admin.listen" (include "sever.adminAddress" .) "config.metrics.listen" (include "sever.metricsAddress" .) }}
{{- if $address }}
{{- $port := include "sever.port" $address }}
{{- with get $ports $port }}
{{ $path }}: {{ . }} has port {{ $port }} already
{{- end }}
{{- $ports = set $ports $port $path }}
{{- end }}
{{- end }}
{{- range $path, $on := dict "serviceMonitor.enabled" $values.serviceMonitor.enabled "keda.enabled" $values.keda.enabled }}
{{- if and $on (not (include "sever.metricsPort" $)) }}
{{ $path }}: Prometheus finds no metrics; set config.metrics.listen to 0.0.0.0:9090
{{- end }}
{{- end }}
{{- if $values.admin.service.enabled }}
{{- if not (include "sever.adminAddress" .) }}
admin.service.enabled: there is no config.admin
{{- else if not (include "sever.openPort" (include "sever.adminAddress" .)) }}
admin.service.enabled: no Service reaches {{ include "sever.adminAddress" . }}; set config.admin.listen to 0.0.0.0:8081
{{- else if not $values.config.admin.hosts }}
config.admin.hosts: name {{ include "sever.fullname" . }}-admin, for requests under other names are refused
{{- end }}
{{- end }}
{{- if and $values.ingress.enabled (not $values.ingress.hosts) }}
ingress.hosts: name a host
{{- end }}
{{- if and $values.gateway.enabled (not $values.gateway.parentRefs) }}
gateway.parentRefs: name a Gateway
{{- end }}
{{- with $values.tests.source }}
{{- if not (hasKey (default dict $values.config.sources) .) }}
tests.source: there is no config.sources.{{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Secrets in the config, and references that lead nowhere. */}}
{{- define "sever.wrongSecrets" -}}
{{- $values := .Values -}}
{{- $names := compact (splitList "\n" (include "sever.secretFiles" .)) }}
{{- range $name := uniq $names }}
{{- if gt (len $names) (len (append (without $names $name) $name)) }}
secrets: two files are called {{ $name }}; give one another `path`
{{- end }}
{{- end }}
{{- $someUnknown := false }}
{{- range $values.secrets.existing }}{{- if not .items }}{{- $someUnknown = true }}{{- end }}{{- end }}
{{- $variables := list }}
{{- range $values.extraEnv }}{{- $variables = append $variables .name }}{{- end }}
{{- range $line := compact (splitList "\n" (include "sever.references" (dict "path" "config" "value" $values.config))) }}
{{- $reference := fromJson $line }}
{{- $to := $reference.to }}
{{- if eq $reference.kind "open" }}
{{ $reference.path }}: the secret would stand in a ConfigMap; put it into a Secret and write {file: {{ $values.secrets.mountPath }}/NAME}
{{- else if eq $reference.kind "env" }}
{{- if not (or (has $to $variables) $values.extraEnvFrom) }}
{{ $reference.path }}: no variable {{ $to }}; add it to extraEnv, or use {file: ...}
{{- end }}
{{- else if hasPrefix (printf "%s/" $values.secrets.mountPath) $to }}
{{- if not (or $someUnknown (has (trimPrefix (printf "%s/" $values.secrets.mountPath) $to) $names)) }}
{{ $reference.path }}: no file {{ $to }}; add it to secrets.existing
{{- end }}
{{- else }}
{{- $mounted := false }}
{{- range $values.extraVolumeMounts }}{{- if hasPrefix .mountPath $to }}{{- $mounted = true }}{{- end }}{{- end }}
{{- if not $mounted }}
{{ $reference.path }}: nothing is mounted at {{ $to }}; use {{ $values.secrets.mountPath }}/NAME, or add to extraVolumeMounts
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sever.validate" -}}
{{- $wrong := printf "%s\n%s\n%s" (include "sever.wrongScale" .) (include "sever.wrongPlaces" .) (include "sever.wrongSecrets" .) -}}
{{- $lines := compact (splitList "\n" $wrong) -}}
{{- if $lines -}}
{{- fail (printf "these values cannot be used:\n- %s\n" (join "\n- " $lines)) -}}
{{- end -}}
{{- end -}}
