package ironic

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack"
)

// The minor numbers of the microversions of Ironic's API 1 that we use: the newest with something
// that we use, and the oldest with all that we need.
const (
	newestVersion = 92
	oldestVersion = 52 // allocations
	vmediaVersion = 89
)

// api is a client of one Ironic. It uses the newest microversion that both sides know. Any number
// of goroutines may use it.
type api struct {
	s *openstack.Session
	// patience is how long to retry on a node that another operation has locked. pause is the time
	// between two tries.
	patience, pause time.Duration

	mu      sync.Mutex
	minor   int             // of the microversion; 0: not known yet
	lacks   map[string]bool // the fields that this Ironic cannot list
	untried bool            // it accepts no test in a patch
}

func newAPI(s *openstack.Session) *api {
	return &api{s: s, patience: 30 * time.Second, pause: 250 * time.Millisecond, lacks: map[string]bool{}}
}

// version returns the minor number of the microversion in use.
func (a *api) version(ctx context.Context, c *gophercloud.ServiceClient) (int, error) {
	a.mu.Lock()
	minor := a.minor
	a.mu.Unlock()
	if minor > 0 {
		return minor, nil
	}
	c.Microversion = "1.1"
	resp, err := c.Request(
		ctx, http.MethodGet, strings.TrimSuffix(c.ResourceBaseURL(), "/"),
		&gophercloud.RequestOpts{OkCodes: []int{http.StatusOK}, KeepResponseBody: true},
	)
	if err != nil {
		return 0, a.named(openstack.ClassifyList("Metal", "", err))
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	resp.Body.Close()
	low, high := minorOf(
		resp.Header.Get("X-Openstack-Ironic-Api-Minimum-Version"),
	), minorOf(resp.Header.Get("X-Openstack-Ironic-Api-Maximum-Version"))
	if minor = min(high, newestVersion); minor < oldestVersion || low > newestVersion {
		return 0, &compute.Error{
			Op: "ironic.Metal", Kind: compute.ErrInvalid,
			Err: fmt.Errorf(
				"the bare-metal service knows the microversions 1.%d to 1.%d, and hostler those from 1.%d to 1.%d", low,
				high, oldestVersion, newestVersion,
			),
		}
	}
	a.mu.Lock()
	a.minor = minor
	a.mu.Unlock()
	return minor, nil
}

func minorOf(version string) int {
	_, minor, _ := strings.Cut(version, ".")
	n, _ := strconv.Atoi(minor)
	return n
}

// request sends one request and returns the whole body of the answer. id is the node that it is
// about. "": none.
func (a *api) request(ctx context.Context, op string, id compute.ID, method, path string, body any) ([]byte, error) {
	for again := true; ; again = false {
		c, err := a.s.Metal(ctx)
		if err != nil {
			return nil, err
		}
		minor, err := a.version(ctx, c)
		if err != nil {
			return nil, err
		}
		c.Microversion = "1." + strconv.Itoa(minor)
		resp, err := c.Request(ctx, method, c.ServiceURL(path), &gophercloud.RequestOpts{
			JSONBody: body, OkCodes: []int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent},
			KeepResponseBody: true,
		})
		if err != nil {
			err = openstack.Classify(op, id, err)
			// another version of Ironic may have replaced it meanwhile
			if f := faultOf(err); again && f != nil && f.Status == http.StatusNotAcceptable {
				a.mu.Lock()
				a.minor = 0
				a.mu.Unlock()
				continue
			}
			return nil, a.named(err)
		}
		answer, err := readAll(resp)
		return answer, a.named(openstack.Classify(op, id, err))
	}
}

// named gives an error this service's name. An error that is not about one node names
// the cloud.
func (a *api) named(err error) error {
	var e *compute.Error
	if !errors.As(err, &e) {
		return err
	}
	e.Op = "ironic." + strings.TrimPrefix(e.Op, "openstack.")
	switch openstack.ReasonOf(e) {
	case openstack.Down, openstack.TimedOut, openstack.Denied, openstack.RateLimited:
		e.Err = fmt.Errorf("bare metal in %s: %w", a.s.From(), e.Err)
	}
	return err
}

// largestAnswer is the most bytes of an answer that are read. A page of a thousand nodes with all
// fields is smaller.
const largestAnswer = 64 << 20

var errLong = fmt.Errorf("the answer is longer than %d bytes", largestAnswer)

// readAll reads the body of an answer. A body that is cut short or too long is an error.
func readAll(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	if resp.ContentLength > largestAnswer {
		return nil, errLong
	}
	if resp.ContentLength <= 0 {
		b, err := io.ReadAll(io.LimitReader(resp.Body, largestAnswer+1))
		if len(b) > largestAnswer {
			return nil, errLong
		}
		return b, err
	}
	b := make([]byte, resp.ContentLength)
	_, err := io.ReadFull(resp.Body, b)
	return b, err
}

