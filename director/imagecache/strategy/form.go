package strategy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
)

// Case is a fleet, and the settings for its decision: one object of the JSON form of
// docs/director-metal.md.
type Case struct {
	Strategy Proportional
	Fleet    metal.Fleet
	Settings map[string]string // of a strategy that is an external program
}

// usualShare is Arsenal's default.
const usualShare = 0.125

// keysOfForm are the keys of the form. Those of noted are for other programs, and mean nothing to a
// strategy.
var (
	keysOfForm = []string{"nodes", "images", "flavors", "percentage_to_cache", "weights", "default_image_weight",
		"image_choice", "node_choice", "goal", "minimum", "maximum", "min_ready", "max_stale",
		"rebalance", "hit_rate", "write_time", "demand", "retired", "time", "seed", "settings"}
	noted = []string{"title", "expect", "cache_limit", "eject_limit", "rounds"}
)

// FormKeys are the keys that a case may have.
func FormKeys() []string { return append(slices.Clone(keysOfForm), noted...) }

// UnknownKey is the error for a key that a case may not have.
type UnknownKey struct{ Key string }

func (e *UnknownKey) Error() string { return fmt.Sprintf("%s: no such key", e.Key) }

// ParseCase reads an object of the form. An error names the key, and the element of a list.
func ParseCase(data []byte) (*Case, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, badJSON(err)
	}
	c := &Case{Strategy: Proportional{Share: usualShare, Weights: Weights{Default: 1}}}
	keys := make([]string, 0, len(raw))
	for key := range raw {
		keys = append(keys, key)
	}
	slices.Sort(keys) // the same error each time
	for _, key := range keys {
		if !slices.Contains(keysOfForm, key) && !slices.Contains(noted, key) {
			return nil, invalid(&UnknownKey{key})
		}
		if err := c.read(key, raw[key]); err != nil {
			return nil, invalid(fmt.Errorf("%s: %w", key, err))
		}
	}
	for _, key := range []string{"nodes", "images", "flavors"} {
		if raw[key] == nil {
			return nil, invalid(fmt.Errorf("%s: it is missing", key))
		}
	}
	if c.Strategy.MaxStale > 0 && c.Fleet.Time.IsZero() && len(c.Fleet.Retired) > 0 {
		return nil, invalid(errors.New("time: max_stale needs it"))
	}
	return c, c.Strategy.Check()
}

func invalid(err error) error { return &compute.Error{Kind: compute.ErrInvalid, Err: err} }

// badJSON returns an error that says what is wrong with a text, and where.
func badJSON(err error) error {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		err = fmt.Errorf("byte %d: not JSON: %w", syntax.Offset, err)
	case errors.As(err, &typ):
		err = fmt.Errorf("%s and not an object", article(typ.Value))
	}
	return invalid(err)
}

func article(kind string) string {
	if kind == "array" || kind == "object" {
		return "an " + kind
	}
	return "a " + kind
}

// read sets the field of a key from its value.
func (c *Case) read(key string, v json.RawMessage) (err error) {
	p, f := &c.Strategy, &c.Fleet
	switch key {
	case "nodes":
		return c.nodes(v)
	case "images":
		f.Images, err = images(v)
	case "retired":
		return c.retired(v)
	case "flavors":
		if err = value(v, &f.Flavors, "a list of names"); err == nil {
			err = unique(f.Flavors)
		}
	case "percentage_to_cache":
		err = value(v, &p.Share, "a number")
	case "weights":
		var w Weights
		w, err = ParseWeights(v)
		p.Weights.Images, p.Weights.Flavors = w.Images, w.Flavors
	case "default_image_weight":
		p.Weights.Default, err = weight(v)
	case "image_choice":
		err = value(v, &p.Choice, "a word")
	case "goal":
		err = value(v, &p.Goal, "a word")
	case "node_choice":
		var s string
		if err = value(v, &s, "a word"); err == nil {
			p.AnyNode, err = nodeChoice(s)
		}
	case "minimum":
		p.Least, err = bounds(v)
	case "maximum":
		p.Most, err = bounds(v)
	case "min_ready":
		err = value(v, &p.Ready, "a number")
	case "max_stale":
		p.MaxStale, err = seconds(v)
	case "write_time":
		p.Lead, err = seconds(v)
	case "hit_rate":
		err = value(v, &p.HitRate, "a number")
	case "rebalance":
		err = value(v, &p.Rebalance, "true or false")
	case "demand":
		err = value(v, &f.Demand, "an object of flavors with numbers of images")
	case "time":
		err = value(v, &f.Time, "a time as in RFC 3339")
	case "settings":
		err = value(v, &c.Settings, "an object of texts")
	case "seed":
		var seed uint64
		if err = value(v, &seed, "a whole number"); err == nil {
			p.Seed = func() uint64 { return seed }
		}
	}
	return err
}

