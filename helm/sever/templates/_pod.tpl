{{/* The pods of one role. Arguments: root, role. */}}

{{- define "sever.podTemplate" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
metadata:
  labels:
    {{- include "sever.roleSelector" . | nindent 4 }}
    {{- include "sever.commonLabels" $root | nindent 4 }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: sever
    {{- if eq $values.reload "restart" }}
    checksum/config: {{ toYaml $values.config | sha256sum }}
    {{- end }}
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "sever.podBasics" $root | nindent 2 }}
  # So long does the preStop hook wait, then up to 25 s of finishing, then some more for a busy node.
  terminationGracePeriodSeconds: {{ add $values.preStopSeconds 30 }}
  {{- include "sever.placing" . | nindent 2 }}
  containers:
    - {{- include "sever.container" . | nindent 6 }}
  volumes:
    {{- include "sever.volumes" $root | nindent 4 }}
    {{- include "sever.stateVolume" $root | nindent 4 }}
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* What the pods of the service and of the test share. */}}
{{- define "sever.podBasics" -}}
serviceAccountName: {{ include "sever.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- end -}}

{{- define "sever.container" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $role := .role -}}
name: sever
image: {{ include "sever.image" $root | quote }}
imagePullPolicy: {{ $values.image.pullPolicy }}
args:
  - serve
  - --config
  - /etc/sever/sever.yaml
  - --log-format
  - {{ $values.log.format }}
  {{- if ne $role "all" }}
  - --role
  - {{ $role }}
  {{- end }}
env:
  - name: RUST_LOG
    value: {{ $values.log.level | quote }}
  {{- with $values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: alerts
    containerPort: {{ include "sever.port" (include "sever.alertsAddress" $root) }}
  {{- with include "sever.openPort" (include "sever.adminAddress" $root) }}
  - name: admin
    containerPort: {{ . }}
  {{- end }}
  {{- with include "sever.metricsPort" $root }}
  - name: metrics
    containerPort: {{ . }}
  {{- end }}
{{- range $probe, $path := dict "startup" "/healthz" "liveness" "/healthz" "readiness" "/readyz" }}
{{ $probe }}Probe:
  httpGet:
    path: {{ $path }}
    port: alerts
    scheme: {{ include "sever.alertsScheme" $root | upper }}
  {{- toYaml (get $values.probes $probe) | nindent 2 }}
{{- end }}
{{- if $values.preStopSeconds }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ $values.preStopSeconds }}
{{- end }}
resources:
  {{- $own := dict }}
  {{- if ne $role "all" }}
  {{- $own = (get $values.roles $role).resources }}
  {{- end }}
  {{- toYaml (default $values.resources $own) | nindent 2 }}
securityContext:
  {{- toYaml $values.securityContext | nindent 2 }}
volumeMounts:
  {{- include "sever.volumeMounts" $root | nindent 2 }}
  {{- if eq (include "sever.store" $root) "sqlite" }}
  - name: state
    mountPath: {{ $values.persistence.mountPath }}
  {{- end }}
{{- end -}}

{{/* The config, the secrets and a place for temporary files. Whole folders: a file mounted alone would never change. */}}
{{- define "sever.volumes" -}}
- name: config
  configMap:
    name: {{ include "sever.fullname" . }}
- name: tmp
  emptyDir: {}
{{- if or .Values.secrets.existing .Values.secrets.create }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range .Values.secrets.existing }}
      - secret:
          {{- toYaml . | nindent 10 }}
      {{- end }}
      {{- if .Values.secrets.create }}
      - secret:
          name: {{ include "sever.created" . }}
      {{- end }}
{{- end }}
{{- end -}}

{{- define "sever.volumeMounts" -}}
- name: config
  mountPath: /etc/sever
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- if or .Values.secrets.existing .Values.secrets.create }}
- name: secrets
  mountPath: {{ .Values.secrets.mountPath }}
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Unless the StatefulSet makes the claim. */}}
{{- define "sever.stateVolume" -}}
{{- if eq (include "sever.store" .) "sqlite" -}}
{{- if not .Values.persistence.enabled -}}
- name: state
  emptyDir: {}
{{- else if .Values.persistence.existingClaim -}}
- name: state
  persistentVolumeClaim:
    claimName: {{ .Values.persistence.existingClaim }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sever.placing" -}}
{{- $values := .root.Values -}}
{{- $selector := include "sever.roleSelector" . | fromYaml -}}
{{- $usual := list -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" -}}
{{- $usual = append $usual (dict "maxSkew" 1 "topologyKey" . "whenUnsatisfiable" "ScheduleAnyway") -}}
{{- end -}}
topologySpreadConstraints:
  {{- range default $usual $values.topologySpreadConstraints }}
  - {{- merge (dict) . (dict "labelSelector" (dict "matchLabels" $selector)) | toYaml | nindent 4 }}
  {{- end }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- with get $values $key }}
{{ $key }}: {{- if kindIs "string" . }} {{ . }}{{- else }}{{ toYaml . | nindent 2 }}{{- end }}
{{- end }}
{{- end }}
{{- end -}}
