package cache

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/slapos/proto/client"
)

// ServeOptions say what a binary cache is. Without both directories there is none, and all is
// answered 503.
type ServeOptions struct {
	Content  string // directory of contents, each in a file named for its digest
	Metadata string // directory of entries, a file for each key
	// the other cache for missing contents, which are then kept here; nil: none
	UpstreamContent *Store
	UpstreamEntries *Directory
	Most            int64 // bytes of a content; 0 is 64 GiB
	// bytes of all contents: those that were not asked for the longest make room for others; 0: as
	// many as come
	Size int64
	Log  *slog.Logger // nil: none
}

type cacheServer struct {
	ServeOptions
	mu sync.Mutex // held while room is made, and entries are put or dropped

	ctx     context.Context // of what is fetched
	all     sync.WaitGroup  // the running fetches
	flying  sync.Mutex
	fetches map[string]*sharedFetch // by digest
}

// A Server is a cache that [Handler] has made.
type Server struct {
	http.Handler
	close func()
}

// Close ends what the cache fetches from others, of which nothing stays, and waits for that. Then
// it answers still, and fetches nothing. It may be called again.
func (d *Server) Close() { d.close() }

// Handler is a binary cache: contents below /cache, entries below /dir, and POST /update. Any
// number of processes may share the directories. An upload answered with 201 is on the disk; any
// other left nothing, not even a part.
//
// A content of the other cache is fetched once for all callers of the time. They get it as it
// comes, and it is fetched to its end if they go. Close the Depot when there are no more requests.
func Handler(o ServeOptions) *Server {
	if o.Most <= 0 {
		o.Most = maxRelease
	}
	if o.Size > 0 {
		o.Most = min(o.Most, o.Size)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &cacheServer{ServeOptions: o, ctx: ctx, fetches: map[string]*sharedFetch{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /cache/{digest}", d.content)
	mux.HandleFunc("PUT /cache/{digest}", d.storeContent)
	mux.HandleFunc("POST /cache", d.storeContent)
	mux.HandleFunc("POST /cache/{$}", d.storeContent)
	mux.HandleFunc("GET /dir/{key}", d.entries)
	mux.HandleFunc("PUT /dir/{key}", d.storeEntry)
	mux.HandleFunc("POST /update", d.update)
	end := func() {
		d.flying.Lock() // so that no flight begins while the present ones are waited for
		cancel()
		d.flying.Unlock()
		d.all.Wait()
	}
	return &Server{close: end, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.Content == "" || o.Metadata == "" {
			http.Error(
				w,
				"There is no binary cache here: shacache-content-directory and shacache-metadata-directory say where it keeps what it has.",
				http.StatusServiceUnavailable,
			)
			return
		}
		mux.ServeHTTP(w, r)
	})}
}

// fail answers that something cannot be done here.
func (d *cacheServer) fail(w http.ResponseWriter, r *http.Request, err error) {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		http.Error(w, fmt.Sprintf("A content has at most %d bytes.", d.Most), http.StatusRequestEntityTooLarge)
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		http.Error(w, "There is no room left.", http.StatusInsufficientStorage)
	case r.Context().Err() != nil, errors.Is(err, io.ErrUnexpectedEOF):
		http.Error(w, "The request broke off.", http.StatusBadRequest)
	default:
		d.Log.Warn("the binary cache cannot be read or written", "path", r.URL.Path, "err", err)
		http.Error(w, "The cache cannot be read or written here.", http.StatusInternalServerError)
	}
}

// upstream answers that the other cache does not have something, or cannot be asked.
func (d *cacheServer) upstream(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, client.ErrNotFound) {
		http.NotFound(w, r)
		return
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		d.fail(w, r, err)
		return
	}
	if errors.Is(err, errManyFlights) {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "Too many contents are being fetched from the other cache: ask again later.", http.StatusServiceUnavailable)
		return
	}
	if r.Context().Err() != nil {
		return // the caller has gone
	}
	d.Log.Warn("the other binary cache does not answer", "err", err)
	http.Error(w, "The other cache, which is asked for what is not here, does not answer as it should.", http.StatusBadGateway)
}

