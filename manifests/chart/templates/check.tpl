{{- /* What the schema can't say: values that contradict each other. Makes no object. */ -}}
{{- if and .Values.anyHost .Values.allowHosts }}
{{- fail "allowHosts has no effect while anyHost lets every namespace claim every host: set anyHost to false" }}
{{- end }}
{{- if has .Release.Namespace .Values.namespaces }}
{{- fail (printf "namespaces names %s, where Kaos itself is: for it to serve only some namespaces, install it into another one" .Release.Namespace) }}
{{- end }}
{{- if and .Values.ingressClass.default (not .Values.ingressClass.enabled) }}
{{- fail "ingressClass.default has no effect without an IngressClass: set ingressClass.enabled to true" }}
{{- end }}
{{- if and .Values.podMonitor.labels (not .Values.podMonitor.enabled) }}
{{- fail "podMonitor.labels has no effect without a PodMonitor: set podMonitor.enabled to true" }}
{{- end }}
