package policy

import (
	"path"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// Limits are what the keys of a source, or of a project, let a request choose.
type Limits struct {
	// Patterns of what may be named, as path.Match has them. nil: there is no key. Empty: nothing
	// may be named.
	Images, Flavors, Locations []string
	// whether a request may bring user data; nil: there is no key
	UserData *bool
	// how much a request may ask for; a zero: there is no key
	Most compute.Amount
}

// Source is what the rules know of a source.
type Source struct {
	Name string
	Limits
	Has compute.Amount // the size that its own keys give each instance; a zero: no key says
	// Binds is whether Has binds everybody: each instance is made on a machine that is not to give
	// more.
	Binds bool
	// Grows is whether a larger request makes a larger instance. Then others than the owner may ask
	// for no more than a key says.
	Grows bool
	// NoGPUs is whether its instances never have a GPU.
	NoGPUs bool
}

// OfPool is the rules of a pool, whose sources have rules of their own: the pool's keys count, and
// what it does not say is left to its sources.
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
	s.Has, s.Binds, s.Grows, s.NoGPUs = compute.Amount{}, false, false, false
	return s
}

// anything is a name that allows all names. It is no pattern: no key can say it.
const anything = "\x00"

// local are the beginnings of image names that mean something of the machine itself: its files, its
// container engine, or what it has pulled or made for anybody (sha256:, and of an engine
// localhost/).
var local = []string{
	"/", ".", "~", "dir:", "oci:", "oci-archive:", "docker-archive:", "docker-daemon:", "file:", "host:", "sha256:",
	"localhost/",
}

// archives are the ends of image names that are taken for files where there is one of that name.
var archives = []string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2", ".raw", ".img", ".iso", ".qcow2"}

// Local reports whether the name of an image means something of the machine that makes the
// computer: its root, a file, a directory, an image of its container engine. Such a name is allowed
// by the same words alone, never by a pattern.
func Local(image string) bool {
	image = strings.ToLower(strings.TrimSpace(image))
	begins := func(s string) bool { return strings.HasPrefix(image, s) }
	ends := func(s string) bool { return strings.HasSuffix(image, s) }
	return image == "host" || slices.ContainsFunc(local, begins) || slices.ContainsFunc(archives, ends)
}

// Root reports whether the name of an image means the root of this machine's file system: all of
// it, or what sandboxes show of it, with a working tree or without.
func Root(image string) bool {
	image = strings.TrimSpace(image)
	if image == "host" || strings.HasPrefix(image, "host:") {
		return true
	}
	dir, named := strings.CutPrefix(image, "dir:")
	return (named || strings.HasPrefix(dir, "/")) && path.Clean("/"+dir) == "/"
}

// matchImage reports whether a pattern allows the name of an image. Nothing allows the root of this
// machine.
func matchImage(pattern, image string) bool {
	if Local(image) {
		return pattern == image && !Root(image)
	}
	return match(strings.TrimPrefix(pattern, "docker://"), strings.TrimPrefix(image, "docker://"))
}

// Allows reports whether the limits of a source let others than the owner choose an image.
func Allows(l Limits, image string) bool { return allowed(l.Images, image, matchImage) }

// match reports whether a pattern allows a name. A name with empty parts, or with parts that lead
// elsewhere, is allowed by nothing but itself.
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

// CheckPattern says what is wrong with a pattern, or nil.
func CheckPattern(pattern string) error {
	_, err := path.Match(pattern, "")
	return err
}
