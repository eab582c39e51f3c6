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
	"github.com/hostler-project/hostler/image/layer"
)

// layerRecord is a layer as its file has it.
type layerRecord struct {
	DiffID string `json:"diff_id"`
	Owners bool   `json:"owners"` // files have the archive's owners
	layer.Unpacked
	durability
}

// blob is a layer's archive at its source.
type blob struct {
	diffID string // of what it holds; "": not known yet
	// of the source's bytes, which may be compressed; "": not known
	digest string
	size   int64                                        // of the source's bytes; -1: not known
	open   func(context.Context) (io.ReadCloser, error) // a Read of it ends with the context
	of     *layer.Budget                                // of its image; nil: it is the only layer
}

func layerLock(diffID string) string { return "layer-" + fileOf(diffID) }

func randomName() string { return strings.ToLower(rand.Text()[:12]) }

// readLayer returns the record of a layer that is here, whole, and would be here after a loss of
// power.
func (t *tree) readLayer(diffID string) (layerRecord, bool) {
	var rec layerRecord
	err := readJSON(filepath.Join(t.layerDir(diffID), "record.json"), &rec)
	return rec, err == nil && rec.DiffID == diffID && rec.counts(t.boot)
}

// layer makes sure that a layer is here, and returns its record with a lock that keeps it.
func (s *Store) layer(ctx context.Context, b blob, p *Progress) (*lock, layerRecord, error) {
	fetched := false // and counted
	for {
		l, err := s.tree.lock(ctx, layerLock(b.diffID), shared)
		if err != nil {
			return nil, layerRecord{}, err
		}
		if rec, ok := s.tree.readLayer(b.diffID); ok {
			if fetched || b.of == nil {
				return l, rec, nil
			}
			if err = b.of.Take(rec.Size, rec.Files); err == nil {
				return l, rec, nil
			}
			l.unlock()
			return nil, layerRecord{}, err
		}
		l.unlock()
		if l, err = s.tree.lock(ctx, layerLock(b.diffID), exclusive); err != nil {
			return nil, layerRecord{}, err
		}
		if _, ok := s.tree.readLayer(b.diffID); !ok {
			_, err = s.fetchLayer(ctx, layerLock(b.diffID), b, p)
			fetched = err == nil
		}
		l.unlock()
		if err != nil {
			return nil, layerRecord{}, err
		}
	}
}

// fetchLayer unpacks a layer and puts it in its place. The caller holds its lock, called key,
// exclusively. It returns the digest.
func (s *Store) fetchLayer(ctx context.Context, key string, b blob, p *Progress) (diffID string, err error) {
	prefix := filepath.Join(s.tree.dir, "layers", "new-"+strings.TrimPrefix(key, "layer-")+"-")
	left, _ := filepath.Glob(prefix + "*") // by a holder of the lock that was killed
	for _, dir := range left {
		if err := layer.RemoveTree(dir); err != nil {
			return "", err
		}
	}
	dir := prefix + randomName()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, layer.RemoveTree(dir))
		}
	}()
	root := filepath.Join(dir, "fs")
	if err := os.Mkdir(root, 0o755); err != nil {
		return "", err
	}
	if err := os.Chmod(root, 0o755); err != nil {
		return "", err
	}
	rec := layerRecord{Owners: s.own, durability: durability{Boot: s.tree.boot}}
	if rec.Unpacked, rec.DiffID, err = s.unpackBlob(ctx, root, b, p); err != nil {
		return "", err
	}
	rec.Owners = rec.Owners && rec.Foreign == 0
	if err := s.tree.writeJSON(filepath.Join(dir, "record.json"), rec); err != nil {
		return "", err
	}
	return rec.DiffID, s.install(ctx, dir, rec.DiffID, b.diffID != "")
}

// install gives an unpacked layer its name. locked: the caller has its lock.
func (s *Store) install(ctx context.Context, dir, diffID string, locked bool) error {
	if !locked {
		l, err := s.tree.lock(ctx, layerLock(diffID), exclusive)
		if err != nil {
			return err
		}
		defer l.unlock()
		if _, ok := s.tree.readLayer(diffID); ok {
			return layer.RemoveTree(dir)
		}
	}
	place := s.tree.layerDir(diffID)
	if _, err := os.Lstat(place); err == nil { // one that is not valid
		old := filepath.Join(s.tree.dir, "layers", "old-"+fileOf(diffID)+"-"+randomName())
		if err := os.Rename(place, old); err != nil {
			return err
		}
		if err := layer.RemoveTree(old); err != nil {
			return err
		}
	}
	return os.Rename(dir, place)
}

// unpackBlob unpacks an archive in root, and checks it against its digest.
func (s *Store) unpackBlob(ctx context.Context, root string, b blob, p *Progress) (layer.Unpacked, string, error) {
	body, err := b.open(ctx)
	if err != nil {
		return layer.Unpacked{}, "", err
	}
	defer func() { _ = body.Close() }()
	raw := &layer.Hashing{R: p.watch(body), H: sha256.New()}
	of := cmp.Or(b.of, s.opt.Limits.budget())
	came := &layer.Counter{R: raw}
	m := &layer.Meter{Of: of, Read: came.N.Load}
	sum := sha256.New()
	res, err := func() (layer.Unpacked, error) {
		plain, done, err := layer.Decompress(came)
		if err != nil {
			return layer.Unpacked{}, err
		}
		defer done()
		a := layer.NewAhead(of.Bounded(plain, came.N.Load), sum)
		defer a.Close()
		res, err := layer.Unpack(ctx, root, a, s.own, m)
		if err == nil {
			_, err = io.Copy(io.Discard, a) // bytes after the archive's end belong to its digest
		}
		return res, err
	}()
	if ctx.Err() != nil {
		return res, "", ctx.Err()
	}
	var large *layer.TooLargeError
	if err != nil && (ours(raw.Err, err) || errors.As(err, &large) || errors.As(err, new(*compute.Error))) {
		return res, "", err
	}
	if _, e := io.Copy(io.Discard, raw); e != nil && err == nil {
		err = e
	}
	if ctx.Err() != nil {
		return res, "", ctx.Err()
	}
	if b.size >= 0 && raw.N < b.size {
		if raw.Err != nil && raw.Err != io.EOF {
			err = raw.Err
		} else {
			err = io.ErrUnexpectedEOF
		}
		return res, "", fmt.Errorf("a layer ended after %d of %d bytes: %w", raw.N, b.size, err)
	}
	if got := layer.DigestOf(raw.H); b.digest != "" && got != b.digest {
		return res, "", &errCorrupt{"a layer", b.digest, got}
	}
	if err != nil {
		return res, "", err
	}
	got := layer.DigestOf(sum)
	if b.diffID != "" && got != b.diffID {
		return res, "", &errCorrupt{"an unpacked layer", b.diffID, got}
	}
	return res, got, nil
}

// ours reports whether err came from the destination, and not from the source: then further reading
// would tell nothing.
func ours(source, err error) bool {
	var no syscall.Errno
	return (source == nil || source == io.EOF) && errors.As(err, &no)
}
