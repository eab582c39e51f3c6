package cache

import (
	"compress/gzip"
	"context"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// Where uploads fail they are tried so often, with a pause between.
const (
	uploadTries = 3
	uploadPause = 30 * time.Minute
)

// maxRelease is the most that a release may have, packed; unpacked it may have ten times as much.
const maxRelease = 64 << 30

// Releases fetches and uploads whole software releases. Its fields are set before the first call.
type Releases struct {
	Here Platform
	// Entries and Content are from where releases are fetched; nil: from nowhere.
	Entries *Directory
	Content *Store
	// EntriesTo and ContentTo are where to upload releases that were built here. Key signs them;
	// its certificate must be among the Signers of readers. nil: nowhere.
	EntriesTo *Directory
	ContentTo *Store
	Key       *rsa.PrivateKey
	// Prefixes of URLs: those releases are never fetched, never uploaded, or only fetched and never
	// built.
	NotFetched, NotUploaded, OnlyFetched []string
	// Log takes a line about each act. It may be nil.
	Log func(line string)
	// As runs file work with the rights of the releases' owner; the work must not hand any of it to
	// other goroutines. nil: with our own rights.
	As func(func() error) error
	// Pause is between the tries of an upload; 0 is half an hour.
	Pause time.Duration
}

func (r *Releases) say(format string, args ...any) {
	if r.Log != nil {
		r.Log(fmt.Sprintf(format, args...))
	}
}

func begins(url string, with []string) bool {
	for _, prefix := range with {
		if prefix != "" && strings.HasPrefix(url, prefix) {
			return true
		}
	}
	return false
}

// Fetch puts a release into its directory below a software root, if the cache has one that runs
// here and has a trusted signature: whole, or not at all. Any failure is logged, and the release is
// not there. It is an error only for a release that must be fetched.
func (r *Releases) Fetch(ctx context.Context, url, root string) (bool, error) {
	must := begins(url, r.OnlyFetched)
	if r.Entries == nil || r.Content == nil || !must && begins(url, r.NotFetched) {
		if must {
			return false, fmt.Errorf("%s is to come from the binary cache alone, and none is configured", url)
		}
		return false, nil
	}
	err := r.fetch(ctx, url, root)
	switch {
	case err == nil:
		r.say("The release is from the binary cache.")
		return true, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case must:
		return false, fmt.Errorf("%s is to come from the binary cache alone: %w", url, err)
	}
	r.say("The release is not from the binary cache: %v", err)
	return false, nil
}

// fetch unpacks into root the first entry for url that is trusted and runs here.
func (r *Releases) fetch(ctx context.Context, url, root string) error {
	entries, _, err := r.Entries.Entries(ctx, ReleaseKey(url))
	if err != nil {
		return err
	}
	for _, e := range entries {
		// a writer of the directory may put another release's entry under this key
		if e.Trusted && r.Here.Runs(&e) && e.Release == url {
			return r.unpacked(ctx, e.SHA512, url, root)
		}
	}
	return fmt.Errorf("it has none, of %d, that runs here and that a certificate of the list has signed", len(entries))
}

// asUser does file work with the rights of the releases' user.
func (r *Releases) asUser(f func() error) error {
	if r.As == nil {
		return f()
	}
	return r.As(f)
}

// tempFile is a file in a directory that has no name any more, so that none is left however we end.
func (r *Releases) tempFile(dir string) (f *os.File, err error) {
	err = r.asUser(func() error {
		if f, err = os.CreateTemp(dir, ".cache-*"); err == nil {
			err = os.Remove(f.Name())
		}
		return err
	})
	return f, err
}

// unpacked makes a release of a content.
func (r *Releases) unpacked(ctx context.Context, digest, url, root string) error {
	packed, err := r.tempFile(root)
	if err != nil {
		return err
	}
	defer packed.Close()
	// all of it is verified before any of it is made
	if err := r.Content.Get(ctx, digest, packed, maxRelease); err != nil {
		return err
	}
	if _, err := packed.Seek(0, io.SeekStart); err != nil {
		return err
	}
	name := sum(url)
	dir := filepath.Join(root, ".cache-"+name)
	return r.asUser(func() error {
		err := discard(dir) // of one that was killed
		if err == nil {
			err = os.Mkdir(dir, 0o755)
		}
		if err == nil {
			err = unpack(ctx, packed, dir, name)
		}
		if err == nil {
			if err = os.Rename(dir, filepath.Join(root, name)); err == nil {
				return nil
			}
		}
		return errors.Join(err, discard(dir))
	})
}

// discard takes a directory away, be it there or not, with what may not be written to in it.
func discard(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// A Packed is a release as it was when it was packed, for the cache.
type Packed struct {
	r                            *Releases
	url, digest, text, signature string
	file                         *os.File
	size                         int64
}

// Pack packs a built release, for [Packed.Send]. It is nil if the release is not to be uploaded, or
// there is no place to upload to.
func (r *Releases) Pack(ctx context.Context, url, dir string) (*Packed, error) {
	if r.EntriesTo == nil || r.ContentTo == nil || r.Key == nil || begins(url, r.NotUploaded) {
		return nil, nil
	}
	f, err := r.tempFile(filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	p := &Packed{r: r, url: url, file: f}
	hash := sha512.New()
	z := gzip.NewWriter(io.MultiWriter(f, hash))
	err = r.asUser(func() error { return pack(ctx, z, dir, sum(url)) })
	if err = errors.Join(err, z.Close()); err == nil {
		p.size, err = f.Seek(0, io.SeekCurrent)
	}
	p.digest = hex.EncodeToString(hash.Sum(nil))
	if err == nil {
		var text []byte
		text, err = json.Marshal(map[string]any{"software_url": url, "software_root": filepath.Dir(dir), "multiarch": r.Here.Multiarch,
			"os": []string{r.Here.OS.ID, r.Here.OS.Version, r.Here.OS.Codename}, "sha512": p.digest})
		p.text = string(text)
	}
	if err == nil {
		if p.signature, err = sign(p.text, r.Key); err != nil {
			err = &client.Error{Op: "sign", Kind: proto.ErrUnwritable, Err: err}
		}
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close removes the packed release.
func (p *Packed) Close() error { return p.file.Close() }

// Send uploads the release, and tries again and again if that fails.
func (p *Packed) Send(ctx context.Context) error {
	pause := p.r.Pause
	if pause == 0 {
		pause = uploadPause
	}
	for try := 1; ; try++ {
		err := p.send(ctx)
		if err == nil || ctx.Err() != nil || try == uploadTries {
			return err
		}
		p.r.say("The release cannot be uploaded, which is tried again in %s: %v", pause, err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func (p *Packed) send(ctx context.Context) error {
	if err := p.r.ContentTo.Put(ctx, p.digest, io.NewSectionReader(p.file, 0, p.size), p.size); err != nil {
		return err
	}
	return p.r.EntriesTo.Add(ctx, ReleaseKey(p.url), p.text, p.signature)
}

// Upload packs a release and sends it. It returns nil too if the release is not to be uploaded, or
// there is no place to upload to.
func (r *Releases) Upload(ctx context.Context, url, dir string) error {
	p, err := r.Pack(ctx, url, dir)
	if p == nil || err != nil {
		return err
	}
	return errors.Join(p.Send(ctx), p.Close())
}
