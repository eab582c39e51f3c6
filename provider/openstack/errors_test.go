package openstack_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack"
)

// TestClassify has the answers that a real cloud was seen to give.
func TestClassify(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		after  string // Retry-After
		reason openstack.Reason
		kind   error
		says   string
	}{
		{
			403,
			`{"forbidden": {"code": 403, "message": "Quota exceeded for cores, instances: Requested 1, 1, but already used 2, 2 of 2, 2 cores, instances"}}`,
			"", openstack.QuotaSpent, compute.ErrNoCapacity, "Quota exceeded for cores",
		},
		{
			403,
			`{"forbidden": {"code": 403, "message": "Quota exceeded for ram: Requested 4096, but already used 0 of 2048 ram"}}`,
			"", openstack.QuotaSpent, compute.ErrTooLarge, "4096",
		},
		{
			403, `{"forbidden": {"code": 403, "message": "Quota exceeded, too many key pairs."}}`, "",
			openstack.QuotaSpent, compute.ErrNoCapacity, "key pairs",
		},
		{
			403, `{"forbidden": {"code": 403, "message": "Maximum number of ports exceeded"}}`, "", openstack.QuotaSpent,
			compute.ErrNoCapacity, "ports",
		},
		{
			403,
			`{"forbidden": {"code": 403, "message": "Policy doesn't allow os_compute_api:os-hypervisors:list to be performed."}}`,
			"", openstack.Denied, compute.ErrDenied, "Policy",
		},
		{
			409,
			`{"NeutronError": {"type": "OverQuota", "message": "Quota exceeded for resources: ['network'].", "detail": ""}}`,
			"", openstack.QuotaSpent, compute.ErrNoCapacity, "network",
		},
		{
			409, `{"NeutronError": {"type": "NetworkInUse", "message": "in use", "detail": ""}}`, "",
			openstack.Conflicting, compute.ErrConflict, "in use",
		},
		{
			409,
			`{"NeutronError": {"type": "IpAddressGenerationFailure", "message": "No more IP addresses available on network x.", "detail": ""}}`,
			"", openstack.QuotaSpent, compute.ErrNoCapacity, "No more",
		},
		{
			413,
			`{"overLimit": {"code": 413, "message": "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. Requested 5G, quota is 2G and 0G has been consumed.", "retryAfter": "0"}}`,
			"0", openstack.QuotaSpent, compute.ErrTooLarge, "5G",
		},
		{
			413,
			`{"overLimit": {"code": 413, "message": "VolumeLimitExceeded: Maximum number of volumes allowed (1) exceeded for quota 'volumes'.", "retryAfter": "0"}}`,
			"0", openstack.QuotaSpent, compute.ErrNoCapacity, "volumes",
		},
		{
			413, `{"overLimit": {"code": 413, "message": "This request was rate-limited."}}`, "30",
			openstack.RateLimited, compute.ErrUnavailable, "rate-limited",
		},
		{429, `too many`, "7", openstack.RateLimited, compute.ErrUnavailable, "too many"},
		{
			400, `{"badRequest": {"code": 400, "message": "Flavor 777 could not be found."}}`, "", openstack.BadRequest,
			compute.ErrInvalid, "777",
		},
		{
			400,
			`{"badRequest": {"code": 400, "message": "Invalid input for field/attribute user_data. Value: c2VzYW1l. 'c2VzYW1l' is not a 'base64'"}}`,
			"", openstack.BadRequest, compute.ErrInvalid, "user_data",
		},
		{
			400, `{"badRequest": {"code": 400, "message": "No valid host was found. No valid host found for resize"}}`,
			"", openstack.NoHardware, compute.ErrNoCapacity, "No valid host",
		},
		{
			404, `{"itemNotFound": {"code": 404, "message": "Instance x could not be found."}}`, "", openstack.Missing,
			compute.ErrNotFound, "Instance x",
		},
		{
			404,
			"<html>\n <head>\n  <title>404 Not Found</title>\n </head><body><h1>404 Not Found</h1>No image found with ID x</body></html>",
			"", openstack.Missing, compute.ErrNotFound, "No image found",
		},
		{
			409,
			`{"error_message": "{\"faultcode\": \"Client\", \"faultstring\": \"Node x is locked by host lab, please retry after the current operation is completed.\", \"debuginfo\": null}"}`,
			"", openstack.Conflicting, compute.ErrConflict, "409 Node x is locked",
		},
		{
			400,
			`{"error_message": "{\"faultcode\": \"Client\", \"faultstring\": \"The requested action \\\"provide\\\" can not be performed on node \\\"x\\\" while it is in state \\\"active\\\".\", \"debuginfo\": null}"}`,
			"", openstack.Conflicting, compute.ErrConflict, `"provide" can not be performed`,
		},
		{
			406,
			`{"error_message": "{\"code\": 406, \"title\": \"Not Acceptable\", \"description\": \"Version 1.99 was requested.\"}"}`,
			"", openstack.BadRequest, compute.ErrInvalid, "406 Version 1.99",
		},
		{
			401,
			`{"error": {"code": 401, "message": "The request you have made requires authentication.", "title": "Unauthorized"}}`,
			"", openstack.Denied, compute.ErrDenied, "authentication",
		},
		{
			406, `{"computeFault": {"code": 406, "message": "Version 2.99 is not supported by the API."}}`, "",
			openstack.BadRequest, compute.ErrInvalid, "2.99",
		},
		{
			500, `{"computeFault": {"code": 500, "message": "Unexpected API Error."}}`, "", openstack.Unknown,
			compute.ErrFailed, "Unexpected",
		},
		{503, ``, "", openstack.Down, compute.ErrUnavailable, "503 Service Unavailable"},
		{504, ``, "", openstack.TimedOut, compute.ErrTimeout, "504"},
	} {
		in := gophercloud.ErrUnexpectedResponseCode{Actual: c.status, Body: []byte(c.body), ResponseHeader: http.Header{}}
		if c.after != "" {
			in.ResponseHeader.Set("Retry-After", c.after)
		}
		err := openstack.Classify("Create", "web-3", fmt.Errorf("asked: %w", in))
		if got := openstack.ReasonOf(err); got != c.reason || !errors.Is(err, c.kind) ||
			!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "c2VzYW1l") {
			t.Errorf(
				"c.status = %d c.body = %s: got = %s, err = %v"+
					"; want got == c.reason and error c.kind and err.Error() with c.says and err.Error() "+
					`without "c2VzYW1l"`,
				c.status, c.body, got, err,
			)
		}
		if c.kind == compute.ErrNoCapacity && errors.Is(err, compute.ErrTooLarge) {
			t.Errorf("%s: it may help to wait, and %v says no", c.body, err)
		}
		if again := openstack.Classify("Other", "", err); !errors.Is(again, err) {
			t.Errorf("classified twice: %v", again)
		}
	}
	for _, cause := range []error{context.Canceled, context.DeadlineExceeded} {
		var e *compute.Error
		if err := openstack.Classify("List", "", cause); !errors.As(err, &e) || e.Kind != nil || !errors.Is(err, cause) {
			t.Errorf("%v: err = %v; want errors.As(err, &e) and e.Kind == nil and error cause", cause, err)
		}
	}
	if err := openstack.Classify("List", "", nil); err != nil {
		t.Error(err)
	}
}
