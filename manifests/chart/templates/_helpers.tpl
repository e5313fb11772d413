{{- /* The image: with a tag, a digest, or both. */ -}}
{{- define "kaos.image" -}}
{{- $tag := .Values.image.tag -}}
{{- if not .Values.image.digest }}{{ $tag = $tag | default .Chart.AppVersion }}{{ end -}}
{{ .Values.image.repository }}{{ with $tag }}:{{ . }}{{ end }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}
