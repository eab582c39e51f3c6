package ironic

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"github.com/hostler-project/hostler/compute/metal"
)

// ImageRule picks images: those that pass all of it. What is not said lets all pass.
type ImageRule struct {
	Name string `conf:"name"` // a regular expression of names
	// KEY=VALUE, KEY~REGEXP, KEY!~REGEXP (also where there is no such key), KEY or !KEY
	Properties []string `conf:"properties"`
	Visibility string   `conf:"visibility"` // public, private, shared or community
	Owner      string   `conf:"owner"`      // the id of a project
	Tags       []string `conf:"tags"`       // it has all of these
	// of images that have these properties in common only the newest: os_distro, os_version; "name"
	// is the name
	LatestPer []string `conf:"latest-per"`
	// not those of these names or ids; * stands for anything
	Exclude []string `conf:"exclude"`
}

// FlavorRule says which nodes are of a flavor: those that pass all of it, and no rule before it.
// How images come onto them is the flavor's own.
type FlavorRule struct {
	// the flavor's; "": the rule's place in the configuration names it
	Name       string   `conf:"name"`
	Class      string   `conf:"resource-class"` // the node's resource_class
	Traits     []string `conf:"traits"`         // it has all of these
	Properties []string `conf:"properties"`     // as of an ImageRule, of the node's properties
	// the same, of those within the property capabilities
	Capabilities []string `conf:"capabilities"`
	Group        string   `conf:"conductor-group"` // "-": none
	Shard        string   `conf:"shard"`           // "-": none
	Way          Way      // how an image is cached; "": Deploy
	Steps        []Step   // of Clean; required there
	Runbook      string   // of Clean, in place of steps
}

// Step is a cleaning step. {image}, {checksum}, {url} and {name} in its arguments stand for those
// of the image.
type Step struct {
	Interface string         `json:"interface"`
	Step      string         `json:"step"`
	Args      map[string]any `json:"args,omitempty"`
}

// condition is one word of a list of properties.
type condition struct {
	key string
	ok  func(value string, there bool) bool
}

func parseCondition(word string) (c condition, err error) {
	word = strings.TrimSpace(word)
	i := strings.IndexAny(word, "=~")
	switch {
	case strings.HasPrefix(word, "!") && i < 0:
		return condition{word[1:], func(_ string, there bool) bool { return !there }}, nil
	case i < 0:
		return condition{word, func(_ string, there bool) bool { return there }}, nil
	case word[i] == '=':
		want := word[i+1:]
		c = condition{word[:i], func(v string, there bool) bool { return there && v == want }}
	default:
		key, not := strings.CutSuffix(word[:i], "!")
		re, err := regexp.Compile(word[i+1:])
		if err != nil {
			return c, err
		}
		c = condition{key, func(v string, there bool) bool { return (there && re.MatchString(v)) != not }}
	}
	if c.key == "" {
		return c, fmt.Errorf("%q names no property", word)
	}
	return c, nil
}

func parseConditions(option string, words []string) (out []condition, err error) {
	for _, w := range words {
		c, err := parseCondition(w)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", option, err)
		}
		out = append(out, c)
	}
	return out, nil
}

func pass(all []condition, value func(key string) (string, bool)) bool {
	return !slices.ContainsFunc(all, func(c condition) bool { return !c.ok(value(c.key)) })
}

// imageRule is an ImageRule that is ready to be used.
type imageRule struct {
	ImageRule
	name    *regexp.Regexp
	props   []condition
	exclude []*regexp.Regexp
}

func (r ImageRule) compile() (out imageRule, err error) {
	out.ImageRule = r
	if out.name, err = regexp.Compile(r.Name); err != nil {
		return out, fmt.Errorf("name: %w", err)
	}
	if out.props, err = parseConditions("properties", r.Properties); err != nil {
		return out, err
	}
	if r.Visibility != "" && !slices.Contains([]string{"public", "private", "shared", "community"}, r.Visibility) {
		return out, fmt.Errorf("visibility = %s: not public, private, shared or community", r.Visibility)
	}
	for _, word := range r.Exclude {
		parts := strings.Split(word, "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		out.exclude = append(out.exclude, regexp.MustCompile("^"+strings.Join(parts, ".*")+"$"))
	}
	return out, nil
}

// Check says what is wrong with a rule, by its option.
func (r ImageRule) Check() error {
	_, err := r.compile()
	return err
}

// Check says what is wrong with a rule, by its option.
func (r FlavorRule) Check() error {
	_, err := r.compile()
	return err
}

// property is one of an image: its own, or one of those that every image has.
func property(i *images.Image, key string) (string, bool) {
	switch key {
	case "name":
		return i.Name, true
	case "disk_format":
		return i.DiskFormat, i.DiskFormat != ""
	case "container_format":
		return i.ContainerFormat, i.ContainerFormat != ""
	}
	v, ok := i.Properties[key]
	if !ok || v == nil {
		return "", false
	}
	return fmt.Sprint(v), true
}

func (r *imageRule) picks(i *images.Image) bool {
	switch {
	case !r.name.MatchString(i.Name), r.Visibility != "" && string(i.Visibility) != r.Visibility, r.Owner != "" && i.Owner != r.Owner:
		return false
	case slices.ContainsFunc(r.Tags, func(t string) bool { return !slices.Contains(i.Tags, t) }):
		return false
	case slices.ContainsFunc(r.exclude, func(re *regexp.Regexp) bool { return re.MatchString(i.Name) || re.MatchString(i.ID) }):
		return false
	}
	return pass(r.props, func(key string) (string, bool) { return property(i, key) })
}

// pickImages are the images that any of the rules picks, by name, the newest first. Without rules
// they are all.
func pickImages(rules []imageRule, all []images.Image) []metal.Image {
	picked := map[string]*images.Image{}
	for n := range rules {
		r := &rules[n]
		newest := map[string]*images.Image{}
		for k := range all {
			i := &all[k]
			if i.ID == "" || i.Status != "" && i.Status != images.ImageStatusActive || !r.picks(i) {
				continue
			}
			group := i.ID
			if len(r.LatestPer) > 0 {
				group = ""
				for _, key := range r.LatestPer {
					v, there := property(i, key)
					group += fmt.Sprintf("%t%q ", there, v)
				}
			}
			if old := newest[group]; old == nil || cmp.Or(i.CreatedAt.Compare(old.CreatedAt), strings.Compare(i.ID, old.ID)) > 0 {
				newest[group] = i
			}
		}
		for _, i := range newest {
			picked[i.ID] = i
		}
	}
	out := make([]metal.Image, 0, len(picked))
	for _, i := range picked {
		out = append(out, metal.Image{ID: i.ID, Name: i.Name, Checksum: i.Checksum, Created: i.CreatedAt})
	}
	slices.SortFunc(out, func(a, b metal.Image) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	})
	return out
}

