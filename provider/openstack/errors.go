package openstack

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/hostler-project/hostler/compute"
)

// A Reason is why a cloud did not do what was requested.
type Reason string

// The reasons.
const (
	NoHardware  Reason = "no hardware"   // no host has room
	QuotaSpent  Reason = "quota"         // a limit of the project, or no address is left
	Denied      Reason = "denied"        // the log-in, or a role
	RateLimited Reason = "rate limited"  // too many requests
	Missing     Reason = "not found"     // the thing, or something that the request names
	Conflicting Reason = "conflict"      // the state of a thing forbids it
	TimedOut    Reason = "timed out"     // no answer in time
	BadRequest  Reason = "bad request"   // the request is malformed
	Down        Reason = "not available" // the service or the connection
	BuildFailed Reason = "build failed"  // a server's host could not build it
	// an error without a known class
	Unknown Reason = "unknown"
)

// Fault is an error of a cloud, in its own words.
type Fault struct {
	Reason  Reason
	Status  int    // HTTP's; 0: not from an answer
	Type    string // the service's name for the error, if any: OverQuota
	Message string
	Host    string // the compute host, if it is told
	Log     string // the end of the server's console log
}

// Error returns the words with the status in front, and the host and the end of the console behind.
func (f *Fault) Error() string {
	text := cmp.Or(strings.TrimSpace(f.Message), http.StatusText(f.Status), string(f.Reason))
	if f.Status != 0 && !strings.HasPrefix(text, strconv.Itoa(f.Status)+" ") {
		text = strconv.Itoa(f.Status) + " " + text
	}
	if f.Host != "" {
		text += " (host " + f.Host + ")"
	}
	if f.Log != "" {
		text += "; its console's end: " + f.Log
	}
	return text
}

// ReasonOf returns the reason of an error, and "" of nil.
func ReasonOf(err error) Reason {
	var f *Fault
	switch {
	case err == nil:
		return ""
	case errors.As(err, &f):
		return f.Reason
	case errors.Is(err, errSlow), errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	}
	return Unknown
}

// Classify gives an error of gophercloud or the network a kind of compute's, and keeps its words.
// It returns nil, and errors that have a kind, unchanged.
func Classify(op string, id compute.ID, err error) error {
	var done *compute.Error
	if err == nil || errors.As(err, &done) {
		return err
	}
	out := &compute.Error{Op: "openstack." + op, ID: id, Kind: compute.ErrFailed, Err: err}
	var code gophercloud.ErrUnexpectedResponseCode
	var again *gophercloud.ErrUnableToReauthenticate
	var after *gophercloud.ErrErrorAfterReauthentication
	var f *Fault
	var lost *url.Error
	var broken net.Error
	switch {
	case errors.As(err, &f):
	case errors.As(err, &again):
		if errors.As(again.ErrReauth, &code) {
			f = faultOf(code)
			f.Message = "log in again: " + f.Message
			f.stray() // the requested thing may well exist
		} else {
			return Classify(op, id, fmt.Errorf("log in again: %w", again.ErrReauth))
		}
	case errors.As(err, &after) && errors.As(after.ErrOriginal, &code), errors.As(err, &code):
		f = faultOf(code)
	case errors.Is(err, errSlow):
		out.Kind = compute.ErrTimeout
		f = &Fault{Reason: TimedOut, Message: where(err) + errSlow.Error()}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		out.Kind = nil
		return out
	case strings.Contains(err.Error(), "would exceed context deadline"):
		// the rate limiter's error
		out.Kind, out.Err = nil, context.DeadlineExceeded
		return out
	case errors.As(err, &lost), errors.As(err, &broken):
		f = &Fault{Reason: Down, Message: unreached(err)}
	default:
		return out
	}
	if f != nil {
		out.Err, out.Kind = f, cmp.Or(f.kind(), out.Kind)
	}
	out.Hint = f.hint()
	return out
}

// ClassifyList is Classify for an error of a list: a list that was not found says nothing of its
// entries.
func ClassifyList(op string, id compute.ID, err error) error { return astray(Classify(op, id, err)) }

// astray treats an error of a list or a log-in. "Not found" then does not prove that a server is
// gone: the address is wrong, or a proxy has lost the service.
func astray(err error) error {
	var e *compute.Error
	var f *Fault
	if errors.As(err, &e) && errors.As(err, &f) && f.stray() {
		e.Kind, e.Hint = f.kind(), f.hint()
	}
	return err
}

