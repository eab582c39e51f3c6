package server_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestWrongWords: what is wrong with a request is said with its place, and with no more of what the
// request brought than a short word.
func TestWrongWords(t *testing.T) {
	url := known(t, engine(t))
	long := strings.Repeat("x", 5000)
	for _, c := range []struct{ method, path, body, want, never string }{
		{"POST", "/v1/leases", `{"source": "web", "tttl": 1, "labels": {"key": "hush-hush"}}`, "unexpected property: body.tttl", "hush"},
		{
			"POST", "/v1/leases", `{"source": "web", "tttl": 1, "count": "x"}`,
			`: expected integer: body.count is "x"; unexpected property: body.tttl`, "map[",
		},
		{"POST", "/v1/leases", `{"source": "web", "ttl": "1h"}`, `expected number: body.ttl is "1h"`, "map["},
		{"POST", "/v1/leases", `{"source": "web", "ttl": "` + long + `"}`, "expected number: body.ttl", "xxx"},
		{"POST", "/v1/leases", `{"source": "web"} hush-hush`, "after top-level value", "hush"},
		{"POST", "/v1/leases", `{"source": "web", "ttl": 1e300}`, "expected number <= 3.1536e+09: body.ttl is 1e+300", "map["},
		{"GET", "/v1/leases?limit=many", "", `query.limit is "many"`, "map["},
		{"GET", "/v1/leases?own=ann", "", "unknown query parameter: query.own", "map["},
		{"GET", "/v1/instances?stat=ready", "", "unknown query parameter: query.stat", "map["},
	} {
		status, _, p, text := sayPlain(t, c.method, url+c.path, c.body)
		if status != http.StatusUnprocessableEntity && status != http.StatusBadRequest ||
			!strings.Contains(p.Detail, c.want) || strings.Contains(text, c.never) || len(text) > 500 {
			t.Errorf("%s %.100s: %d %s, want %q and no %q", c.path, c.body, status, text, c.want, c.never)
		}
	}
}

// TestShortTTL: less than a nanosecond is short, and not for ever.
func TestShortTTL(t *testing.T) {
	url := known(t, engine(t))
	status, _, _, text := sayPlain(t, http.MethodPost, url+"/v1/leases", `{"source": "web", "ttl": 1e-12}`)
	if status != http.StatusCreated || strings.Contains(text, `"expires":null`) {
		t.Errorf("status = %d text = %s; want status == http.StatusCreated and text without `\"expires\":null`", status, text)
	}
}
