{{- define "pod" -}}
{{- $values := .root.Values -}}
automountServiceAccountToken: false
{{- /* A Service named gateway would set GATEWAY_PORT to tcp://... */}}
enableServiceLinks: false
terminationGracePeriodSeconds: {{ add $values.seconds.preStop $values.seconds.drain 10 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.gpu.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if or $values.tolerations $values.gpu.count }}
tolerations:
  {{- with $values.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- if $values.gpu.count }}
  - key: {{ $values.gpu.resource }}
    operator: Exists
    effect: NoSchedule
  {{- end }}
{{- end }}
containers:
  - name: {{ .container }}
    image: {{ printf "%s:%s" $values.image.repository $values.image.tag | quote }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    args:
      {{- prepend $values.args $values.model | toYaml | nindent 6 }}
    env:
      - name: GATEWAY_MAX_BODY_BYTES
        value: {{ printf "%dGiB" (int $values.maxBodyGiB) }}
      - name: GATEWAY_SPOOL_DIR
        value: /spool
      - name: GATEWAY_SPOOL_QUOTA_BYTES
        value: {{ printf "%dGiB" (sub (int $values.spoolGiB) 1) }}
      - name: GATEWAY_QUEUE_TIMEOUT
        value: {{ $values.seconds.queue | quote }}
      - name: GATEWAY_MODEL_TIMEOUT
        value: {{ $values.seconds.model | quote }}
      - name: GATEWAY_DRAIN_TIMEOUT
        value: {{ $values.seconds.drain | quote }}
      {{- if $values.apiKeys.secret }}
      - name: GATEWAY_API_KEYS_FILE
        value: /run/secrets/gateway/keys
      {{- end }}
      {{- range $name, $value := $values.settings }}
      - name: GATEWAY_{{ $name }}
        value: {{ $value | quote }}
      {{- end }}
      {{- with $values.env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    ports:
      - name: http
        containerPort: 8000
        protocol: TCP
    # The port opens once the model is imported; /ping answers from then on, /healthcheck when it is set up.
    startupProbe:
      httpGet:
        path: /ping
        port: http
      periodSeconds: 2
      timeoutSeconds: 5
      failureThreshold: 90
    # Native code that keeps Python's lock stops the event loop for a while: a minute of it is no reason to restart.
    livenessProbe:
      httpGet:
        path: /ping
        port: http
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    readinessProbe:
      httpGet:
        path: /healthcheck
        port: http
      periodSeconds: 5
      timeoutSeconds: 5
      failureThreshold: 2
    lifecycle:
      preStop:
        sleep:
          seconds: {{ $values.seconds.preStop }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop:
          - ALL
    resources:
      {{- $spool := dict "ephemeral-storage" (printf "%dGi" (add $values.spoolGiB 1)) }}
      {{- $gpu := ternary (dict $values.gpu.resource (toString $values.gpu.count)) dict (gt (int $values.gpu.count) 0) }}
      {{- $requests := merge dict ($values.resources.requests | default dict) $spool $gpu }}
      {{- $limits := merge dict ($values.resources.limits | default dict) $gpu }}
      {{- toYaml (dict "requests" $requests "limits" $limits) | nindent 6 }}
    volumeMounts:
      - name: spool
        mountPath: /spool
      - name: tmp
        mountPath: /tmp
      {{- if $values.apiKeys.secret }}
      - name: api-keys
        mountPath: /run/secrets/gateway
        readOnly: true
      {{- end }}
volumes:
  - name: spool
    emptyDir:
      sizeLimit: {{ $values.spoolGiB }}Gi
  - name: tmp
    emptyDir:
      sizeLimit: 1Gi
  {{- if $values.apiKeys.secret }}
  - name: api-keys
    secret:
      secretName: {{ $values.apiKeys.secret }}
      items:
        - key: {{ $values.apiKeys.key }}
          path: keys
  {{- end }}
{{- end }}