// get reads an object into out.
func (a *api) get(ctx context.Context, op string, id compute.ID, path string, out any) error {
	b, err := a.request(ctx, op, id, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, out); err != nil {
		return &compute.Error{Op: "ironic." + op, ID: id, Kind: compute.ErrFailed, Err: fmt.Errorf("the answer cannot be read: %w", err)}
	}
	return nil
}

// change sends a request that changes a node. It retries while another operation has the node
// locked.
func (a *api) change(ctx context.Context, op string, id compute.ID, method, path string, body any) ([]byte, error) {
	for end := time.Now().Add(a.patience); ; {
		b, err := a.request(ctx, op, id, method, path, body)
		if err == nil || !locked(err) || time.Now().After(end) {
			return b, err
		}
		if err := sleep(ctx, a.pause); err != nil {
			return nil, openstack.Classify(op, id, err)
		}
	}
}

// sleep waits for d, or until ctx ends: then it returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func faultOf(err error) *openstack.Fault {
	var f *openstack.Fault
	errors.As(err, &f)
	return f
}

// locked reports whether an error says that another operation has locked a node.
func locked(err error) bool {
	f := faultOf(err)
	return f != nil && f.Status == http.StatusConflict && strings.Contains(f.Message, "is locked by host")
}

// missing reports whether an error says that the thing does not exist.
func missing(err error) bool { return openstack.ReasonOf(err) == openstack.Missing }

// node reads one node with all its fields.
func (a *api) node(ctx context.Context, op, id string) (*record, error) {
	r := &record{}
	err := a.get(ctx, op, compute.ID(id), "nodes/"+url.PathEscape(id), r)
	var odd *json.UnmarshalTypeError
	if err == nil && r.UUID == "" {
		err = &compute.Error{Op: "ironic." + op, ID: compute.ID(id), Kind: compute.ErrFailed, Err: errors.New("the answer is no node")}
	}
	if errors.As(err, &odd) {
		err = &compute.Error{
			Op: "ironic." + op, ID: compute.ID(id), Kind: compute.ErrFailed,
			Err: fmt.Errorf("its record has an odd %s: %s", odd.Field, odd.Value),
		}
	}
	return r, err
}

// operation is one operation of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// patch changes a node's record. It retries while another operation has the node locked. If Ironic
// accepts no tests in patches, they are left out: no claim depends on them.
func (a *api) patch(ctx context.Context, op, id string, all []operation) error {
	return a.patchBy(ctx, a.change, op, id, all)
}

// patchNow is patch without the retries, for a caller whose knowledge of the node must be current.
func (a *api) patchNow(ctx context.Context, op, id string, all []operation) error {
	return a.patchBy(ctx, a.request, op, id, all)
}

// patchBy sends a patch by send. If Ironic refuses its tests, it sends the patch without them.
func (a *api) patchBy(
	ctx context.Context,
	send func(ctx context.Context, op string, id compute.ID, method, path string, body any) ([]byte, error),
	op, id string, all []operation,
) error {
	for {
		a.mu.Lock()
		untried := a.untried
		a.mu.Unlock()
		some := all
		if untried {
			some = nil
			for _, o := range all {
				if o.Op != "test" {
					some = append(some, o)
				}
			}
		}
		_, err := send(ctx, op, compute.ID(id), http.MethodPatch, "nodes/"+url.PathEscape(id), some)
		f := faultOf(err)
		switch {
		case f == nil || f.Status != http.StatusBadRequest:
			return err
		case !untried && strings.Contains(f.Message, "'test' is not one of"):
			a.mu.Lock()
			a.untried = true
			a.mu.Unlock()
			continue
		case strings.Contains(f.Message, "Couldn't apply patch"):
			// a test failed, or a value to replace or remove is gone
			return conflict(op, id, "its marks changed meanwhile: %s", f.Message)
		}
		return err
	}
}

func conflict(op, id, text string, args ...any) error {
	return &compute.Error{Op: "ironic." + op, ID: compute.ID(id), Kind: compute.ErrConflict, Err: fmt.Errorf(text, args...)}
}

// provision requests a change of a node's provision state.
func (a *api) provision(ctx context.Context, op, id, target string, more map[string]any) error {
	body := map[string]any{"target": target}
	for k, v := range more {
		body[k] = v
	}
	_, err := a.change(ctx, op, compute.ID(id), http.MethodPut, "nodes/"+url.PathEscape(id)+"/states/provision", body)
	return err
}

// power switches a node on or off. It is no error if the node is so already.
func (a *api) power(ctx context.Context, op, id, to string) error {
	_, err := a.change(
		ctx, op, compute.ID(id), http.MethodPut, "nodes/"+url.PathEscape(id)+"/states/power",
		map[string]any{"target": "power " + to},
	)
	return err
}

// label returns the name of a node for messages.
func (r *record) label() string { return cmp.Or(r.Name, r.UUID) }
