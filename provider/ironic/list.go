package ironic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack"
)

// pageSize is the most nodes in one page, by Ironic's default.
const pageSize = 1000

// fields are the fields of a node that we read, each with its first microversion.
var fields = []struct {
	name  string
	since int
}{
	{"uuid", 1}, {"name", 5}, {"provision_state", 1}, {"target_provision_state", 1}, {"power_state", 1},
	{"maintenance", 1}, {"maintenance_reason", 1}, {"instance_uuid", 1},
	{"reservation", 1}, {"last_error", 1}, {"properties", 1}, {"driver_info", 1}, {"extra", 1},
	{"provision_updated_at", 1}, {"resource_class", 21}, {"traits", 37},
	{"fault", 42}, {"conductor_group", 46}, {"protected", 48}, {"conductor", 49}, {"allocation_uuid", 52}, {"retired", 61}, {"shard", 82},
}

// listing is one reading of all nodes. Pages are read one after the other, and decoded meanwhile.
type listing[T any] struct {
	a     *api
	op    string
	query url.Values
	make  func(*record) (T, bool)

	slots chan struct{}
	wg    sync.WaitGroup
}

// part is the result of one page.
type part[T any] struct {
	marker string // of the page
	all    []T
	ids    []string
	next   string // the uuid in the link to the next page; "": there is no link
	err    error
}

// list reads all nodes of a query, and converts each by make. If make returns false, the node is
// left out. It returns all nodes or an error.
func list[T any](ctx context.Context, a *api, op string, query url.Values, make func(*record) (T, bool)) ([]T, error) {
	for tries, dropped := 1, 0; ; tries++ {
		l := &listing[T]{a: a, op: op, query: query, make: make, slots: newSlots()}
		all, err := l.read(ctx)
		f := faultOf(err)
		switch {
		case err == nil:
			return all, nil
		case dropped < len(fields) && f != nil && f.Status == http.StatusInternalServerError && a.lacking(f.Message):
			// lists of this Ironic do not have one of the fields
			tries--
			dropped++
			continue
		case tries < 3 && (errors.Is(err, errMoved) || missing(err)):
			// the last node of a page was deleted meanwhile
			continue
		}
		return nil, openstack.ClassifyList(op, "", err)
	}
}

func newSlots() chan struct{} { return make(chan struct{}, runtime.GOMAXPROCS(0)) }

// errMoved says that the pages of a list do not fit together.
var errMoved = errors.New("the pages of the list do not fit together")

var noField = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`has no attribute '(\w+)'`) })

// lacking notes a field that this Ironic cannot list, although its microversion has it.
func (a *api) lacking(message string) bool {
	m := noField().FindStringSubmatch(message)
	if m == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lacks[m[1]] = true // another list may note it at the same time
	return true
}

// wanted returns the fields to read, as far as this Ironic has them: those in only, with commas
// between, else all.
func (a *api) wanted(minor int, only string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	some := strings.Split(only, ",")
	var out []string
	for _, f := range fields {
		if f.since <= minor && !a.lacks[f.name] && (only == "" || slices.Contains(some, f.name)) {
			out = append(out, f.name)
		}
	}
	return strings.Join(out, ",")
}

// read fetches page after page. Each page is decoded while the next is fetched.
func (l *listing[T]) read(ctx context.Context) ([]T, error) {
	c, err := l.a.s.Metal(ctx)
	if err != nil {
		return nil, err
	}
	minor, err := l.a.version(ctx, c)
	if err != nil {
		return nil, err
	}
	wanted := l.a.wanted(minor, l.query.Get("fields"))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer l.wg.Wait()
	var parts []*part[T]
	markers := map[string]bool{}
	for marker := ""; ; {
		if markers[marker] { // else the list would never end
			return nil, &compute.Error{
				Op: "ironic." + l.op, Kind: compute.ErrFailed,
				Err: fmt.Errorf("%w: node %s ends two of them", errMoved, marker),
			}
		}
		markers[marker] = true
		p := &part[T]{marker: marker}
		parts = append(parts, p)
		body, err := l.fetch(ctx, wanted, marker)
		if err != nil {
			return nil, err
		}
		if next := nextMarker(body); next != "" && next != marker {
			marker = next
			l.slots <- struct{}{}
			l.wg.Go(func() {
				defer func() { <-l.slots }()
				if l.decode(p, body); p.err != nil {
					cancel()
				}
			})
			continue
		}
		if l.decode(p, body); p.err != nil {
			break
		}
		if len(p.ids) == 0 || p.next == "" && len(p.ids) < pageSize {
			break // a full page without a link is not taken for the last
		}
		marker = p.ids[len(p.ids)-1]
	}
	l.wg.Wait()
	return join(l.op, parts)
}

