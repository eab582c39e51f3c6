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

// ImageRule selects the images that meet all its conditions. A zero field is no condition.
type ImageRule struct {
	Name string `conf:"name"` // a regular expression for the name
	// KEY=VALUE, KEY~REGEXP, KEY!~REGEXP (true without the key), KEY or !KEY
	Properties []string `conf:"properties"`
	Visibility string   `conf:"visibility"` // public, private, shared or community
	Owner      string   `conf:"owner"`      // the id of a project
	Tags       []string `conf:"tags"`       // the image has all of these
	// of the images with equal values of these properties only the newest: os_distro, os_version;
	// "name" is the name
	LatestPer []string `conf:"latest-per"`
	// except these names or ids; * stands for any text
	Exclude []string `conf:"exclude"`
}

// FlavorRule says which nodes are of a flavor: those that meet all its conditions and no earlier
// rule's. It also says how images are written to them.
type FlavorRule struct {
	// the flavor's name; "": the rule's place in the configuration is the name
	Name       string   `conf:"name"`
	Class      string   `conf:"resource-class"` // the node's resource_class
	Traits     []string `conf:"traits"`         // the node has all of these
	Properties []string `conf:"properties"`     // as in an ImageRule, for the node's properties
	// the same, for the entries of the property capabilities
	Capabilities []string `conf:"capabilities"`
	Group        string   `conf:"conductor-group"` // "-": none
	Shard        string   `conf:"shard"`           // "-": none
	Way          Way      // how an image is cached; "": Deploy
	Steps        []Step   // of Clean; required there
	Runbook      string   // of Clean, instead of Steps
}

// Step is a cleaning step. In its arguments {image}, {checksum}, {url} and {name} stand for the
// image's values.
type Step struct {
	Interface string         `json:"interface"`
	Step      string         `json:"step"`
	Args      map[string]any `json:"args,omitempty"`
}

// condition is one entry of a list of properties.
type condition struct {
	key string
	ok  func(value string, there bool) bool
}

// parseCondition reads KEY=VALUE, KEY~REGEXP, KEY!~REGEXP, KEY or !KEY.
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

// parseConditions reads all conditions of an option, whose name begins an error.
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

// imageRule is a compiled ImageRule.
type imageRule struct {
	ImageRule
	name    *regexp.Regexp
	props   []condition
	exclude []*regexp.Regexp
}

// compile checks a rule. In Exclude a * stands for any characters, and a word is for the whole
// of a name or id.
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

// Check returns an error that names the wrong option of a rule.
func (r ImageRule) Check() error {
	_, err := r.compile()
	return err
}

// Check returns an error that names the wrong option of a rule.
func (r FlavorRule) Check() error {
	_, err := r.compile()
	return err
}

// property returns a property of an image: its own, or one that every image has.
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

// picks reports whether a rule selects an image. An empty field of the rule restricts nothing,
// and Exclude wins.
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

// pickImages returns the images that any of the rules selects, by name, the newest first. Without
// rules it returns all.
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

// flavorRule is a compiled FlavorRule.
type flavorRule struct {
	FlavorRule
	props, caps []condition
}

// compile checks a rule. Without a way, the way is Deploy.
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

// has reports whether a node meets all conditions of a rule.
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

// Preset returns rules that other projects ship: devstack, onmetal-v1 or onmetal-v2.
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