// stray turns "not found" into an error of the service.
func (f *Fault) stray() bool {
	if f.Reason != Missing {
		return false
	}
	f.Reason = Down
	return true
}

// where returns the host that a request was for. The rest of an address is long and does not help
// the user.
func where(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		if at, err := url.Parse(u.URL); err == nil && at.Host != "" {
			return at.Host + ": "
		}
	}
	return ""
}

// unreached returns an error of the network in one short line.
func unreached(err error) string {
	var u *url.Error
	text, at := err.Error(), where(err)
	if at != "" && errors.As(err, &u) && u.Err != nil {
		text = u.Err.Error()
		if errors.Is(u.Err, io.EOF) {
			text = "the connection was cut before there was an answer"
		}
	}
	text = strings.TrimPrefix(text, "dial tcp ")
	if strings.HasPrefix(text, at) {
		return text
	}
	return at + text
}

// kind returns the kind of a compute.Error. A quota that could never suffice is ErrTooLarge, and
// one that is used up is ErrNoCapacity.
func (f *Fault) kind() error {
	switch f.Reason {
	case NoHardware:
		return compute.ErrNoCapacity
	case QuotaSpent:
		if f.never() {
			return compute.ErrTooLarge
		}
		return compute.ErrNoCapacity
	case Denied:
		return compute.ErrDenied
	case RateLimited, Down:
		return compute.ErrUnavailable
	case Missing:
		return compute.ErrNotFound
	case Conflicting:
		return compute.ErrConflict
	case TimedOut:
		return compute.ErrTimeout
	case BadRequest:
		return compute.ErrInvalid
	}
	return compute.ErrFailed
}

// hint advises the user, or returns "" if there is nothing to advise.
func (f *Fault) hint() string {
	switch {
	case f.Reason == QuotaSpent && f.never():
		return "choose a smaller flavor or disk, or have the project's quota raised"
	case f.Reason == QuotaSpent:
		return "destroy what is not needed, or have the project's quota raised"
	case f.Reason == NoHardware:
		return "try again later, or choose another flavor or zone"
	case f.Status == http.StatusUnauthorized:
		return "see whether user, password and project are right, and whether the token or the application credential has expired"
	case f.Reason == Down && f.Status == http.StatusNotFound:
		return "see whether auth_url and region are right; if they are, the cloud has trouble"
	case f.Reason == Down && f.Status == 0:
		return "see whether the service runs, and whether this machine reaches it"
	case f.Reason == Down:
		return "the service, or what it needs, is not there just now: try again later, or ask whoever runs the cloud"
	case f.Reason == TimedOut:
		return "the service is slow or stands still: try again later, or ask whoever runs the cloud"
	case f.Reason == Denied:
		return "the user has no role that allows it: ask whoever runs the cloud"
	}
	return ""
}

// The two forms in which clouds tell the requested and the allowed amounts.
var (
	novaQuota = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`Requested ([\d, ]+), but already used [\d, ]+ of ([\d, ]+)`)
	})
	cinderQuota = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`Requested (\d+)G, quota is (\d+)G`) })
)

// never reports whether a quota is smaller than the request, so that waiting does not help.
func (f *Fault) never() bool {
	m := novaQuota().FindStringSubmatch(f.Message)
	if m == nil {
		m = cinderQuota().FindStringSubmatch(f.Message)
	}
	if m == nil {
		return false
	}
	want, most := numbers(m[1]), numbers(m[2])
	for i := range min(len(want), len(most)) {
		if want[i] > most[i] {
			return true
		}
	}
	return false
}

