package panel

import (
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/policy/fetch"
)

// Options say what there is to be shown.
type Options struct {
	// Public is a directory with files for all callers that may ask the master; "": there is none.
	Public string
	// Reachable says whether the caller may reach the master's partition with an IP address, and
	// names the caller.
	Reachable func(r *http.Request, ip net.IP) (fetch.Requester, bool, error)
	// Guard judges each address that is dialed, as nodes say themselves which ones they have.
	Guard *fetch.Guard
	// May is nil if the caller may ask the master, else the reason why not.
	May func(r *http.Request) error
	Log *slog.Logger // nil: none
}

//go:embed static
var static embed.FS

// policy is what the panel's own page may do: ask the master it came from.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// patience is how long an instance may take to begin its answer.
const patience = time.Minute

type panel struct {
	Options
	files   fs.FS
	forward http.RoundTripper
}

// Handler answers for /, /panel/ and /http_proxy/, and leaves all else to the master.
func Handler(opt Options, master http.Handler) http.Handler {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // it is linked in
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy, transport.ResponseHeaderTimeout = nil, patience
	p := &panel{Options: opt, files: files, forward: opt.Guard.Transport(transport)}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", http.RedirectHandler("panel/", http.StatusFound))
	mux.Handle("GET /panel", http.RedirectHandler("panel/", http.StatusFound))
	mux.HandleFunc("GET /panel/{$}", func(w http.ResponseWriter, r *http.Request) { p.page(w, r, "index.html") })
	mux.HandleFunc("GET /panel/{file}", func(w http.ResponseWriter, r *http.Request) { p.page(w, r, r.PathValue("file")) })
	mux.HandleFunc("GET /panel/public/{file...}", p.authorized(p.publicFile))
	mux.HandleFunc("GET "+way+"{scheme}/{host}/{rest...}", p.authorized(p.instance))
	mux.HandleFunc("OPTIONS "+way+"{scheme}/{host}/{rest...}", p.authorized(p.instance))
	mux.Handle("/", master)
	return mux
}

// authorized guards a handler: only callers that may ask the master get to it.
func (p *panel) authorized(then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := p.May(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		then(w, r)
	}
}

// page answers with a file of the panel's own. Its script shows a refusal by the master.
func (p *panel) page(w http.ResponseWriter, r *http.Request, name string) {
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeFileFS(w, r, p.files, name)
}

// publicFile answers with a file of the public directory, which a browser saves and does not show.
func (p *panel) publicFile(w http.ResponseWriter, r *http.Request) {
	if p.Public == "" {
		http.Error(w, "There is no public directory: public_directory_path names it.", http.StatusForbidden)
		return
	}
	name := path.Clean(r.PathValue("file"))
	root, err := os.OpenRoot(p.Public)
	if err != nil {
		p.Log.Warn("the public directory cannot be opened", "err", err)
		http.Error(w, "The public directory cannot be opened.", http.StatusInternalServerError)
		return
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			p.Log.Warn("a public file cannot be read", "file", name, "err", err)
		}
		http.Error(w, "There is no such file.", http.StatusNotFound)
		return
	}
	f, err := root.Open(name)
	if err != nil {
		http.Error(w, "The file cannot be read.", http.StatusForbidden)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(name)}))
	w.Header().Set("Content-Security-Policy", "sandbox")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", info.ModTime(), f)
}

// way is the path before the scheme, host and path of an instance's page.
const way = "/http_proxy/"

// instance answers with what an instance does.
func (p *panel) instance(w http.ResponseWriter, r *http.Request) {
	scheme, host := r.PathValue("scheme"), r.PathValue("host")
	to := &url.URL{Scheme: scheme, Host: host}
	ip := net.ParseIP(to.Hostname())
	if scheme != "http" && scheme != "https" || ip == nil {
		http.Error(w, "It is /http_proxy/SCHEME/ADDRESS:PORT/PATH: http or https, and the address of a partition.", http.StatusBadRequest)
		return
	}
	if !partitionsPort(to.Port()) {
		http.Error(w, "A partition's programs listen at 80, at 443, or at 1024 and above.", http.StatusForbidden)
		return
	}
	asker, known, err := p.Reachable(r, ip)
	if err != nil {
		p.Log.Warn("the partitions' addresses cannot be read", "err", err)
		http.Error(w, "The partitions' addresses cannot be read.", http.StatusInternalServerError)
		return
	}
	if !known {
		http.Error(w, "No partition of yours has this address.", http.StatusForbidden)
		return
	}
	r = r.WithContext(fetch.WithRequester(r.Context(), asker))
	before, rest := splitTarget(r.URL.EscapedPath())
	proxy := &httputil.ReverseProxy{
		Transport: p.forward,
		Rewrite: func(q *httputil.ProxyRequest) {
			q.Out.URL = &url.URL{Scheme: scheme, Host: host, RawQuery: q.In.URL.RawQuery}
			q.Out.URL.Path, _ = url.PathUnescape(rest)
			q.Out.URL.RawPath, q.Out.Host = rest, host
			q.Out.Header.Del("Cookie") // they are of all instances, and of the master
			q.Out.Header.Del("Authorization")
		},
		ModifyResponse: func(answer *http.Response) error {
			answer.Header.Del("Set-Cookie")
			answer.Header.Del("Service-Worker-Allowed")
			answer.Header.Add("Content-Security-Policy", "sandbox allow-downloads allow-forms allow-popups allow-scripts")
			if to, err := answer.Request.URL.Parse(answer.Header.Get("Location")); err == nil &&
				answer.Header.Get("Location") != "" && (to.Scheme == "http" || to.Scheme == "https") {
				answer.Header.Set("Location", before+to.Scheme+"/"+to.Host+to.RequestURI())
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.As(err, new(*fetch.Refused)) { // it is logged where it is refused
				http.Error(
					w, "The master leads nobody to this address. Its operator can allow it: fetch_allow in [slapproxy].",
					http.StatusForbidden,
				)
				return
			}
			p.Log.Info("an instance does not answer", "address", host, "err", err)
			http.Error(w, "The instance does not answer, or its certificate is not trusted here.", http.StatusBadGateway)
		},
	}
	proxy.ServeHTTP(w, r)
}

// partitionsPort reports whether an ordinary user's program, as a partition has, may listen at a
// port: not those at which the services of machines are.
func partitionsPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && (n == 80 || n == 443 || n >= 1024)
}

// splitTarget splits a path into the part before the scheme and the path at the instance.
func splitTarget(escaped string) (before, rest string) {
	at := strings.Index(escaped, way) + len(way)
	parts := strings.SplitN(escaped[at:], "/", 3)
	if len(parts) < 3 {
		return escaped[:at], "/"
	}
	return escaped[:at], "/" + parts[2]
}
