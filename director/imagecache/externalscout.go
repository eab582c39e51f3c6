package imagecache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
)

// ExternalScout is a scout and commander that runs a program of the user's. Each question starts it
// anew. It reads a JSON object from standard input and prints one. docs/director-metal.md has the
// format.
type ExternalScout struct {
	Path     string            // the executable
	Settings map[string]string // what it gets with each question
	Timeout  time.Duration     // for an answer; 0: a minute
	Most     int               // bytes of an answer; 0: 64 MiB
}

var (
	_ metal.Scout     = (*ExternalScout)(nil)
	_ metal.Commander = (*ExternalScout)(nil)
)

// FindScout looks for the executable hostler-scout-NAME on PATH.
func FindScout(name string) (string, error) { return strategy.Find("scout", name, "a scout") }

// question is what the program reads.
type question struct {
	Version  int               `json:"version"`
	Verb     string            `json:"verb"` // nodes, images, flavors, cache, eject
	Node     string            `json:"node,omitempty"`
	Image    *imageForm        `json:"image,omitempty"`
	Settings map[string]string `json:"settings"`
}

// reply is what it prints. Unknown fields are ignored.
type reply struct {
	Nodes   *[]nodeForm  `json:"nodes"`
	Images  *[]imageForm `json:"images"`
	Flavors *[]string    `json:"flavors"`
	Error   *struct {
		Kind    string `json:"kind"`
		Message string `json:"message"`
		Hint    string `json:"hint"`
	} `json:"error"`
}

// imageForm is an image in the program's JSON format.
type imageForm struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Checksum string    `json:"checksum,omitempty"`
	Created  time.Time `json:"created,omitzero"`
}

// nodeForm is a node in the program's JSON format.
type nodeForm struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Flavor      string    `json:"flavor"`
	Provisioned bool      `json:"provisioned"`
	Cached      bool      `json:"cached"`
	Image       string    `json:"image"`
	Writing     bool      `json:"writing"`
	Used        bool      `json:"used"`
	Failed      string    `json:"failed"`
	BMC         string    `json:"bmc"`
	Rack        string    `json:"rack"`
	Conductor   string    `json:"conductor"`
	Writes      int       `json:"writes"`
	Since       time.Time `json:"since"`
	Why         string    `json:"why"`
}

// Nodes implements metal.Scout.
func (o *ExternalScout) Nodes(ctx context.Context) ([]metal.Node, error) {
	r, err := o.ask(ctx, question{Verb: "nodes"})
	if err != nil {
		return nil, err
	}
	if r.Nodes == nil {
		return nil, o.bad("nodes", errors.New("it lacks nodes"))
	}
	out := make([]metal.Node, 0, len(*r.Nodes))
	seen := make(map[string]bool, len(*r.Nodes))
	for _, n := range *r.Nodes {
		for _, s := range []string{n.Name, n.Flavor, n.Image, n.BMC, n.Rack, n.Conductor} {
			if s != "" && !word(s) {
				return nil, o.bad("nodes", fmt.Errorf("of node %.80q: %.80q", n.ID, s))
			}
		}
		switch {
		case !word(n.ID):
			return nil, o.bad("nodes", fmt.Errorf("a node %.80q", n.ID))
		case seen[n.ID]:
			return nil, o.bad("nodes", fmt.Errorf("the node %s twice", n.ID))
		}
		seen[n.ID] = true
		out = append(out, metal.Node{ID: n.ID, Name: n.Name, Flavor: n.Flavor, Provisioned: n.Provisioned,
			Cached: n.Cached, Image: n.Image, Writing: n.Cached && n.Writing, Used: n.Used,
			Failed: oneLine(n.Failed), BMC: n.BMC, Rack: n.Rack, Conductor: n.Conductor, Writes: n.Writes,
			Since: n.Since, Why: oneLine(n.Why)})
	}
	return out, nil
}