// value reads a value that is described by what. null is an error.
func value(v json.RawMessage, to any, what string) error {
	if err := json.Unmarshal(v, to); err != nil || string(v) == "null" {
		return fmt.Errorf("%s: not %s", short60(v), what)
	}
	return nil
}

// short60 returns the beginning of a value.
func short60(v json.RawMessage) string {
	if v = bytes.TrimSpace(v); len(v) > 60 {
		return string(bytes.ToValidUTF8(v[:57], nil)) + "..."
	}
	return string(v)
}

// seconds reads a number of seconds, fractions included. It refuses negative numbers, and a
// billion or more.
func seconds(v json.RawMessage) (time.Duration, error) {
	var s float64
	if err := value(v, &s, "a number of seconds"); err != nil {
		return 0, err
	}
	if !(s >= 0 && s < 1e9) {
		return 0, fmt.Errorf("%s: not a number of seconds", short60(v))
	}
	return time.Duration(s * float64(time.Second)), nil
}

// flag reads 0 or 1, or an equivalent.
func flag(v json.RawMessage) (bool, error) {
	switch string(v) {
	case "0", "false":
		return false, nil
	case "1", "true":
		return true, nil
	}
	return false, fmt.Errorf("%s: neither 0 nor 1", short60(v))
}

// text reads a string; null is an empty one.
func text(v json.RawMessage) (s string, err error) {
	if err := json.Unmarshal(v, &s); err != nil {
		return "", fmt.Errorf("%s: not a text", short60(v))
	}
	return s, nil
}

// unique returns an error with the first name that is there twice.
func unique(names []string) error {
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if seen[name] {
			return fmt.Errorf("%q is there twice", name)
		}
		seen[name] = true
	}
	return nil
}

// tuples reads a list of lists.
func tuples(v json.RawMessage, least, most int, want string, each func(i int, t []json.RawMessage) error) error {
	var all []json.RawMessage
	if err := value(v, &all, "a list"); err != nil {
		return err
	}
	for i := range all {
		var t []json.RawMessage
		if err := json.Unmarshal(all[i], &t); err != nil || len(t) < least || len(t) > most {
			return fmt.Errorf("[%d]: %s: not %s", i, short60(all[i]), want)
		}
		if err := each(i, t); err != nil {
			return fmt.Errorf("[%d]%w", i, err)
		}
	}
	return nil
}

// more are the further fields of a node, in its sixth place.
type more struct {
	Name      string    `json:"name"`
	BMC       string    `json:"bmc"`
	Rack      string    `json:"rack"`
	Conductor string    `json:"conductor"`
	Writes    int       `json:"writes"`
	Writing   bool      `json:"writing"`
	Wiping    bool      `json:"wiping"`
	Since     time.Time `json:"since,omitzero"`
	Why       string    `json:"why"`
}

