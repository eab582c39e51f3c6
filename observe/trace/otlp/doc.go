// Package otlp sends spans to a collector by the OpenTelemetry protocol: OTLP over HTTP, as JSON, a
// stable form that every receiver of OTLP over HTTP takes. OpenTelemetry's own variables
// (OTEL_EXPORTER_OTLP_ENDPOINT and its kin) name the receiver. OpenTelemetry's library is not used:
// linking it costs each start of a program more than hostler may take altogether.
package otlp