// flavorRule is a FlavorRule that is ready to be used.
type flavorRule struct {
	FlavorRule
	props, caps []condition
}

func (r FlavorRule) compile() (out flavorRule, err error) {
	out.FlavorRule = r
	out.Way = cmp.Or(r.Way, Deploy)
	switch {
	case r.Name == "":
		return out, fmt.Errorf("a flavor needs a name")
	case !out.Way.valid():
		return out, fmt.Errorf("way = %s: not %s, %s, %s, %s or %s", r.Way, ways[0], ways[1], ways[2], ways[3], ways[4])
	case out.Way == Clean && len(r.Steps) == 0 && r.Runbook == "":
		return out, fmt.Errorf("way = clean, and neither steps nor a runbook")
	case slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Interface == "" || s.Step == "" }):
		return out, fmt.Errorf("a cleaning step needs an interface and a step")
	}
	if out.props, err = parseConditions("properties", r.Properties); err != nil {
		return out, err
	}
	out.caps, err = parseConditions("capabilities", r.Capabilities)
	return out, err
}

func (r *flavorRule) has(n *record) bool {
	plain := func(want, is string) bool { return want == "" || want == is || want == "-" && is == "" }
	switch {
	case r.Class != "" && r.Class != n.Class, !plain(r.Group, n.Group), !plain(r.Shard, n.Shard):
		return false
	case slices.ContainsFunc(r.Traits, func(t string) bool { return !slices.Contains(n.Traits, t) }):
		return false
	}
	return pass(r.props, func(key string) (string, bool) {
		v, there := n.Properties[key]
		return n.Properties.text(key), there && v != nil
	}) && pass(r.caps, func(key string) (string, bool) {
		v := n.Properties.capability(key)
		return v, v != ""
	})
}

// Preset returns rules that others have shipped: devstack, onmetal-v1 or onmetal-v2.
func Preset(name string) (i []ImageRule, f []FlavorRule, err error) {
	sizes := func(rules ...[2]string) (out []FlavorRule) {
		for _, r := range rules {
			out = append(out, FlavorRule{Name: r[0], Properties: strings.Fields(r[1])})
		}
		return out
	}
	onmetal := func(class string) []ImageRule {
		return []ImageRule{{
			Visibility: "public",
			Properties: []string{
				"vm_mode=metal", `flavor_classes~(^|,)\s*` + class + `\s*(,|$)`,
				`flavor_classes!~(^|,)\s*!onmetal\s*(,|$)`,
			},
		}}
	}
	switch name {
	case "devstack":
		return []ImageRule{{Name: "^cirros"}}, []FlavorRule{{Name: "baremetal"}}, nil
	case "onmetal-v1":
		return onmetal("onmetal"), sizes(
			[2]string{"onmetal-compute1", "memory_mb=32768"}, [2]string{"onmetal-io1", "memory_mb=131072"},
			[2]string{"onmetal-memory1", "memory_mb=524288"},
		), nil
	case "onmetal-v2":
		return onmetal("onmetal2"), sizes([2]string{"onmetal-small2", "memory_mb=32768 local_gb=800 cpus=12"}, [2]string{
			"onmetal-medium2", "memory_mb=65536 local_gb=800 cpus=24",
		},
			[2]string{
				"onmetal-large2", "memory_mb=131072 local_gb=800 cpus=24",
			}, [2]string{"onmetal-io2", "memory_mb=131072 local_gb=120 cpus=40"}), nil
	}
	return nil, nil, fmt.Errorf("preset %s is not known: devstack, onmetal-v1 or onmetal-v2", name)
}
