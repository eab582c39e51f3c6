package oldconfig

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Converted is what was read, in hostler's words: keys and values of sections of hostler.conf.
type Converted struct {
	Deploy       map[string]string // [deploy]
	Vars         map[string]string // [deploy.vars]; values that are Referred are references
	Referred     map[string]bool
	Images       map[string]string // [deploy.images]
	ImageBundles map[string]string // [deploy.image-bundles]
	// the provider's secret key, where it stands in the file; [deploy] has none then
	Secret string
	Keys   []string // lines of public keys, beside those of Config.Keys
	Odd    []string // what could not be taken over, and why
}

// plainKeys are settings that are one value of [deploy].
var plainKeys = map[string]string{
	"DEFAULT_PROVIDER": "source", "DEFAULT_USERID": "userid", "DEFAULT_IMAGE_NAME": "image",
	"DEFAULT_LOCATION_ID": "location", "DEFAULT_SIZE": "flavor",
	"DEFAULT_SIZE_ID": "flavor", "DEFAULT_NAME_PREFIX": "name-prefix", "SSH_KEY_PATH": "key",
}

// nothing are settings that mean nothing any more, with why.
var nothing = map[string]string{
	"DEFAULT_TARGETDIR":         "scripts are kept where the bundle's record is",
	"DEFAULT_BOOTSTRAP_BUNDLES": "put them into [deploy.image-bundles]",
	"BOOTSTRAPPED_IMAGE_NAMES":  "put bundles into [deploy.image-bundles]",
	"PROVIDERS":                 "a source in sources/NAME/source.conf takes its place",
	"EX_USERDATA":               "a bundle with --via user-data takes its place", "SSH_KEY_NAME": "the source has the key",
	"SSH_INTERFACE": "the source knows the address",
	"BUNDLEMAP":     "add_bundle and new_bundle are read",
}

// Convert says it in hostler's words.
func (c *Config) Convert() Converted {
	out := Converted{
		Deploy: map[string]string{}, Vars: map[string]string{}, Referred: map[string]bool{}, Images: map[string]string{},
		ImageBundles: map[string]string{},
	}
	odd := func(format string, args ...any) { out.Odd = append(out.Odd, fmt.Sprintf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(c.Settings)) {
		v := c.Settings[name]
		key, plain := plainKeys[name]
		why, dead := nothing[name]
		switch {
		case v == nil, name == "DEFAULT_LOCATION_ID" && v == int64(0):
			// None, and the first location, which is there without a word
		case plain:
			if s, ok := scalar(v); ok {
				out.Deploy[key] = s
			} else {
				odd("%s is no plain value", name)
			}
		case name == "DEFAULT_SECRET_KEY":
			switch v := v.(type) {
			case Reference:
				out.Deploy["secret-key"] = string(v)
			case string:
				out.Secret = v
			}
		case name == "DESTROYABLE_PREFIXES" || name == "DEFAULT_BUNDLES":
			key := map[string]string{"DESTROYABLE_PREFIXES": "destroyable-prefixes", "DEFAULT_BUNDLES": "bundles"}[name]
			words, ok := wordsOf(v)
			if !ok {
				odd("%s is no list of words without commas", name)
				continue
			}
			out.Deploy[key] = strings.Join(words, ", ")
		case name == "PUBKEYS" || name == "DEFAULT_PUBKEY":
			list, ok := v.(List)
			if !ok {
				list = List{v}
			}
			for _, item := range list {
				if s, ok := item.(string); ok {
					out.Keys = append(out.Keys, linesOf(s)...)
				} else {
					odd("a key of %s is no text", name)
				}
			}
		case name == "SUBMAP":
			c.table(v, name, odd, func(key string, v Value) bool {
				s, ok := scalar(v)
				out.Vars[key] = s
				_, out.Referred[key] = v.(Reference)
				return ok
			})
		case name == "IMAGE_NAMES":
			c.table(v, name, odd, func(key string, v Value) bool {
				s, ok := scalar(v)
				out.Images[key] = s
				return ok
			})
		case name == "IMAGE_BUNDLES_MAP":
			c.table(v, name, odd, func(key string, v Value) bool {
				words, ok := wordsOf(v)
				out.ImageBundles[key] = strings.Join(words, ", ")
				return ok
			})
		case dead:
			if why != "" {
				odd("%s has no meaning here: %s", name, why)
			}
		default:
			odd("%s is not known", name)
		}
	}
	return out
}

// table hands on the items of a dictionary.
func (c *Config) table(v Value, name string, odd func(string, ...any), set func(string, Value) bool) {
	d, ok := v.(Dict)
	if !ok {
		odd("%s is no dictionary", name)
	}
	for _, item := range d {
		if !set(item.Key, item.Value) {
			odd("%s: the value of %s is not of a kind that can be taken over", name, item.Key)
		}
	}
}

// scalar is a value as text.
func scalar(v Value) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case Reference:
		return string(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case bool:
		// as Python writes it into a template
		return map[bool]string{true: "True", false: "False"}[v], true
	}
	return "", false
}

// wordsOf are the words of a list that can stand with commas between.
func wordsOf(v Value) (out []string, ok bool) {
	list, ok := v.(List)
	for _, item := range list {
		s, plain := item.(string)
		if !plain || strings.ContainsAny(s, ",\n") {
			return nil, false
		}
		out = append(out, s)
	}
	return out, ok
}

func linesOf(s string) (out []string) {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}
