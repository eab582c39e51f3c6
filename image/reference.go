package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// A Registry knows registries: their rules for names, and how to fetch from them. That needs much
// code, so a Store gets it from its caller. Package registry has it, and package subprocess has
// another program do it.
type Registry interface {
	// Read reads the name of a registry's image. insecure are the registries without TLS.
	Read(name string, insecure []string) (Name, error)
	// Fetch brings the image of r, of the kind FromRegistry, into s.
	Fetch(ctx context.Context, s *Store, r Reference, opt PullOptions) (Image, error)
	// Login returns what the user's configuration of docker or podman has for the registry of a
	// name, in the form that docker's API wants; "": nothing.
	Login(ctx context.Context, name string) (string, error)
}

// A Name is a registry's name of an image, read by the rules of registries.
type Name struct {
	Full       string // HOST/REPOSITORY:TAG, or with @DIGEST
	Host       string // with the port, if it has one
	Repository string // with the host
	Identifier string // the tag or the digest
	Tagged     bool   // Identifier is a tag
	Plain      bool   // the registry has no TLS
}

// ReadName reads a registry's name of an image. by may be nil.
func ReadName(by Registry, text string, insecure []string) (Name, error) {
	if by == nil {
		return Name{}, failed("Parse", text, compute.ErrUnavailable, errors.New("this program knows no registries"),
			"a Go program sets Registry in host.Options to registry.Client{}, of the package image/registry")
	}
	return by.Read(text, insecure)
}

// familiar returns the short form: without the default host and directory.
func (n Name) familiar() string {
	if rest, ok := strings.CutPrefix(n.Full, defaultHost); ok {
		return strings.TrimPrefix(rest, defaultDirectory)
	}
	return n.Full
}

// The default parts of a registry's name.
const (
	defaultHost      = "index.docker.io/"
	defaultDirectory = "library/"
)

// expected returns the familiar name of a text, provided that it is a right name. It finds images
// that are here without the rules of registries. Where a text has a digest, its tag does not count.
func expected(text string) string {
	for _, host := range []string{defaultHost, "docker.io/"} {
		if rest, ok := strings.CutPrefix(text, host); ok {
			text = rest
			break
		}
	}
	text = strings.TrimPrefix(text, defaultDirectory)
	name, digest, pinned := strings.Cut(text, "@")
	tagged := strings.LastIndexByte(name, ':') > strings.LastIndexByte(name, '/')
	switch {
	case pinned && tagged:
		return name[:strings.LastIndexByte(name, ':')] + "@" + digest
	case !pinned && !tagged:
		return text + ":latest"
	}
	return text
}

// Kind is the kind of an image's source.
type Kind int

const (
	FromRegistry Kind = iota
	FromLayout        // an OCI layout directory
	FromArchive       // a tar file with an image or a root file system in it: its content tells
	FromDaemon        // the local docker daemon
	FromDir           // a plain directory with a root file system
)

// Reference is a parsed name of an image.
type Reference struct {
	Kind     Kind
	Name     string // in full: the same for every way to write it
	Path     string // of files; absolute
	Tag      string // within them, or of the daemon
	Form     string // of an archive: "", "docker", "oci"
	Registry Name   // of FromRegistry and FromDaemon; zero: not read yet, and Name is expected
	Asked    string // as the caller wrote it

	text string // what Registry is read from
}

const refHint = "NAME[:TAG|@DIGEST], docker://NAME, oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG], " +
	"docker-daemon:NAME[:TAG], dir:DIR, or the path of a tarball or directory"

// named returns a reference that a registry's name leads to, before it is read.
func named(kind Kind, text string) Reference {
	r := Reference{Kind: kind, text: text, Name: expected(text)}
	if kind == FromDaemon {
		r.Tag, r.Name = r.Name, "docker-daemon:"+r.Name
	}
	return r
}

// read completes a reference by the rules of registries.
func (r Reference) read(by Registry, insecure []string) (Reference, error) {
	if r.text == "" || r.Registry != (Name{}) {
		return r, nil
	}
	id := r.text
	if r.Kind == FromDaemon {
		id, insecure = "docker-daemon:"+id, nil
	}
	n, err := ReadName(by, r.text, insecure)
	if err != nil {
		return Reference{}, failed("Parse", id, compute.ErrInvalid, err, refHint)
	}
	r.Registry, r.Name = n, n.familiar()
	if r.Kind == FromDaemon {
		r.Tag, r.Name = r.Name, "docker-daemon:"+r.Name
	}
	return r, nil
}

// host returns the registry's host.
func (r Reference) host() string {
	if r.Kind == FromDaemon {
		return ""
	}
	return r.Registry.Host
}

// archiveEnds are the suffixes of archives, for names of existing files.
var archiveEnds = [...]string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2"}