// Images implements metal.Scout.
func (o *ExternalScout) Images(ctx context.Context) ([]metal.Image, error) {
	r, err := o.ask(ctx, question{Verb: "images"})
	if err != nil {
		return nil, err
	}
	if r.Images == nil {
		return nil, o.bad("images", errors.New("it lacks images"))
	}
	out := make([]metal.Image, 0, len(*r.Images))
	seen := map[string]bool{}
	for _, i := range *r.Images {
		if !word(i.ID) || i.Name != "" && oneLine(i.Name) != i.Name || seen[i.ID] {
			return nil, o.bad("images", fmt.Errorf("an image %.80q, or twice that", i.ID))
		}
		seen[i.ID] = true
		out = append(out, metal.Image(i))
	}
	return out, nil
}

// Flavors implements metal.Scout.
func (o *ExternalScout) Flavors(ctx context.Context) ([]string, error) {
	r, err := o.ask(ctx, question{Verb: "flavors"})
	if err != nil {
		return nil, err
	}
	if r.Flavors == nil {
		return nil, o.bad("flavors", errors.New("it lacks flavors"))
	}
	seen := map[string]bool{}
	for _, name := range *r.Flavors {
		if !word(name) || seen[name] {
			return nil, o.bad("flavors", fmt.Errorf("a flavor %.80q, or twice that", name))
		}
		seen[name] = true
	}
	return *r.Flavors, nil
}

// Cache implements metal.Commander.
func (o *ExternalScout) Cache(ctx context.Context, node string, image metal.Image) error {
	i := imageForm(image)
	_, err := o.ask(ctx, question{Verb: "cache", Node: node, Image: &i})
	return err
}

// Eject implements metal.Commander.
func (o *ExternalScout) Eject(ctx context.Context, node string) error {
	_, err := o.ask(ctx, question{Verb: "eject", Node: node})
	return err
}

// bad returns the error for an impossible answer. The action may have begun: that is not known.
func (o *ExternalScout) bad(verb string, err error) error {
	return &compute.Error{
		Op: "scout." + verb, ID: compute.ID(o.Path), Kind: compute.ErrUnavailable,
		Err: fmt.Errorf("its answer: %w", err), Hint: "docs/director-metal.md has the form",
	}
}

// ask runs the program with a question and reads its answer.
func (o *ExternalScout) ask(ctx context.Context, q question) (*reply, error) {
	q.Version, q.Settings = 1, o.Settings
	if q.Settings == nil {
		q.Settings = map[string]string{}
	}
	in, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	out, said, err := (&strategy.Program{Path: o.Path, Timeout: o.Timeout, Most: o.Most}).Ask(ctx, append(in, '\n'))
	r := &reply{}
	wrong := strategy.Parse(out, r, false)
	switch {
	case wrong == nil && r.Error != nil:
		text := oneLine(r.Error.Message)
		kind, ok := words[strings.ReplaceAll(r.Error.Kind, "_", "-")]
		if !ok {
			kind = compute.ErrFailed
		}
		return nil, &compute.Error{
			Op: "scout." + q.Verb, ID: compute.ID(q.Node), Kind: kind, Err: errors.New(text),
			Hint: strings.TrimSuffix(oneLine(r.Error.Hint), "."),
		}
	case err != nil && (ctx.Err() != nil || errors.Is(err, compute.ErrInvalid) || errors.Is(err, compute.ErrTimeout)):
		return nil, err
	case err != nil: // the program may have begun something before it failed, so that is not ErrFailed
		return nil, &compute.Error{
			Op: "scout." + q.Verb, ID: compute.ID(o.Path), Kind: compute.ErrUnavailable, Err: errors.New(err.Error()),
		}
	case wrong != nil:
		return nil, o.bad(q.Verb, fmt.Errorf("%w%s", wrong, said))
	}
	return r, nil
}

// words are the program's words for kinds of errors.
var words = map[string]error{"failed": compute.ErrFailed, "unavailable": compute.ErrUnavailable,
	"invalid": compute.ErrInvalid, "no-capacity": compute.ErrNoCapacity,
	"timeout": compute.ErrTimeout, "not-found": compute.ErrNotFound, "conflict": compute.ErrConflict, "denied": compute.ErrDenied}

// word reports whether s may be a name: not empty, not too long, of visible characters.
func word(s string) bool {
	return s != "" && len(s) <= 255 && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) })
}
