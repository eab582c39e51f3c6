package otlp

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/observe/trace"
)

// FromEnv makes Options from OpenTelemetry's variables, as getenv returns them. ok is false if they
// name no receiver, or disable traces. An error names the invalid variable.
func FromEnv(getenv func(string) string) (o Options, ok bool, err error) {
	of := func(name string) string { // that of traces alone goes first
		return cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_"+name), getenv("OTEL_EXPORTER_OTLP_"+name))
	}
	o.URL = getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	if base := getenv("OTEL_EXPORTER_OTLP_ENDPOINT"); o.URL == "" && base != "" {
		o.URL = strings.TrimSuffix(base, "/") + "/v1/traces"
	}
	if o.URL == "" || strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") || getenv("OTEL_TRACES_EXPORTER") == "none" {
		return Options{}, false, nil
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return o, false, errors.New("OTEL_EXPORTER_OTLP_ENDPOINT: it is not http://HOST:PORT or https://HOST:PORT")
	}
	if p := of("PROTOCOL"); p != "" && p != "http/json" && p != "http/protobuf" {
		return o, false, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: %q is not spoken; http/json is", p)
	}
	switch c := of("COMPRESSION"); c {
	case "", "none":
	case "gzip":
		o.Gzip = true
	default:
		return o, false, fmt.Errorf("OTEL_EXPORTER_OTLP_COMPRESSION: %q is neither gzip nor none", c)
	}
	if o.Headers, err = pairs(of("HEADERS")); err != nil {
		return o, false, fmt.Errorf("OTEL_EXPORTER_OTLP_HEADERS: %w", err)
	}
	if o.Timeout, err = milliseconds(of("TIMEOUT")); err != nil {
		return o, false, fmt.Errorf("OTEL_EXPORTER_OTLP_TIMEOUT: %w", err)
	}
	if o.Every, err = milliseconds(getenv("OTEL_BSP_SCHEDULE_DELAY")); err != nil {
		return o, false, fmt.Errorf("OTEL_BSP_SCHEDULE_DELAY: %w", err)
	}
	if o.TLS, err = security(of("CERTIFICATE"), of("CLIENT_CERTIFICATE"), of("CLIENT_KEY")); err != nil {
		return o, false, err
	}
	if o.Resource, err = pairs(getenv("OTEL_RESOURCE_ATTRIBUTES")); err != nil {
		return o, false, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	if name := getenv("OTEL_SERVICE_NAME"); name != "" {
		o.Resource["service.name"] = name
	}
	if o.Sample, err = sampler(getenv("OTEL_TRACES_SAMPLER"), getenv("OTEL_TRACES_SAMPLER_ARG")); err != nil {
		return o, false, err
	}
	return o, true, nil
}

// pairs reads KEY=VALUE,KEY=VALUE, with escapes as in addresses.
func pairs(s string) (map[string]string, error) {
	out := map[string]string{}
	for p := range strings.SplitSeq(s, ",") {
		if p = strings.TrimSpace(p); p == "" {
			continue
		}
		key, value, ok := strings.Cut(p, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if key = strings.TrimSpace(key); !ok || key == "" || err != nil {
			return nil, errors.New("it is not KEY=VALUE,KEY=VALUE") // the value may be a secret
		}
		out[key] = value
	}
	return out, nil
}

// milliseconds reads a whole number of milliseconds. An empty text is 0, the default.
func milliseconds(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of milliseconds", s)
	}
	return time.Duration(n) * time.Millisecond, nil
}

// security reads which authorities to trust (roots) and our own certificate (cert, key). With roots
// "" the system's authorities count; with cert "" we show no certificate.
func security(roots, cert, key string) (*tls.Config, error) {
	if roots == "" && cert == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if roots != "" {
		pem, err := os.ReadFile(roots)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %s has no certificate", roots)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// samplers by the names that OpenTelemetry gives them. All are parentbased: a caller has already
// decided about its own traces.
func sampler(name, arg string) (func([16]byte) bool, error) {
	name = strings.TrimPrefix(name, "parentbased_")
	switch name {
	case "", "always_on":
		return nil, nil
	case "always_off":
		return trace.Ratio(0), nil
	case "traceidratio":
		share := 1.0
		if arg != "" {
			var err error
			if share, err = strconv.ParseFloat(arg, 64); err != nil || !(share >= 0 && share <= 1) {
				return nil, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG: %q is not a share from 0 to 1", arg)
			}
		}
		return trace.Ratio(share), nil
	}
	return nil, fmt.Errorf("OTEL_TRACES_SAMPLER: %q is not always_on, always_off or traceidratio", name)
}

// attributes are a map as the protocol has it, in the order of the keys.
func attributes(m map[string]string) []trace.Attr {
	out := make([]trace.Attr, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, trace.Attr{Key: k, Value: m[k]})
	}
	return out
}