// content answers a GET of a content, from the disk or else from the other cache.
func (d *cacheServer) content(w http.ResponseWriter, r *http.Request) {
	digest := r.PathValue("digest")
	if !isHex(digest, 128) {
		http.NotFound(w, r)
		return
	}
	path := filepath.Join(d.Content, digest)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && d.UpstreamContent != nil {
		var answered bool
		if answered, err = d.serveWhileFetching(w, r, digest); answered {
			return
		} else if err != nil {
			d.upstream(w, r, err)
			return
		}
		f, err = os.Open(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		http.NotFound(w, r)
		return
	} else if err != nil {
		d.fail(w, r, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		d.fail(w, r, errors.Join(err, fs.ErrInvalid))
		return
	}
	d.noteUse(path, info)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", `"`+digest+`"`) // the content of a digest never changes
	http.ServeContent(w, r, "", time.Time{}, f)
}

// writeFile makes a file of the output of write, whole or not at all.
func (d *cacheServer) writeFile(path string, write func(to io.Writer) error) error {
	return d.make(filepath.Dir(path), write, func() string { return path })
}

// make writes a file of dir under another name, syncs it, and renames it to path. The path is
// asked for after write, so it may depend on the content.
func (d *cacheServer) make(dir string, write func(to io.Writer) error, path func() string) (err error) {
	f, err := os.CreateTemp(dir, unfinished+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it has another name by then, or is worth nothing
	err = write(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path()); err != nil {
		return err
	}
	in, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(in.Sync(), in.Close())
}

var errOther = errors.New("the content is another")

// storeContent keeps a content.
func (d *cacheServer) storeContent(w http.ResponseWriter, r *http.Request) {
	want := r.PathValue("digest")
	if want != "" && !isHex(want, 128) {
		http.NotFound(w, r)
		return
	}
	if r.ContentLength > d.Most {
		d.fail(w, r, &http.MaxBytesError{Limit: d.Most})
		return
	}
	hash, digest := sha512.New(), ""
	err := d.make(d.Content, func(to io.Writer) error {
		if err := d.makeRoom(max(r.ContentLength, 0)); err != nil {
			return err
		}
		n, err := io.Copy(io.MultiWriter(to, hash), http.MaxBytesReader(w, r.Body, d.Most))
		if err != nil {
			return err
		}
		if r.ContentLength < 0 {
			err = d.makeRoom(n)
		}
		if err != nil {
			return err
		}
		if digest = hex.EncodeToString(hash.Sum(nil)); want != "" && digest != want {
			return errOther
		}
		return nil
	}, func() string { return filepath.Join(d.Content, digest) })
	switch {
	case errors.Is(err, errOther):
		http.Error(w, "Checksum mismatch", http.StatusBadRequest)
	case err != nil:
		d.fail(w, r, err)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, digest)
	}
}

// file is where the entries of a key are; "": it can be none.
func (d *cacheServer) file(key string) string {
	name := url.PathEscape(key)
	if name == "" || len(name) > 200 {
		return ""
	}
	if name[0] == '.' { // those are not finished
		name = "%2E" + name[1:]
	}
	return filepath.Join(d.Metadata, name)
}

// entries answers with the entries of a key. Those that are not here are fetched from upstream,
// if there is one.
func (d *cacheServer) entries(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	path := d.file(key)
	if path == "" {
		http.NotFound(w, r)
		return
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && d.UpstreamEntries != nil {
		if _, err = d.refresh(r.Context(), key, path); err != nil {
			d.upstream(w, r, err)
			return
		}
		data, err = os.ReadFile(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		http.NotFound(w, r)
	case err != nil:
		d.fail(w, r, err)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(data)
	}
}

// refresh asks the other cache for the entries of a key and keeps them, and says whether they are
// others than before.
func (d *cacheServer) refresh(ctx context.Context, key, path string) (bool, error) {
	data, err := d.UpstreamEntries.raw(ctx, key)
	if err != nil {
		return false, err
	}
	if old, err := os.ReadFile(path); err == nil && string(old) == string(data) {
		return false, nil
	}
	return true, d.writeFile(path, func(to io.Writer) error { _, err := to.Write(data); return err })
}

// storeEntry keeps an entry in place of all that a key has.
func (d *cacheServer) storeEntry(w http.ResponseWriter, r *http.Request) {
	path := d.file(r.PathValue("key"))
	if path == "" {
		http.Error(w, "The key is too long.", http.StatusBadRequest)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		d.fail(w, r, err)
		return
	}
	if _, err := parseEntry(body, nil); err != nil {
		http.Error(w, "It is no entry: [TEXT, SIGNATURE], of which the text is an object with a sha512.", http.StatusBadRequest)
		return
	}
	d.mu.Lock() // a caller that drops entries of the key does not mean ours
	err = d.writeFile(path, func(to io.Writer) error { _, err := fmt.Fprintf(to, "[%s]", body); return err })
	d.mu.Unlock()
	if err != nil {
		d.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

// updated is the answer of an update: keys.
type updated struct {
	Removed []string `json:"removed"`
	Updated []string `json:"updated"`
}

// update asks the other cache for all entries anew. Without another cache it drops entries whose
// content is not here.
func (d *cacheServer) update(w http.ResponseWriter, r *http.Request) {
	answer := updated{[]string{}, []string{}}
	files, err := os.ReadDir(d.Metadata)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	for _, f := range files {
		key, err := url.PathUnescape(f.Name())
		path := filepath.Join(d.Metadata, f.Name())
		if err != nil || !f.Type().IsRegular() || path != d.file(key) {
			continue
		}
		if d.UpstreamEntries == nil {
			d.mu.Lock()
			gone, err := d.prune(path)
			d.mu.Unlock()
			if err != nil {
				d.fail(w, r, err)
				return
			}
			if gone {
				answer.Removed = append(answer.Removed, key)
			}
			continue
		}
		other, err := d.refresh(r.Context(), key, path)
		if r.Context().Err() != nil {
			return
		}
		if err != nil && !errors.Is(err, client.ErrNotFound) { // an entry that was put here alone stays
			d.Log.Warn("entries cannot be had from the other binary cache", "key", key, "err", err)
		} else if other {
			answer.Updated = append(answer.Updated, key)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// prune drops the entries of a file whose content is not here, and says whether there were any.
func (d *cacheServer) prune(path string) (bool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	var pairs []json.RawMessage
	if json.Unmarshal(data, &pairs) != nil {
		return true, os.Remove(path)
	}
	before := len(pairs)
	pairs = slices.DeleteFunc(pairs, func(pair json.RawMessage) bool {
		e, err := parseEntry(pair, nil)
		if err != nil {
			return true
		}
		_, err = os.Stat(filepath.Join(d.Content, strings.ToLower(e.SHA512)))
		return errors.Is(err, fs.ErrNotExist)
	})
	switch {
	case len(pairs) == before:
		return false, nil
	case len(pairs) == 0:
		return true, os.Remove(path)
	}
	data, err = json.Marshal(pairs)
	if err != nil {
		return false, err
	}
	return true, d.writeFile(path, func(to io.Writer) error { _, err := to.Write(data); return err })
}