func numbers(list string) (out []int) {
	for _, w := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		if n, err := strconv.Atoi(w); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// faultOf reads an answer that is an error.
func faultOf(code gophercloud.ErrUnexpectedResponseCode) *Fault {
	f := &Fault{Status: code.Actual, Reason: Unknown}
	f.Type, f.Message = words(code.Body)
	text := strings.ToLower(f.Message)
	quota := strings.Contains(text, "quota") || f.Type == "OverQuota"
	asked, err := strconv.Atoi(code.ResponseHeader.Get("Retry-After"))
	switch {
	case strings.Contains(f.Message, "No valid host was found"), strings.Contains(f.Message, "not enough hosts available"):
		f.Reason = NoHardware
	case strings.Contains(text, "no more ip addresses"), strings.Contains(text, "no fixed ip addresses available"),
		f.Type == "IpAddressGenerationFailure", f.Type == "ExternalIpAddressExhausted":
		f.Reason = QuotaSpent
	case code.Actual == http.StatusUnauthorized:
		f.Reason = Denied
	case code.Actual == http.StatusForbidden &&
		(quota || strings.Contains(text, "maximum number of") && strings.Contains(text, "exceeded")):
		f.Reason = QuotaSpent
	case code.Actual == http.StatusForbidden:
		f.Reason = Denied
	case code.Actual == http.StatusNotFound, code.Actual == http.StatusGone:
		f.Reason = Missing
	case code.Actual == http.StatusBadRequest && inTheWay(text):
		f.Reason = Conflicting
	case code.Actual == http.StatusConflict && quota:
		f.Reason = QuotaSpent
	case code.Actual == http.StatusConflict:
		f.Reason = Conflicting
	case code.Actual == http.StatusRequestEntityTooLarge && (quota || err == nil && asked == 0):
		f.Reason = QuotaSpent
	case code.Actual == http.StatusRequestEntityTooLarge && err == nil, code.Actual == http.StatusTooManyRequests, code.Actual == 498:
		f.Reason = RateLimited
	case code.Actual == http.StatusRequestTimeout, code.Actual == http.StatusGatewayTimeout:
		f.Reason = TimedOut
	case code.Actual == http.StatusBadGateway, code.Actual == http.StatusServiceUnavailable:
		f.Reason = Down
	case code.Actual >= 400 && code.Actual < 500:
		f.Reason = BadRequest
	}
	return f
}

// serverFault classifies the fault of a server in ERROR.
func serverFault(message string) *Fault {
	f := &Fault{Reason: BuildFailed, Message: cmp.Or(strings.TrimSpace(message), "the server is in ERROR, and the cloud does not say why")}
	switch {
	case strings.Contains(message, "No valid host was found"), strings.Contains(message, "not enough hosts available"):
		f.Reason = NoHardware
	case strings.Contains(
		message, "No fixed IP addresses available",
	), strings.Contains(message, "No more IP addresses"), strings.Contains(message, "Quota exceeded"),
		strings.Contains(
			message, "Maximum number of ports exceeded",
		), strings.Contains(message, "AvailableQuota"), strings.Contains(message, "VolumeLimitExceeded"):
		f.Reason = QuotaSpent
	}
	return f
}

// ironicWords unwraps Ironic's errors: JSON that is a string within JSON.
func ironicWords(text string) string {
	var inner struct {
		Faultstring string `json:"faultstring"`
		Description string `json:"description"`
	}
	if json.Unmarshal([]byte(text), &inner) != nil {
		return text
	}
	return cmp.Or(inner.Faultstring, inner.Description, text)
}

// inTheWay recognises Ironic's errors with status 400 that another state of the node would avoid.
func inTheWay(text string) bool {
	return strings.Contains(text, "can not be performed on node") || strings.Contains(text, "because it's in maintenance mode")
}

var tag = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?s)<title>.*?</title>|<[^>]*>`) })

// words returns the service's name for an error, and its message. The parts that quote the request
// are left out, as they may have a secret.
func words(body []byte) (typ, message string) {
	var any map[string]json.RawMessage
	if json.Unmarshal(body, &any) != nil {
		message = html.UnescapeString(tag().ReplaceAllString(string(body), " "))
	}
	for _, raw := range any {
		var inner struct {
			Type, Message, Title string
		}
		if json.Unmarshal(raw, &inner) == nil && cmp.Or(inner.Message, inner.Title) != "" {
			typ, message = inner.Type, cmp.Or(inner.Message, inner.Title)
			break
		}
		var text string
		if json.Unmarshal(raw, &text) == nil && len(text) > len(message) {
			message = ironicWords(text)
		}
	}
	// "Invalid input for field/attribute user_data. Value: ..."
	message, _, _ = strings.Cut(message, " Value: ")
	message = strings.Join(strings.Fields(message), " ")
	const most = 1000
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "…"
	}
	return typ, message
}