// Parse parses the name of an image, as for Pull.
func (s *Store) Parse(ref string) (Reference, error) {
	r, err := parse(ref)
	if err != nil {
		return r, err
	}
	return r.read(s.opt.Registry, s.opt.Insecure)
}

// parse parses a reference as far as it can without the rules of registries.
func parse(ref string) (Reference, error) {
	bad := func(err error, hint string) (Reference, error) {
		return Reference{}, &compute.Error{Op: "image.Parse", ID: compute.ID(ref), Kind: compute.ErrInvalid, Err: err, Hint: hint}
	}
	if ref == "" || strings.ContainsFunc(ref, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return bad(errors.New("not the name of an image"), refHint)
	}
	if home, err := os.UserHomeDir(); err == nil {
		ref = InHome(ref, home)
	}
	scheme, rest, _ := strings.Cut(ref, ":")
	switch scheme {
	case "oci", "oci-archive", "docker-archive", "dir":
		path, tag := rest, ""
		if scheme != "dir" {
			path, tag = cutTag(rest)
		}
		if path == "" {
			return bad(fmt.Errorf("%s: needs a path", scheme), refHint)
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return bad(err, "")
		}
		r := Reference{Kind: FromArchive, Path: abs, Tag: tag, Name: scheme + ":" + abs}
		switch scheme {
		case "oci":
			r.Kind = FromLayout
		case "dir":
			r.Kind = FromDir
		default:
			r.Form, _, _ = strings.Cut(scheme, "-")
		}
		if tag != "" {
			r.Name += ":" + tag
		}
		return r, nil
	case "docker-daemon":
		return named(FromDaemon, rest), nil
	case "docker":
		ref = strings.TrimPrefix(rest, "//")
	default:
		if r, ok, err := parsePath(ref); err != nil {
			return bad(err, "")
		} else if ok {
			return r, nil
		}
	}
	return named(FromRegistry, ref), nil
}

// InHome expands a leading "~/" of a file's name. It leaves other names as they are, and all of
// them where home is "".
func InHome(ref, home string) string {
	scheme, path := "", ref
	if s, rest, ok := strings.Cut(ref, ":"); ok && slices.Contains([]string{"oci", "oci-archive", "docker-archive", "dir"}, s) {
		scheme, path = s+":", rest
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok && home != "" {
		return scheme + filepath.Join(home, rest)
	}
	return ref
}

// parsePath parses the name of a file or directory without a scheme.
func parsePath(ref string) (Reference, bool, error) {
	isPath := filepath.IsAbs(ref) || strings.HasPrefix(ref, "./") || strings.HasPrefix(ref, "../") || ref == "." || ref == ".."
	isTar := slices.ContainsFunc(archiveEnds[:], func(end string) bool { return strings.HasSuffix(ref, end) })
	if !isPath && !isTar {
		return Reference{}, false, nil
	}
	abs, err := filepath.Abs(ref)
	if err != nil {
		return Reference{}, false, err
	}
	info, err := os.Stat(abs)
	switch {
	case err != nil && !isPath && ofRegistry(ref): // a repository's name may end so too
		return Reference{}, false, nil
	case errors.Is(err, fs.ErrNotExist) && isTar:
		// an image from a file that is gone may be asked for by its name
		return Reference{Kind: FromArchive, Path: abs, Name: abs}, true, nil
	case errors.Is(err, fs.ErrNotExist):
		return Reference{Kind: FromDir, Path: abs, Name: "dir:" + abs}, true, nil
	case err != nil:
		return Reference{}, false, err
	case !info.IsDir():
		return Reference{Kind: FromArchive, Path: abs, Name: abs}, true, nil
	case !isPath:
		return Reference{}, false, nil
	}
	if _, err := os.Lstat(filepath.Join(abs, "oci-layout")); err == nil {
		return Reference{Kind: FromLayout, Path: abs, Name: "oci:" + abs}, true, nil
	}
	return Reference{Kind: FromDir, Path: abs, Name: "dir:" + abs}, true, nil
}

// ofRegistry reports whether a name begins with a registry's host.
func ofRegistry(ref string) bool {
	host, _, more := strings.Cut(ref, "/")
	return more && (host == "localhost" || strings.ContainsAny(host, ".:"))
}

// cutTag cuts PATH[:TAG], where both may hold colons: an existing path has no tag.
func cutTag(s string) (path, tag string) {
	for at := len(s); at > 0; at = strings.LastIndexByte(s[:at], ':') {
		if _, err := os.Lstat(s[:at]); err == nil {
			return s[:at], strings.TrimPrefix(s[at:], ":")
		}
	}
	path, tag, _ = strings.Cut(s, ":")
	return path, tag
}
