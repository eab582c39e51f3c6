package image

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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
	// registries, host[:port], without TLS; this machine's own are so anyway
	Insecure []string
	// the docker daemon's; "": from DOCKER_HOST, else /var/run/docker.sock
	DockerSocket string
	Limits       Limits // of an image
	Jobs         int    // layers fetched and unpacked at once; 0: one a core, two at least
	Stall        time.Duration
	// how long a registry may send nothing before the connection is given up and made anew; 0: a
	// minute
	Others *Others // nil: all images are the owner's to name
	Guard  *fetch.Guard
	// judges the way to registries for images that are the owner's to name; nil: they are asked
	// wherever they are
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
	dir  string
	opt  Options
	boot string
	own  bool // this process may give files to other users
}

// Open opens the store in dir, an absolute path, and makes it if need be. Only its owner may use
// it: a store holds set-uid programs of strangers.
func Open(dir string, opt Options) (*Store, error) {
	s := &Store{dir: filepath.Clean(dir), opt: opt, boot: layer.BootID(), own: os.Geteuid() == 0}
	if !filepath.IsAbs(dir) {
		return nil, failed("Open", "", compute.ErrInvalid, fmt.Errorf("%s: not an absolute path", dir), "")
	}
	if _, err := os.Lstat(filepath.Join(s.dir, "tmp")); err != nil {
		if err := s.make(); err != nil {
			return nil, failed("Open", "", compute.ErrFailed, err, "")
		}
	}
	info, err := os.Stat(s.dir)
	if err != nil {
		return nil, failed("Open", "", compute.ErrFailed, err, "")
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return nil, failed(
			"Open", "", compute.ErrDenied, fmt.Errorf("%s belongs to another user", s.dir),
			"set XDG_CACHE_HOME to a directory of your own",
		)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(s.dir, 0o700); err != nil {
			return nil, failed("Open", "", compute.ErrDenied, err, "")
		}
	}
	return s, nil
}

// Dir returns the store's directory.
func (s *Store) Dir() string { return s.dir }

func (s *Store) make() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	for _, d := range []string{"layers", "images", "names", "uses", "locks", "tmp"} {
		if err := os.Mkdir(filepath.Join(s.dir, d), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	const tag = "Signature: 8a477f597d28d172789f06886806bc55\n# Images that hostler unpacked: they can be fetched again. See https://bford.info/cachedir/\n"
	return os.WriteFile(filepath.Join(s.dir, "CACHEDIR.TAG"), []byte(tag), 0o600)
}

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

// durability tells whether a record and its files would survive a loss of power. Files that were
// not synced before the machine's last start are not trusted.
type durability struct {
	Boot   string `json:"boot,omitempty"`
	Synced bool   `json:"synced,omitempty"`
}

func (d durability) counts(boot string) bool { return d.Synced || d.Boot == boot }

// nameRecord is a name's file.
type nameRecord struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Stamp  string `json:"stamp,omitempty"` // of the file that the image came from
}

func fileOf(digest string) string { return strings.Replace(digest, ":", "-", 1) }

func (s *Store) layerDir(diffID string) string { return filepath.Join(s.dir, "layers", fileOf(diffID)) }
func (s *Store) patchDir(digest string) string {
	return filepath.Join(s.dir, "images", fileOf(digest)+".top")
}
func (s *Store) imageFile(digest string) string {
	return filepath.Join(s.dir, "images", fileOf(digest)+".json")
}
func (s *Store) nameFile(name string) string {
	return filepath.Join(s.dir, "names", short(name)+".json")
}

// short derives a file's name from a text that may be long or hold slashes.
func short(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// readJSON reads a file of the store. A missing file, or one cut off by a loss of power, is
// fs.ErrNotExist.
func readJSON(file string, v any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if json.Unmarshal(data, v) != nil {
		return fmt.Errorf("%s: %w", file, fs.ErrNotExist)
	}
	return nil
}

// writeJSON writes a file of the store; it appears complete.
func (s *Store) writeJSON(file string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Join(s.dir, "tmp"), "new-")
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// image reads the image of a digest.
func (s *Store) image(digest string) (Image, error) {
	var r record
	file := s.imageFile(digest)
	if err := readJSON(file, &r); err != nil {
		return Image{}, err
	}
	if !r.counts(s.boot) || r.Digest != digest {
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
		dir := filepath.Join(s.layerDir(l.DiffID), "fs")
		if _, err := os.Lstat(dir); err != nil {
			return Image{}, err
		}
		img.Layers = append(img.Layers, Layer{l.DiffID, dir, l.Size})
		img.Size += l.Size
		img.Owners = img.Owners && l.Owners
	}
	if r.Patched {
		img.Layers = append(img.Layers, Layer{Dir: filepath.Join(s.patchDir(digest), "fs")})
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
	r, err := parse(ref, s.opt.Insecure)
	if err != nil {
		return Image{}, err
	}
	return s.find(r)
}

func (s *Store) find(r reference) (Image, error) {
	if r.kind == fromDir {
		return s.directory(r)
	}
	var n nameRecord
	err := readJSON(s.nameFile(r.name), &n)
	if err == nil && n.Stamp != "" {
		if now, e := stampOf(r); e == nil && now != n.Stamp {
			return Image{}, failed(
				"Find", r.name, compute.ErrNotFound, errors.New("it was changed since it was unpacked"),
				"hostler image pull "+r.name,
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
			"Find", r.name, compute.ErrNotFound, errors.New("no image of this name here"),
			s.near(r.name, "hostler image pull "+r.name),
		)
	case err != nil:
		return Image{}, failed("Find", r.name, compute.ErrFailed, err, "")
	}
	img.Name = r.name
	return img, nil
}

// shortestDigest is the least number of digits of a digest that name an image.
const shortestDigest = 6

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
func (s *Store) directory(r reference) (Image, error) {
	info, err := os.Stat(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return Image{}, failed("Find", r.name, compute.ErrNotFound, errors.New("no such directory"), "")
	}
	if err == nil && !info.IsDir() {
		err = errors.New("not a directory")
	}
	if err != nil {
		return Image{}, failed("Find", r.name, compute.ErrInvalid, err, "")
	}
	real, err := filepath.EvalSymlinks(r.path)
	if err != nil {
		return Image{}, failed("Find", r.name, compute.ErrInvalid, err, "")
	}
	return Image{Name: r.name, Layers: []Layer{{Dir: real}}, Created: info.ModTime(), Owners: true}, nil
}

// stampOf identifies the state of an image's source file, or of its layout's index; "": no file.
func stampOf(r reference) (string, error) {
	file := r.path
	switch r.kind {
	case fromLayout:
		file = filepath.Join(r.path, "index.json")
	case fromArchive:
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