// join puts the pages together, and checks that they fit.
func join[T any](op string, parts []*part[T]) ([]T, error) {
	n := 0
	for _, p := range parts {
		if p.err != nil {
			return nil, &compute.Error{
				Op: "ironic." + op, Kind: compute.ErrFailed,
				Err: fmt.Errorf("the list of nodes cannot be read: %w", p.err),
			}
		}
		n += len(p.ids)
	}
	var out []T
	seen := make(map[string]struct{}, n)
	last := ""
	for i, p := range parts {
		if p.marker != last {
			return nil, &compute.Error{
				Op: "ironic." + op, Kind: compute.ErrFailed,
				Err: fmt.Errorf("%w: page %d begins behind node %s, and the one before ends with %s", errMoved, i+1, p.marker, last),
			}
		}
		for _, id := range p.ids {
			if _, twice := seen[id]; twice {
				return nil, &compute.Error{
					Op: "ironic." + op, Kind: compute.ErrFailed,
					Err: fmt.Errorf("%w: node %s is there twice", errMoved, id),
				}
			}
			seen[id] = struct{}{}
			last = id
		}
		if i == 0 {
			out = p.all
			continue
		}
		out = append(out, p.all...)
	}
	return out, nil
}

// fetch reads one page, and repeats a read that breaks off.
func (l *listing[T]) fetch(ctx context.Context, wanted, marker string) ([]byte, error) {
	q := url.Values{"limit": {strconv.Itoa(pageSize)}, "fields": {wanted}}
	for k, v := range l.query {
		if k != "fields" {
			q[k] = v
		}
	}
	if marker != "" {
		q.Set("marker", marker)
	}
	for tries := 1; ; tries++ {
		body, err := l.a.request(ctx, l.op, "", http.MethodGet, "nodes?"+q.Encode(), nil)
		if err == nil || tries == 3 || !errors.Is(err, io.ErrUnexpectedEOF) && openstack.ReasonOf(err) != openstack.Down {
			return body, err
		}
		if err := sleep(ctx, l.a.pause); err != nil {
			return nil, openstack.Classify(l.op, "", err)
		}
	}
}

var link = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`"next":\s*"[^"]*[?&]marker=([0-9a-fA-F-]{36})[^"]*"\s*}\s*$`)
})

// nextMarker finds the link to the next page at the end of a page. So the next page can be
// requested before this one is decoded. "": there is no link.
func nextMarker(body []byte) string {
	m := link().FindSubmatch(body[max(0, len(body)-2000):])
	if m == nil {
		return ""
	}
	return string(m[1])
}

// decode decodes a page.
func (l *listing[T]) decode(p *part[T], body []byte) {
	var page struct {
		Nodes *[]record `json:"nodes"`
		Next  string    `json:"next"`
	}
	err := json.Unmarshal(body, &page)
	var odd *json.UnmarshalTypeError
	if errors.As(err, &odd) {
		page.Nodes, err = oneByOne(body)
	}
	switch {
	case err != nil:
		p.err = err
		return
	case page.Nodes == nil:
		p.err = errors.New("it has no nodes, not even none")
		return
	}
	p.next = page.Next
	p.all, p.ids = make([]T, 0, len(*page.Nodes)), make([]string, 0, len(*page.Nodes))
	for i := range *page.Nodes {
		r := &(*page.Nodes)[i]
		if r.UUID == "" {
			p.err = errors.New("a node has no uuid")
			return
		}
		p.ids = append(p.ids, r.UUID)
		if v, ok := l.make(r); ok {
			p.all = append(p.all, v)
		}
	}
}

// oneByOne decodes a page with an invalid field. A node with such a field counts as broken. The
// others count as usual.
func oneByOne(body []byte) (*[]record, error) {
	var page struct {
		Nodes []json.RawMessage `json:"nodes"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, err
	}
	out := make([]record, len(page.Nodes))
	for i, raw := range page.Nodes {
		err := json.Unmarshal(raw, &out[i])
		var odd *json.UnmarshalTypeError
		if errors.As(err, &odd) {
			out[i].Fault, err = fmt.Sprintf("its %s is a %s, which it should not be", odd.Field, odd.Value), nil
		}
		if err != nil {
			return nil, err
		}
	}
	return &out, nil
}
