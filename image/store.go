package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image/layer"
	"github.com/hostler-project/hostler/policy/fetch"
)

// Options configure a Store; the zero value has the defaults.
type Options struct {
	Registry Registry `json:"-"` // nil: nothing comes from registries
	// registries, host[:port], without TLS; this machine's own are so anyway
	Insecure []string
	// the docker daemon's; "": from DOCKER_HOST, else /var/run/docker.sock
	DockerSocket string
	Limits       Limits // of an image
	Jobs         int    // layers fetched and unpacked at once; 0: one a core, two at least
	// how long a registry may send nothing before the connection is given up and made anew; 0: a
	// minute
	Stall  time.Duration
	Others *Others `json:"-"` // nil: all images are the owner's to name
	// judges the way to registries for images that are the owner's to name; nil: they are asked
	// wherever they are
	Guard *fetch.Guard `json:"-"`
}

// Limits bound what one image may unpack to. The zero value stands for the defaults.
type Limits struct {
	Size    int64 // bytes of all its files, holes in them too; 0: 32 GiB
	Entries int   // files, directories and links; 0: a million
	Ratio   int   // how much larger than its archive it may be, beyond 256 MiB; 0: 100 times
}

func (l Limits) budget() *layer.Budget { return layer.NewBudget(l.Size, l.Entries, l.Ratio) }

// A Store holds images in a directory. Many goroutines may call its methods, and many processes may
// share a directory.
type Store struct {
	tree tree
	opt  Options
	own  bool // this process may give files to other users
}

// Open opens the store in dir, an absolute path, and makes it if need be. Only its owner may use
// it: a store holds set-uid programs of strangers.
func Open(dir string, opt Options) (*Store, error) {
	s := &Store{tree: tree{filepath.Clean(dir), layer.BootID()}, opt: opt, own: os.Geteuid() == 0}
	if !filepath.IsAbs(dir) {
		return nil, failed("Open", "", compute.ErrInvalid, fmt.Errorf("%s: not an absolute path", dir), "")
	}
	if _, err := os.Lstat(filepath.Join(s.tree.dir, "tmp")); err != nil {
		if err := s.tree.make(); err != nil {
			return nil, failed("Open", "", compute.ErrFailed, err, "")
		}
	}
	info, err := os.Stat(s.tree.dir)
	if err != nil {
		return nil, failed("Open", "", compute.ErrFailed, err, "")
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return nil, failed(
			"Open", "", compute.ErrDenied, fmt.Errorf("%s belongs to another user", s.tree.dir),
			"set XDG_CACHE_HOME to a directory of your own",
		)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(s.tree.dir, 0o700); err != nil {
			return nil, failed("Open", "", compute.ErrDenied, err, "")
		}
	}
	return s, nil
}

// Options returns what the store was opened with.
func (s *Store) Options() Options { return s.opt }

// TempDir makes a directory in the store. done removes it; GC does when this process is gone.
func (s *Store) TempDir() (dir string, done func(), err error) { return s.tree.tempDir() }

// Dir returns the store's directory.
func (s *Store) Dir() string { return s.tree.dir }

// record is an image's file.
type record struct {
	Digest   string        `json:"digest"`
	Manifest string        `json:"manifest,omitempty"`
	Platform Platform      `json:"platform"`
	Config   Config        `json:"config"`
	Layers   []layerRecord `json:"layers"`
	Patched  bool          `json:"patched,omitempty"` // it has a patch layer on top
	Built    time.Time     `json:"built,omitzero"`
	Created  time.Time     `json:"created"`
	durability
}

// image reads the image of a digest.
func (s *Store) image(digest string) (Image, error) {
	var r record
	file := s.tree.imageFile(digest)
	if err := readJSON(file, &r); err != nil {
		return Image{}, err
	}
	if !r.counts(s.tree.boot) || r.Digest != digest {
		return Image{}, fs.ErrNotExist
	}
	info, err := os.Stat(file)
	if err != nil {
		return Image{}, err
	}
	img := Image{
		Digest: r.Digest, Manifest: r.Manifest, Platform: r.Platform, Config: r.Config, Built: r.Built,
		Created: r.Created, Used: info.ModTime(), Owners: true,
	}
	for _, l := range r.Layers {
		dir := filepath.Join(s.tree.layerDir(l.DiffID), "fs")
		if _, err := os.Lstat(dir); err != nil {
			return Image{}, err
		}
		img.Layers = append(img.Layers, Layer{l.DiffID, dir, l.Size})
		img.Size += l.Size
		img.Owners = img.Owners && l.Owners
	}
	if r.Patched {
		img.Layers = append(img.Layers, Layer{Dir: filepath.Join(s.tree.patchDir(digest), "fs")})
	}
	return img, nil
}

