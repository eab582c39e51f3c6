package otlp

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/hostler-project/hostler/observe/trace"
)

// The documents of the protocol, opentelemetry/proto/trace/v1, as its JSON form has them: ids in
// hexadecimal, 64-bit numbers as strings.
type (
	request struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource   resource     `json:"resource"`
		ScopeSpans []scopeSpans `json:"scopeSpans"`
	}
	resource struct {
		Attributes []keyValue `json:"attributes"`
	}
	scopeSpans struct {
		Scope scope      `json:"scope"`
		Spans []spanJSON `json:"spans"`
	}
	scope struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
	}
	spanJSON struct {
		TraceID    string     `json:"traceId"`
		SpanID     string     `json:"spanId"`
		TraceState string     `json:"traceState,omitempty"`
		Parent     string     `json:"parentSpanId,omitempty"`
		Flags      uint32     `json:"flags"`
		Name       string     `json:"name"`
		Kind       int        `json:"kind"`
		Begin      string     `json:"startTimeUnixNano"`
		End        string     `json:"endTimeUnixNano"`
		Attributes []keyValue `json:"attributes,omitempty"`
		Status     spanStatus `json:"status"`
	}
	spanStatus struct {
		Message string `json:"message,omitempty"`
		Code    int    `json:"code,omitempty"`
	}
	keyValue struct {
		Key   string   `json:"key"`
		Value anyValue `json:"value"`
	}
	anyValue struct {
		String *string  `json:"stringValue,omitempty"`
		Bool   *bool    `json:"boolValue,omitempty"`
		Int    *string  `json:"intValue,omitempty"`
		Double *float64 `json:"doubleValue,omitempty"`
	}
)

const statusError = 2

// document is the request that sends spans.
func document(from []trace.Attr, version string, spans []trace.EndedSpan) []byte {
	out := make([]spanJSON, len(spans))
	for i, d := range spans {
		s := spanJSON{TraceID: hex.EncodeToString(d.Trace[:]), SpanID: hex.EncodeToString(d.Span[:]),
			TraceState: d.State, Flags: 1, Name: d.Name, Kind: int(d.Kind),
			Begin: nanos(d.Begin), End: nanos(d.End), Attributes: keyValues(d.Attrs)}
		if d.Parent != [8]byte{} {
			s.Parent = hex.EncodeToString(d.Parent[:])
		}
		if d.Err != "" {
			s.Status = spanStatus{Message: d.Err, Code: statusError}
		}
		out[i] = s
	}
	b, _ := json.Marshal(request{[]resourceSpans{{ // strings and numbers cannot fail
		Resource: resource{keyValues(from)}, ScopeSpans: []scopeSpans{{scope{"github.com/hostler-project/hostler", version}, out}},
	}}})
	return b
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

// keyValues are attributes in OTLP's JSON. A number that JSON cannot hold becomes a text.
func keyValues(attrs []trace.Attr) []keyValue {
	out := make([]keyValue, 0, len(attrs))
	for _, a := range attrs {
		kv := keyValue{Key: a.Key}
		switch v := a.Value.(type) {
		case string:
			kv.Value.String = &v
		case bool:
			kv.Value.Bool = &v
		case int:
			n := strconv.Itoa(v)
			kv.Value.Int = &n
		case int64:
			n := strconv.FormatInt(v, 10)
			kv.Value.Int = &n
		case float64:
			if v-v == 0 { // JSON has no other
				kv.Value.Double = &v
				break
			}
			text := fmt.Sprint(v)
			kv.Value.String = &text
		default:
			text := fmt.Sprint(v)
			kv.Value.String = &text
		}
		out = append(out, kv)
	}
	return out
}
