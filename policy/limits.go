package policy

import (
	"path"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// Limits are what the keys of a source, or of a project, let a request choose.
type Limits struct {
	// Patterns of allowed names, as in path.Match. nil: there is no key. Empty: no name is allowed.
	Images, Flavors, Locations []string
	// whether a request may bring user data; nil: there is no key
	UserData *bool
	// the most that a request may ask for; a zero: there is no key
	Most compute.Resources
}

// Source is what the rules need to know of a source.
type Source struct {
	Name string
	Limits
	Has compute.Resources // the size that its keys give each instance; a zero: no key says
	// Binds means that nobody gets more than Has, as the instances' machine must not give more.
	Binds bool
	// Grows means that a larger request makes a larger instance. Callers other than the owner then
	// need a key that allows it.
	Grows bool
	// NoGPUs means that its instances never have a GPU.
	NoGPUs bool
}

// OfPool returns the rules of a pool. What the pool's keys do not limit is left to the rules of its
// sources.
func (s Source) OfPool() Source {
	all := []string{anything}
	for _, names := range []*[]string{&s.Images, &s.Flavors, &s.Locations} {
		if *names == nil {
			*names = all
		}
	}
	if s.UserData == nil {
		yes := true
		s.UserData = &yes
	}
	s.Has, s.Binds, s.Grows, s.NoGPUs = compute.Resources{}, false, false, false
	return s
}

// anything is a pattern that allows every name. No key can contain it.
const anything = "\x00"

// local holds prefixes of image names that refer to the machine itself: its files, its container
// engine, or images it has pulled or made for anybody (sha256: and localhost/).
var local = []string{
	"/", ".", "~", "dir:", "oci:", "oci-archive:", "docker-archive:", "docker-daemon:", "file:", "host:", "sha256:",
	"localhost/",
}

// archives holds suffixes of image names that are taken for a file if there is one.
var archives = []string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2", ".raw", ".img", ".iso", ".qcow2"}

// Local reports whether an image name refers to the machine that makes the computer: its root, a
// file, a directory, or an image of its container engine. Only the same name in a key allows it,
// never a pattern.
func Local(image string) bool {
	image = strings.ToLower(strings.TrimSpace(image))
	begins := func(s string) bool { return strings.HasPrefix(image, s) }
	ends := func(s string) bool { return strings.HasSuffix(image, s) }
	return image == "host" || slices.ContainsFunc(local, begins) || slices.ContainsFunc(archives, ends)
}

// Root reports whether an image name means the root of this machine's file system, or what
// sandboxes show of it.
func Root(image string) bool {
	image = strings.TrimSpace(image)
	if image == "host" || strings.HasPrefix(image, "host:") {
		return true
	}
	dir, named := strings.CutPrefix(image, "dir:")
	return (named || strings.HasPrefix(dir, "/")) && path.Clean("/"+dir) == "/"
}

// matchImage reports whether a pattern allows an image name. Nothing allows the root of this
// machine.
func matchImage(pattern, image string) bool {
	if Local(image) {
		return pattern == image && !Root(image)
	}
	return match(strings.TrimPrefix(pattern, "docker://"), strings.TrimPrefix(image, "docker://"))
}

// Allows reports whether the limits of a source let callers other than the owner choose an image.
func Allows(l Limits, image string) bool { return allowed(l.Images, image, matchImage) }

// match reports whether a pattern allows a name. A name with empty parts, "." or ".." is allowed
// only by itself.
func match(pattern, name string) bool {
	if pattern == name {
		return true
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" && strings.Contains(name, "/") || part == "." || part == ".." {
			return false
		}
	}
	if strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '\\' }) {
		return false
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// CheckPattern returns what is wrong with a pattern, or nil.
func CheckPattern(pattern string) error {
	_, err := path.Match(pattern, "")
	return err
}
