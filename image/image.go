package image

import (
	"runtime"
	"slices"
	"strings"
	"time"
)

// An Image is a local root file system, with its author's configuration.
type Image struct {
	// the requested name, in full; "": an image that lost its name to a newer one
	Name string
	// of its configuration, "sha256:..."; "": a plain directory, which the store does not keep
	Digest   string
	Manifest string   // the digest that a registry knows it by; "": none known
	Platform Platform // that it was made for; zero: unknown, as of a directory
	Layers   []Layer  // bottom first
	Config   Config
	Size     int64     // bytes of all files of its layers
	Built    time.Time // by its maker; zero: unknown
	Created  time.Time // when it was brought here
	Used     time.Time // last taken or touched
	// files have the owners that the image says; else all belong to the user that unpacked it
	Owners bool
}

// A Layer is one directory of an image.
type Layer struct {
	// the digest of its uncompressed archive; "": a plain directory, or one that the store made,
	// with the modes of others' directories
	DiffID string
	Dir    string // an absolute path; read only
	Size   int64  // bytes of its files
}

// Config is an image's own account of itself. The image's author wrote it, so it is not trusted.
type Config struct {
	User         string            // "name", "uid", "name:group", ...: see LookupUser
	Env          []string          // NAME=VALUE
	Entrypoint   []string          // the program that an image is made for, before Cmd
	Cmd          []string          // what to run, or the arguments of Entrypoint
	WorkingDir   string            // "": /
	Labels       map[string]string // anything
	ExposedPorts []string          // "80/tcp", sorted
	Volumes      []string          // directories that are meant to be mounts, sorted
	StopSignal   string            // "SIGTERM"; "": not said
}

// Dirs returns the directories of the layers, bottom first.
func (i Image) Dirs() []string {
	out := make([]string, len(i.Layers))
	for n, l := range i.Layers {
		out[n] = l.Dir
	}
	return out
}

// A Platform is what an image runs on, in the words of OCI, which for Arch are Go's. The zero
// Platform is this machine's.
type Platform struct {
	OS      string // "linux"
	Arch    string // "amd64"
	Variant string // "v7"; "": any
}

// ParsePlatform reads "linux/arm64", "linux/arm/v7", or "arm64" alone.
func ParsePlatform(s string) (Platform, bool) {
	parts := strings.Split(s, "/")
	if len(parts) == 1 {
		parts = []string{"linux", s}
	}
	if len(parts) > 3 || slices.Contains(parts, "") {
		return Platform{}, false
	}
	return Platform{parts[0], parts[1], strings.Join(parts[2:], "")}, true
}

// String returns "linux/arm/v7".
func (p Platform) String() string {
	if p == (Platform{}) {
		return ""
	}
	return strings.TrimSuffix(p.OS+"/"+p.Arch+"/"+p.Variant, "/")
}

// here is the platform of images that run on this machine: containers are Linux's.
func (p Platform) here() Platform {
	if p == (Platform{}) {
		return Platform{OS: "linux", Arch: runtime.GOARCH}
	}
	return p
}

// suits reports whether an image for p may be taken where want is wanted.
func (p Platform) suits(want Platform) bool {
	return p.OS == want.OS && p.Arch == want.Arch && (want.Variant == "" || p.Variant == want.Variant)
}
