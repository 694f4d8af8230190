{{/*
Every reference to a secret in a part of the config, a line of JSON each: {"kind": "file", "path": "config.a.b[0]", "to": "/x"}.
The kind `open` is a secret that stands in the config itself.
*/}}
{{- define "sever.references" -}}
{{- $path := .path -}}
{{- $value := .value -}}
{{- if kindIs "map" $value -}}
  {{- $keys := keys $value -}}
  {{- $only := "" -}}
  {{- if eq (len $keys) 1 -}}{{- $only = first $keys -}}{{- end -}}
  {{- if and (has $only (list "file" "env")) (kindIs "string" (get $value $only)) -}}
    {{- dict "kind" $only "path" $path "to" (get $value $only) | toJson }}
{{ else if and (eq $only "value") (not (kindIs "map" (get $value $only))) -}}
    {{- dict "kind" "open" "path" (printf "%s.value" $path) | toJson }}
{{ else -}}
    {{- range $key := sortAlpha $keys -}}
      {{- $inner := get $value $key -}}
      {{- if and (has $key (list "ca" "cert" "client_ca" "key")) (kindIs "string" $inner) (hasPrefix "/" (toString $inner)) -}}
        {{- dict "kind" "file" "path" (printf "%s.%s" $path $key) "to" $inner | toJson }}
{{ else -}}
        {{- include "sever.references" (dict "path" (printf "%s.%s" $path $key) "value" $inner) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- else if kindIs "slice" $value -}}
  {{- range $index, $item := $value -}}
    {{- include "sever.references" (dict "path" (printf "%s[%d]" $path $index) "value" $item) -}}
  {{- end -}}
{{- else if kindIs "string" $value -}}
  {{- if regexMatch "://[^/?#@ ]*:[^/?#@ ]+@" $value -}}
    {{- dict "kind" "open" "path" $path | toJson }}
{{ end -}}
{{- end -}}
{{- end -}}

{{/* The names of the files that are known to be in `secrets.mountPath`, one a line. */}}
{{- define "sever.secretFiles" -}}
{{- range $name, $content := .Values.secrets.create }}{{ $name }}
{{ end -}}
{{- range .Values.secrets.existing -}}
{{- range .items }}{{ .path }}
{{ end -}}
{{- end -}}
{{- end -}}
