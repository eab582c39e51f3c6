package image

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/compute"
)

// unpacked says what came of a layer's archive.
type unpacked struct {
	Size    int64 `json:"size"`              // bytes of its files
	Files   int   `json:"files"`             // entries made
	Devices int   `json:"devices,omitempty"` // device nodes left out
	// files that did not get the owner that the archive gives them
	Foreign int `json:"foreign,omitempty"`
	Refused int `json:"refused,omitempty"` // extended attributes that this user may not set

	// directories that were made without an entry of their own
	Implied []string `json:"implied,omitempty"`
}

// layerRecord is a layer as its file has it.
type layerRecord struct {
	DiffID string `json:"diff_id"`
	Owners bool   `json:"owners"` // files have the archive's owners
	unpacked
	durability
}

// blob is a layer's archive where it comes from.
type blob struct {
	diffID string // of what it holds; "": not known yet
	// of what is read, which may be compressed; "": not known
	digest string
	size   int64                                        // of what is read; -1: not known
	open   func(context.Context) (io.ReadCloser, error) // a Read of it ends with the context
	of     *budget                                      // of its image; nil: it is the only layer
}

func layerLock(diffID string) string { return "layer-" + fileOf(diffID) }

func randomName() string { return strings.ToLower(rand.Text()[:12]) }

// readLayer returns the record of a layer that is here, whole, and would be here after a loss of
// power.
func (s *Store) readLayer(diffID string) (layerRecord, bool) {
	var rec layerRecord
	err := readJSON(filepath.Join(s.layerDir(diffID), "record.json"), &rec)
	return rec, err == nil && rec.DiffID == diffID && rec.counts(s.boot)
}

// layer makes sure that a layer is here, and returns its record with a lock on it: it stays until
// the lock is dropped.
func (s *Store) layer(ctx context.Context, b blob, p *Progress) (*lock, layerRecord, error) {
	fetched := false // and counted
	for {
		l, err := s.lock(ctx, layerLock(b.diffID), shared)
		if err != nil {
			return nil, layerRecord{}, err
		}
		if rec, ok := s.readLayer(b.diffID); ok {
			if fetched || b.of == nil {
				return l, rec, nil
			}
			if err = b.of.take(rec.Size, rec.Files); err == nil {
				return l, rec, nil
			}
			l.unlock()
			return nil, layerRecord{}, err
		}
		l.unlock()
		if l, err = s.lock(ctx, layerLock(b.diffID), exclusive); err != nil {
			return nil, layerRecord{}, err
		}
		if _, ok := s.readLayer(b.diffID); !ok {
			_, err = s.fetchLayer(ctx, layerLock(b.diffID), b, p)
			fetched = err == nil
		}
		l.unlock()
		if err != nil {
			return nil, layerRecord{}, err
		}
	}
}

// fetchLayer unpacks a layer, whose lock, called key, the caller has alone, and puts it in its
// place. It returns the digest.
func (s *Store) fetchLayer(ctx context.Context, key string, b blob, p *Progress) (diffID string, err error) {
	prefix := filepath.Join(s.dir, "layers", "new-"+strings.TrimPrefix(key, "layer-")+"-")
	left, _ := filepath.Glob(prefix + "*") // by whoever had the lock before us, and died
	for _, dir := range left {
		if err := removeTree(dir); err != nil {
			return "", err
		}
	}
	dir := prefix + randomName()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeTree(dir))
		}
	}()
	root := filepath.Join(dir, "fs")
	if err := os.Mkdir(root, 0o755); err != nil {
		return "", err
	}
	if err := os.Chmod(root, 0o755); err != nil {
		return "", err
	}
	rec := layerRecord{Owners: s.own, durability: durability{Boot: s.boot}}
	if rec.unpacked, rec.DiffID, err = s.unpackBlob(ctx, root, b, p); err != nil {
		return "", err
	}
	rec.Owners = rec.Owners && rec.Foreign == 0
	if err := s.writeJSON(filepath.Join(dir, "record.json"), rec); err != nil {
		return "", err
	}
	return rec.DiffID, s.install(ctx, dir, rec.DiffID, b.diffID != "")
}

// install gives an unpacked layer its name. locked says that the caller has its lock.
func (s *Store) install(ctx context.Context, dir, diffID string, locked bool) error {
	if !locked {
		l, err := s.lock(ctx, layerLock(diffID), exclusive)
		if err != nil {
			return err
		}
		defer l.unlock()
		if _, ok := s.readLayer(diffID); ok {
			return removeTree(dir)
		}
	}
	place := s.layerDir(diffID)
	if _, err := os.Lstat(place); err == nil { // one that does not count
		old := filepath.Join(s.dir, "layers", "old-"+fileOf(diffID)+"-"+randomName())
		if err := os.Rename(place, old); err != nil {
			return err
		}
		if err := removeTree(old); err != nil {
			return err
		}
	}
	return os.Rename(dir, place)
}

// unpackBlob unpacks an archive in root, and checks that it is what it should be.
func (s *Store) unpackBlob(ctx context.Context, root string, b blob, p *Progress) (unpacked, string, error) {
	body, err := b.open(ctx)
	if err != nil {
		return unpacked{}, "", err
	}
	defer func() { _ = body.Close() }()
	raw := &hashing{r: p.watch(body), h: sha256.New()}
	of := cmp.Or(b.of, newBudget(s.opt.Limits))
	came := &counting{r: raw}
	m := &meter{of: of, read: came.n.Load}
	sum := sha256.New()
	res, err := func() (unpacked, error) {
		plain, done, err := decompress(came)
		if err != nil {
			return unpacked{}, err
		}
		defer done()
		a := newAhead(of.bounded(plain, came.n.Load), sum)
		defer a.close()
		res, err := unpack(ctx, root, a, s.own, m)
		if err == nil {
			_, err = io.Copy(io.Discard, a) // what follows the archive's end belongs to its digest
		}
		return res, err
	}()
	if ctx.Err() != nil {
		return res, "", ctx.Err()
	}
	var large *errTooLarge
	if err != nil && (ours(raw.err, err) || errors.As(err, &large) || errors.As(err, new(*compute.Error))) {
		return res, "", err
	}
	if _, e := io.Copy(io.Discard, raw); e != nil && err == nil {
		err = e
	}
	if ctx.Err() != nil {
		return res, "", ctx.Err()
	}
	if b.size >= 0 && raw.n < b.size {
		if raw.err != nil && raw.err != io.EOF {
			err = raw.err
		} else {
			err = io.ErrUnexpectedEOF
		}
		return res, "", fmt.Errorf("a layer ended after %d of %d bytes: %w", raw.n, b.size, err)
	}
	if got := digestOf(raw.h); b.digest != "" && got != b.digest {
		return res, "", &errCorrupt{"a layer", b.digest, got}
	}
	if err != nil {
		return res, "", err
	}
	got := digestOf(sum)
	if b.diffID != "" && got != b.diffID {
		return res, "", &errCorrupt{"an unpacked layer", b.diffID, got}
	}
	return res, got, nil
}

// ours reports whether err came about where files are made, and not where they come from: then
// reading on would tell nothing.
func ours(source, err error) bool {
	var no syscall.Errno
	return (source == nil || source == io.EOF) && errors.As(err, &no)
}