// Find returns the local image of a name, without any request: a name as for Pull, or "sha256:" and
// a digest or its unique beginning. It does not find an archive or a layout that has changed since.
// The error is compute.ErrNotFound.
func (s *Store) Find(ref string) (Image, error) {
	if strings.HasPrefix(ref, "sha256:") {
		return s.findDigest(ref)
	}
	r, err := parse(ref)
	if err != nil {
		return Image{}, err
	}
	return s.find(r)
}

// find returns ErrNotFound also for an image whose file has changed since it was unpacked.
func (s *Store) find(r Reference) (Image, error) {
	if r.Kind == FromDir {
		return s.directory(r)
	}
	var n nameRecord
	err := readJSON(s.tree.nameFile(r.Name), &n)
	if errors.Is(err, fs.ErrNotExist) && r.Registry == (Name{}) { // perhaps it has another name
		var bad error
		if r, bad = r.read(s.opt.Registry, s.opt.Insecure); bad != nil {
			return Image{}, bad
		}
		err = readJSON(s.tree.nameFile(r.Name), &n)
	}
	if err == nil && n.Stamp != "" {
		if now, e := stampOf(r); e == nil && now != n.Stamp {
			return Image{}, failed(
				"Find", r.Name, compute.ErrNotFound, errors.New("it was changed since it was unpacked"),
				"hostler image pull "+r.Name,
			)
		}
	}
	var img Image
	if err == nil {
		img, err = s.image(n.Digest)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Image{}, failed(
			"Find", r.Name, compute.ErrNotFound, errors.New("no image of this name here"),
			s.near(r.Name, "hostler image pull "+r.Name),
		)
	case err != nil:
		return Image{}, failed("Find", r.Name, compute.ErrFailed, err, "")
	}
	img.Name = r.Name
	return img, nil
}

// shortestDigest is the least number of digits of a digest that name an image.
const shortestDigest = 6

// findDigest finds an image by its digest, by its manifest's, or by the first digits of its own.
// ErrInvalid says that several begin so.
func (s *Store) findDigest(digest string) (Image, error) {
	all, err := s.List()
	if err != nil {
		return Image{}, err
	}
	var found []Image
	for _, img := range all {
		if img.Digest == digest || img.Manifest == digest ||
			len(digest) >= len("sha256:")+shortestDigest && strings.HasPrefix(img.Digest, digest) {
			if len(found) == 0 || found[0].Digest != img.Digest {
				found = append(found, img)
			}
		}
	}
	switch len(found) {
	case 0:
		return Image{}, failed("Find", digest, compute.ErrNotFound, errors.New("no image of this digest here"), "hostler image list")
	case 1:
		return found[0], nil
	}
	return Image{}, failed("Find", digest, compute.ErrInvalid, errors.New("several images begin so"), "give more digits")
}

// directory returns a plain directory as an image.
func (s *Store) directory(r Reference) (Image, error) {
	info, err := os.Stat(r.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return Image{}, failed("Find", r.Name, compute.ErrNotFound, errors.New("no such directory"), "")
	}
	if err == nil && !info.IsDir() {
		err = errors.New("not a directory")
	}
	if err != nil {
		return Image{}, failed("Find", r.Name, compute.ErrInvalid, err, "")
	}
	real, err := filepath.EvalSymlinks(r.Path)
	if err != nil {
		return Image{}, failed("Find", r.Name, compute.ErrInvalid, err, "")
	}
	return Image{Name: r.Name, Layers: []Layer{{Dir: real}}, Created: info.ModTime(), Owners: true}, nil
}

// stampOf identifies the state of an image's source file, or of its layout's index; "": no file.
func stampOf(r Reference) (string, error) {
	file := r.Path
	switch r.Kind {
	case FromLayout:
		file = filepath.Join(r.Path, "index.json")
	case FromArchive:
	default:
		return "", nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	stamp := fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		stamp += fmt.Sprintf(" %d %d", st.Dev, st.Ino)
	}
	return stamp, nil
}
