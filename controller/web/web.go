// Package web serves the page of a controller: embedded files for browsers. The page reads its data
// from the API with the browser's session. The files themselves hold no secret, so anybody may read
// them. `make page` builds web/dist from web/ui, and a test compares the two.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed dist
var dist embed.FS

// policy is the Content-Security-Policy of the page: scripts, styles and connections only from its
// own origin, nothing inline, no framing.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// views are the paths at which the page is shown, with all paths below them.
var views = []string{"/instances", "/leases", "/director", "/history", "/events", "/slap"}

// Handler serves the page, and passes all other requests to next.
func Handler(next http.Handler) http.Handler {
	h := &handler{next: next, files: map[string]*file{}}
	// an embedded tree has no errors
	_ = fs.WalkDir(dist, "dist", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			h.files[strings.TrimPrefix(name, "dist")] = &file{name: name}
		}
		return nil
	})
	return h
}

type handler struct {
	next  http.Handler
	files map[string]*file // by path; read only
}

// file is an embedded file. Its contents are prepared at the first request.
type file struct {
	name string

	once        sync.Once
	plain, gzip []byte
	tag         string
}

// read prepares the file's contents, plain and compressed, and its ETag.
func (f *file) read() {
	f.plain, _ = dist.ReadFile(f.name) // it exists
	sum := sha256.Sum256(f.plain)
	f.tag = hex.EncodeToString(sum[:12])
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	_, _ = w.Write(f.plain)
	_ = w.Close()
	f.gzip = b.Bytes()
}

// view reports whether the page is shown at a path.
func view(name string) bool {
	for _, v := range views {
		if name == v || strings.HasPrefix(name, v+"/") {
			return true
		}
	}
	return name == "/"
}

// ServeHTTP serves a file with its security headers, compressed if the browser accepts that.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := h.files[r.URL.Path]
	if r.URL.Path == "/index.html" || f == nil && view(r.URL.Path) {
		f = h.files["/index.html"]
	}
	if f == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.next.ServeHTTP(w, r)
		return
	}
	f.once.Do(f.read)
	head := w.Header()
	head.Set("Content-Security-Policy", policy)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("X-Frame-Options", "DENY")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	head.Set("Content-Type", mediaType(f.name))
	head.Set("Vary", "Accept-Encoding")
	body, tag := f.plain, f.tag
	if accepts(r.Header.Get("Accept-Encoding")) {
		body, tag = f.gzip, f.tag+"-gzip"
		head.Set("Content-Encoding", "gzip")
	}
	head.Set("ETag", `"`+tag+`"`)
	if strings.HasPrefix(r.URL.Path, "/assets/") { // the name changes with the contents
		head.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		head.Set("Cache-Control", "no-cache")
	}
	if strings.Contains(r.Header.Get("If-None-Match"), `"`+tag+`"`) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // an error means that the client has gone
	}
}

// mediaType returns the type of a file by its name, independent of this machine's table.
func mediaType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}

// accepts reports whether a browser accepts gzip.
func accepts(encodings string) bool {
	for part := range strings.SplitSeq(encodings, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" && strings.ReplaceAll(weight, " ", "") != "q=0" {
			return true
		}
	}
	return false
}
