{{- define "labels" -}}
app.kubernetes.io/name: inference-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* Seconds in which a request may be silent: it waits, then its model computes. */ -}}
{{- define "silence" -}}
{{ add .Values.seconds.queue .Values.seconds.model 60 }}
{{- end }}

{{- /* The Service: KServe names the one that it makes. */ -}}
{{- define "service" -}}
{{ .Release.Name }}{{ if .Values.kserve.enabled }}-predictor{{ end }}
{{- end }}

{{- /* How busy each pod is: requests that wait or upload and slots taken, for each slot. */ -}}
{{- define "load" -}}
{{- $of := printf "{namespace=%q,service=%q}" .Release.Namespace (include "service" .) -}}
max by (pod) ((gateway_queued{{ $of }} + gateway_slots_taken{{ $of }}) / gateway_slots{{ $of }})
{{- end }}