// nodes reads the list of nodes. An error names the node and the field by their indexes.
func (c *Case) nodes(v json.RawMessage) error {
	seen := map[string]int{}
	return tuples(v, 5, 6, "[id, flavor, provisioned, cached, image]", func(i int, t []json.RawMessage) (err error) {
		var n metal.Node
		fail := func(place int, err error) error { return fmt.Errorf("[%d]: %w", place, err) }
		if n.ID, err = text(t[0]); err != nil {
			return fail(0, err)
		}
		if n.Flavor, err = text(t[1]); err != nil {
			return fail(1, err)
		}
		if n.Provisioned, err = flag(t[2]); err != nil {
			return fail(2, err)
		}
		if n.Cached, err = flag(t[3]); err != nil {
			return fail(3, err)
		}
		if n.Image, err = text(t[4]); err != nil {
			return fail(4, err)
		}
		if len(t) > 5 {
			d := json.NewDecoder(bytes.NewReader(t[5]))
			d.DisallowUnknownFields()
			var m more
			if err := d.Decode(&m); err != nil {
				return fail(5, err)
			}
			n.Name, n.BMC, n.Rack, n.Conductor, n.Writes, n.Writing, n.Wiping, n.Since, n.Why = m.Name, m.BMC, m.Rack, m.Conductor, m.Writes, m.Writing, m.Wiping, m.Since, m.Why
		}
		if n.ID == "" {
			return fail(0, errors.New("the node has no id"))
		}
		if first, twice := seen[n.ID]; twice {
			return fail(0, fmt.Errorf("%q is node %d already", n.ID, first))
		}
		seen[n.ID] = i
		c.Fleet.Nodes = append(c.Fleet.Nodes, n)
		return nil
	})
}

// images reads a list of images, each with an id of its own.
func images(v json.RawMessage) (out []metal.Image, err error) {
	seen := map[string]bool{}
	err = tuples(v, 2, 4, "[name, id, checksum]", func(_ int, t []json.RawMessage) error {
		m, err := image(t)
		if err == nil && seen[m.ID] {
			err = fmt.Errorf("[1]: %q is there twice", m.ID)
		}
		seen[m.ID] = true
		out = append(out, m)
		return err
	})
	return out, err
}

// image reads a name, an id, a checksum, and when the image was made or retired.
func image(t []json.RawMessage) (m metal.Image, err error) {
	for i, to := range []*string{&m.Name, &m.ID, &m.Checksum} {
		if i < len(t) {
			if *to, err = text(t[i]); err != nil {
				return m, fmt.Errorf("[%d]: %w", i, err)
			}
		}
	}
	if m.ID == "" {
		return m, errors.New("[1]: the image has no id")
	}
	if len(t) > 3 {
		if err := value(t[3], &m.Created, "a time as in RFC 3339"); err != nil {
			return m, fmt.Errorf("[3]: %w", err)
		}
	}
	return m, nil
}

// retired reads the retired images. The last element is the time of retirement, in the place
// where images have that of creation.
func (c *Case) retired(v json.RawMessage) error {
	return tuples(v, 2, 4, "[name, id, checksum, time]", func(_ int, t []json.RawMessage) error {
		m, err := image(t)
		at := m.Created
		m.Created = time.Time{}
		c.Fleet.Retired = append(c.Fleet.Retired, metal.Retired{Image: m, At: at})
		return err
	})
}

// bounds reads [[flavor, image, nodes]...].
func bounds(v json.RawMessage) (out Bounds, err error) {
	err = tuples(v, 3, 3, "[flavor, image, nodes]", func(_ int, t []json.RawMessage) error {
		var b Bound
		for i, to := range []*string{&b.Flavor, &b.Image} {
			if err := json.Unmarshal(t[i], to); err != nil || !pattern(*to) {
				return fmt.Errorf("[%d]: %s: neither a name nor a pattern of names", i, short60(t[i]))
			}
		}
		n, err := strconv.Atoi(string(t[2]))
		if err != nil || n < 0 {
			return fmt.Errorf("[2]: %s: not a number of nodes", short60(t[2]))
		}
		b.Nodes = n
		out = append(out, b)
		return nil
	})
	return out, err
}

// nodeChoice reads how nodes are chosen.
func nodeChoice(s string) (any bool, err error) {
	switch s {
	case "least-written", "":
		return false, nil
	case "random":
		return true, nil
	}
	return false, fmt.Errorf("%q is neither least-written nor random", s)
}
