package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/hostler-project/hostler/compute"
)

// from is the kind of an image's source.
type from int

const (
	fromRegistry from = iota
	fromLayout        // an OCI layout directory
	fromArchive       // a tar file with an image or a root file system in it: its content tells
	fromDaemon        // the local docker daemon
	fromDir           // a plain directory with a root file system
)

// reference is a parsed name of an image.
type reference struct {
	kind from
	name string         // in full: the same for every way to write it
	path string         // of files; absolute
	tag  string         // within them, or of the daemon
	want string         // of an archive: "", "docker", "oci"
	reg  name.Reference // of a registry

	asked string // as the caller wrote it
}

// host returns the registry's host.
func (r reference) host() string {
	if r.reg == nil {
		return ""
	}
	return r.reg.Context().RegistryStr()
}

// archiveEnds are the suffixes of archives, for names of existing files.
var archiveEnds = [...]string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2"}

// parse parses a reference. insecure are the registries without TLS.
func parse(ref string, insecure []string) (reference, error) {
	bad := func(err error, hint string) (reference, error) {
		return reference{}, &compute.Error{Op: "image.Parse", ID: compute.ID(ref), Kind: compute.ErrInvalid, Err: err, Hint: hint}
	}
	const hint = "NAME[:TAG|@DIGEST], docker://NAME, oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG], docker-daemon:NAME[:TAG], dir:DIR, or the path of a tarball or directory"
	if ref == "" || strings.ContainsFunc(ref, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return bad(errors.New("not the name of an image"), hint)
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
			return bad(fmt.Errorf("%s: needs a path", scheme), hint)
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return bad(err, "")
		}
		r := reference{kind: fromArchive, path: abs, tag: tag, name: scheme + ":" + abs}
		switch scheme {
		case "oci":
			r.kind = fromLayout
		case "dir":
			r.kind = fromDir
		default:
			r.want, _, _ = strings.Cut(scheme, "-")
		}
		if tag != "" {
			r.name += ":" + tag
		}
		return r, nil
	case "docker-daemon":
		n, err := name.ParseReference(rest)
		if err != nil {
			return bad(plainName(rest, err), hint)
		}
		return reference{kind: fromDaemon, tag: familiar(n), name: "docker-daemon:" + familiar(n)}, nil
	case "docker":
		ref = strings.TrimPrefix(rest, "//")
	default:
		if r, ok, err := parsePath(ref); err != nil {
			return bad(err, "")
		} else if ok {
			return r, nil
		}
	}
	n, err := name.ParseReference(ref)
	if err != nil {
		return bad(plainName(ref, err), hint)
	}
	if slices.Contains(insecure, n.Context().RegistryStr()) {
		n, err = name.ParseReference(ref, name.Insecure)
		if err != nil {
			return bad(plainName(ref, err), hint)
		}
	}
	return reference{kind: fromRegistry, reg: n, name: familiar(n)}, nil
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
func parsePath(ref string) (reference, bool, error) {
	isPath := filepath.IsAbs(ref) || strings.HasPrefix(ref, "./") || strings.HasPrefix(ref, "../") || ref == "." || ref == ".."
	isTar := slices.ContainsFunc(archiveEnds[:], func(end string) bool { return strings.HasSuffix(ref, end) })
	if !isPath && !isTar {
		return reference{}, false, nil
	}
	abs, err := filepath.Abs(ref)
	if err != nil {
		return reference{}, false, err
	}
	info, err := os.Stat(abs)
	switch {
	case err != nil && !isPath && ofRegistry(ref): // a repository's name may end so too
		return reference{}, false, nil
	case errors.Is(err, fs.ErrNotExist) && isTar:
		// an image from a file that is gone may be asked for by its name
		return reference{kind: fromArchive, path: abs, name: abs}, true, nil
	case errors.Is(err, fs.ErrNotExist):
		return reference{kind: fromDir, path: abs, name: "dir:" + abs}, true, nil
	case err != nil:
		return reference{}, false, err
	case !info.IsDir():
		return reference{kind: fromArchive, path: abs, name: abs}, true, nil
	case !isPath:
		return reference{}, false, nil
	}
	if _, err := os.Lstat(filepath.Join(abs, "oci-layout")); err == nil {
		return reference{kind: fromLayout, path: abs, name: "oci:" + abs}, true, nil
	}
	return reference{kind: fromDir, path: abs, name: "dir:" + abs}, true, nil
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

// familiar writes a registry's reference in the short form: without the default host and directory.
func familiar(n name.Reference) string {
	full := n.Name()
	if rest, ok := strings.CutPrefix(full, name.DefaultRegistry+"/"); ok {
		return strings.TrimPrefix(rest, "library/")
	}
	return full
}

// plainName shortens the library's error for a bad name, which may be the name alone.
func plainName(ref string, err error) error {
	text := strings.TrimPrefix(err.Error(), "could not parse reference: ")
	if text == ref {
		return errors.New(
			"not the name of an image: of small letters, digits, dots, dashes and slashes, with a host before it and a tag behind",
		)
	}
	return errors.New(text)
}
