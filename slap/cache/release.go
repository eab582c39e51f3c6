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
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hostler-project/hostler/slap"
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
	// EntriesTo and ContentTo are where those that were built here go, signed by Key, whose certificate is among the Signers of readers; nil: nowhere.
	EntriesTo *Directory
	ContentTo *Store
	Key       *rsa.PrivateKey
	// What a URL begins with: such are never fetched, never uploaded, and fetched or else not there.
	NotFetched, NotUploaded, OnlyFetched []string
	// Log is given a line of what happens; nil: nobody is.
	Log func(line string)
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

// Fetch puts a release into its directory below a software root, where the cache has one that runs here and that somebody signed who is trusted: whole, or
// not at all. It belongs to the owner of the root. Whatever goes wrong is a line of the log, and the release is not there; only of one that must be fetched it is an error.
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

func (r *Releases) fetch(ctx context.Context, url, root string) error {
	entries, _, err := r.Entries.Entries(ctx, ReleaseKey(url))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Trusted && r.Here.Runs(&e) && e.Release == url { // who may write there may put another's entry under this key
			return r.unpacked(ctx, e.SHA512, url, root)
		}
	}
	return fmt.Errorf("it has none, of %d, that runs here and that a certificate of the list has signed", len(entries))
}

// unpacked makes a release of a content.
func (r *Releases) unpacked(ctx context.Context, digest, url, root string) error {
	name := sum(url)
	packed, err := os.CreateTemp(root, "."+name+"-*.tar.gz")
	if err != nil {
		return err
	}
	defer os.Remove(packed.Name())
	defer packed.Close()
	if err := r.Content.Get(ctx, digest, packed, maxRelease); err != nil { // all of it is verified before any of it is made
		return err
	}
	if _, err := packed.Seek(0, io.SeekStart); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(root, "."+name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := unpack(ctx, packed, dir, name, root); err != nil {
		return err
	}
	return os.Rename(dir, filepath.Join(root, name))
}

// Upload gives a release that was built to the cache, again and again where that fails. It is nil too where the release is not to be given, or there is nobody to give it to.
func (r *Releases) Upload(ctx context.Context, url, dir string) error {
	if r.EntriesTo == nil || r.ContentTo == nil || r.Key == nil || begins(url, r.NotUploaded) {
		return nil
	}
	pause := r.Pause
	if pause == 0 {
		pause = uploadPause
	}
	for try := 1; ; try++ {
		err := r.upload(ctx, url, dir)
		if err == nil || ctx.Err() != nil || try == uploadTries {
			return err
		}
		r.say("The release cannot be uploaded, which is tried again in %s: %v", pause, err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func (r *Releases) upload(ctx context.Context, url, dir string) error {
	packed, err := os.CreateTemp(filepath.Dir(dir), "."+sum(url)+"-*.tar.gz")
	if err != nil {
		return err
	}
	defer os.Remove(packed.Name())
	defer packed.Close()
	hash := sha512.New()
	z := gzip.NewWriter(io.MultiWriter(packed, hash))
	if err := errors.Join(pack(ctx, z, dir, sum(url)), z.Close()); err != nil {
		return err
	}
	size, err := packed.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = packed.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	digest := hex.EncodeToString(hash.Sum(nil))
	if err := r.ContentTo.Put(ctx, digest, packed, size); err != nil {
		return err
	}
	text, err := json.Marshal(map[string]any{"software_url": url, "software_root": filepath.Dir(dir), "multiarch": r.Here.Multiarch,
		"os": []string{r.Here.OS.ID, r.Here.OS.Version, r.Here.OS.Codename}, "sha512": digest})
	if err != nil {
		return err
	}
	signature, err := sign(string(text), r.Key)
	if err != nil {
		return &slap.Error{Op: "sign", Kind: slap.ErrUnwritable, Err: err}
	}
	return r.EntriesTo.Add(ctx, ReleaseKey(url), string(text), signature)
}
