package slapos

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/apiprocess"
	"github.com/hostler-project/hostler/controller/callers"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/observe/metric"
	"github.com/hostler-project/hostler/slapos/authority"
	"github.com/hostler-project/hostler/slapos/cache"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/web"
	"github.com/hostler-project/hostler/slapos/parameter"
	"github.com/hostler-project/hostler/slapos/view"
)

// path is the path of a controller's SlapOS master.
const path = "/slapos"

// slapSection is the section [slap] of hostler.conf, which makes a controller a SlapOS master too.
type slapSection struct {
	// the computer of requests that name none; "": any that fits
	Computer string `conf:"computer"`
	// of the authority whose certificates identify nodes; "": there is none
	Directory string   `conf:"ca_directory"`
	Products  []string `conf:"software_products"` // NAME URL, the best first
	// PART-OF-URL [TYPE] url|host; see master.Frontend
	Frontends []string `conf:"frontends"`
	Root      string   `conf:"local-software-release-root"`

	// The binary cache; without the two directories there is none.
	Content         string `conf:"shacache-content-directory"`
	Metadata        string `conf:"shacache-metadata-directory"`
	UpstreamContent string `conf:"shacache-upstream-cache-url"`
	UpstreamEntries string `conf:"shacache-upstream-dir-url"`
	CacheSize       int64  `conf:"shacache-size,size"` // of all contents; 0: no limit
}

// elsewhere holds keys of slapproxy's file that [slap] does not take, with their replacement.
var elsewhere = map[string]string{
	"tls":      "who comes to a controller is always known; hostler serve --tls-cert and --tls-key have it speak TLS",
	"tls_cert": "hostler serve --tls-cert FILE", "tls_key": "hostler serve --tls-key FILE",
	"host": "hostler serve --listen ADDR", "port": "hostler serve --listen ADDR",
	"server_names": "a controller knows who asks, under whatever name",
	"database_uri": "[store] url, or the state directory",
	"computer_id":  "computer = ID", "software_product_list": "software-products = NAME URL, ...",
	"log_file":              "hostler serve writes to standard error",
	"public_directory_path": "a controller gives no files away",
}

// otherMaster is a section [multimaster URL].
type otherMaster struct {
	Key       string   `conf:"key"`
	Cert      string   `conf:"cert"`
	CA        string   `conf:"ca"`
	Releases  []string `conf:"software_release_list"` // releases that are requested there
	Computer  string   `conf:"computer"`              // the computer that requests come from
	Partition string   `conf:"partition"`
}

// Settings are the sections [slap] and [multimaster URL] of hostler.conf.
type Settings struct {
	slapSection
	section map[string]config.Value // [slap] as it stands there; nil: the controller is no master
	master  master.Options          // what they say of the master
}

// HasAuthority reports whether the master has an authority whose certificates identify nodes.
func (s *Settings) HasAuthority() bool { return s.Directory != "" }

// ReadSettings reads the settings of a master.
func ReadSettings(cfg *config.Config) (*Settings, error) {
	section := cfg.Sections["slap"]
	s := &Settings{section: section}
	for _, key := range slices.Sorted(maps.Keys(section)) {
		if instead, ok := elsewhere[key]; ok {
			return nil, fault.Invalid(
				"instead: "+instead, "%s:%d: %s belongs to slapproxy's file, and has no place in [slap]",
				section[key].File, section[key].Line, key,
			)
		}
	}
	if err := host.DecodeSection(section, &s.slapSection); err != nil {
		return nil, err
	}
	s.Directory, s.Root = beside(section["ca_directory"], s.Directory), beside(section["local_software_release_root"], s.Root)
	s.master.Computer = s.Computer
	for _, line := range s.Products {
		if !AddProduct(&s.master, line) {
			at := section["software_products"]
			return nil, fault.Invalid(
				"software-products = demo https://software.example/demo/software.cfg, kvm https://…",
				"%s:%d: software-products: %q is not NAME URL", at.File, at.Line, line,
			)
		}
	}
	var bad string
	// none by default: here they would hide real ones
	if s.master.Frontends, bad = master.ParseFrontends(s.Frontends); bad != "" {
		at := section["frontends"]
		return nil, fault.Invalid(
			"frontends = /software/apache-frontend/software.cfg url",
			"%s:%d: frontends: %q is not PART-OF-URL [TYPE] url|host", at.File, at.Line, bad,
		)
	}
	for _, title := range slices.Sorted(maps.Keys(cfg.Sections)) {
		url, ok := strings.CutPrefix(title, "multimaster ")
		if !ok {
			continue
		}
		var other otherMaster
		section := cfg.Sections[title]
		if err := host.DecodeSection(section, &other); err != nil {
			return nil, err
		}
		x := master.External{URL: strings.TrimSpace(url), Releases: other.Releases, Computer: other.Computer, Partition: other.Partition,
			KeyFile: beside(section["key"], other.Key), CertFile: beside(section["cert"], other.Cert),
			CAFile: beside(section["ca"], other.CA)}
		if text := Unfit(x); text != "" {
			return nil, fault.Invalid("", "%s[%s] %s", sectionAt(section), title, text)
		}
		s.master.Masters = append(s.master.Masters, x)
	}
	return s, nil
}

// Sections returns the sections of hostler.conf that are read here, for config to decode.
func Sections() map[string]any {
	return map[string]any{"slap": new(slapSection), "multimaster https://x": new(otherMaster)}
}

// sectionAt returns the place of a section's first key as "FILE:LINE: "; "" if it has no keys.
func sectionAt(section map[string]config.Value) string {
	first := ""
	line := 0
	for _, v := range section {
		if first == "" || v.Line < line {
			first, line = v.File, v.Line
		}
	}
	if first == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d: ", first, line)
}

// beside resolves a relative path against the file that contains it.
func beside(said config.Value, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(said.File), path)
}

// Options are what a controller gives its master.
type Options struct {
	Host     *host.Host
	Settings *Settings
	Log      *slog.Logger
	TLS      bool // the controller uses TLS

	Callers *callers.Authenticator
	// Members returns the current roles of a user.
	Members  func(name string, groups []string) (auth.Role, map[string]auth.Role)
	Projects func() []*config.Project // as configured now
	Out      func() http.RoundTripper // the current way out

	Limits  *auth.Limits
	Audit   *auth.Log
	Observe func(method, route string, status int, took time.Duration)
	Metrics *metric.Registry
}

// Serve serves the master below /slapos, and everything else with rest; without [slap] it returns
// rest. Callers must be known to the controller or to the master's authority. Pages of other sites
// cannot make requests as a user.
func Serve(ctx context.Context, o Options, rest http.Handler) (http.Handler, server.Slap, error) {
	said := o.Settings
	if said.section == nil {
		return rest, nil, nil
	}
	opt, directory := said.master, said.Directory
	depot, err := readServedCache(said.section, &said.slapSection)
	if err != nil {
		return nil, nil, err
	}
	opt.Store, opt.Log, opt.Limits = o.Host.Store(), o.Log, o.limits
	var ca *authority.Authority
	if directory != "" {
		if !o.TLS {
			return nil, nil, fault.Invalid(
				"give --tls-cert and --tls-key, or take it out",
				"ca-directory in [slap]: nodes show certificates by TLS alone",
			)
		}
		if ca, err = authority.Open(directory); err != nil {
			return nil, nil, err
		}
		opt.Authority = ca
	}
	m, err := master.New(ctx, opt)
	if err != nil {
		return nil, nil, err
	}
	if err := MoveReleases(ctx, logTeller{o.Log}, m, o.Host.Store(), said.Root, o.Host.StoreAt()); err != nil {
		return nil, nil, err
	}
	slap := view.New(view.Options{Master: m,
		Loader: &parameter.Loader{
			HTTP: &http.Client{Transport: goesOut(func() http.RoundTripper { return o.Out() })},
		}, Who: func(p auth.Principal, writes bool) (access.Who, error) {
			who, _, err := whoIs(p, writes)
			return who, err
		}})
	watch(o.Metrics, m)
	whole := web.New(m, web.Options{
		Who:    callerOf,
		Token:  func(r *http.Request, token string) (access.Who, error) { return o.token(r, token) },
		Base:   func(r *http.Request) string { return web.Base(r) + path[1:] + "/" },
		Ending: ctx.Done(),
	})
	depot.Log = o.Log
	kept := cache.Handler(depot)
	o.Host.OnClose(kept.Close)
	guard := newGuard(&o, func(r *http.Request) (access.Who, auth.Principal, error) {
		if ca != nil {
			// a certificate of another authority may be known to the controller
			if serial, shown, err := ca.Client(r.TLS); shown && err == nil {
				return o.certified(r, m, serial)
			}
		}
		p, err := o.caller(r)
		if err != nil {
			return access.Who{}, p, err
		}
		return asks(p, r, web.Writes(r))
	}, WithBinaryCache(kept, callerOf, whole))
	mux := http.NewServeMux()
	mux.Handle(path+"/", http.StripPrefix(path, apiprocess.LimitBodyTime(http.NewCrossOriginProtection().Handler(guard))))
	mux.Handle("/", rest)
	return mux, slap, nil
}

// limits returns the limits of a project and user, as configured now.
func (o *Options) limits(project, user string) (out []master.Limit) {
	for _, p := range o.Projects() {
		if p.Name != project || p.Err != nil {
			continue
		}
		whose := "the project " + project
		if q := p.Quota; q.Partitions > 0 || q.Shared > 0 {
			out = append(out, master.Limit{Whose: whose, Partitions: q.Partitions, Shared: q.Shared})
		}
		if q := p.UserQuota; user != "" && (q.Partitions > 0 || q.Shared > 0) {
			out = append(out, master.Limit{Whose: user + " in " + whose, User: true, Partitions: q.Partitions, Shared: q.Shared})
		}
	}
	return out
}

// certified returns the caller that shows a certificate of the master's authority. A user has the
// current roles of the configuration, within the project of the certificate.
func (o *Options) certified(r *http.Request, m *master.Master, serial string) (access.Who, auth.Principal, error) {
	who, err := m.Certificates.Certified(r.Context(), serial)
	p := auth.Principal{Name: who.Name, Via: who.Via, From: auth.RemoteHost(r)}
	switch {
	case err != nil, who.All:
		return who, p, err
	case who.Computer != "":
		p.Name = "computer " + who.Computer
		return who, p, nil
	case who.Instance != "":
		p.Name = "instance " + who.Instance
		return who, p, nil
	}
	if who.Groups != "" {
		p.Groups = strings.Split(who.Groups, "\n")
	}
	p.Everywhere, p.Roles = o.Members(p.Name, p.Groups)
	if who.Project != "" {
		p.Roles, p.Everywhere, p.Bound = map[string]auth.Role{who.Project: p.Role(who.Project)}, auth.Nobody, true
	}
	return asks(p, r, web.Writes(r))
}

// caller returns the caller of a request as the controller knows it. A cache's URL in slapos.cfg
// contains the token, so a request to the cache may present it as a password.
func (o *Options) caller(r *http.Request) (auth.Principal, error) {
	if _, token, ok := r.BasicAuth(); ok && token != "" && strings.HasPrefix(r.URL.Path, CachePath+"/") {
		return o.Callers.Holder(r, token)
	}
	return o.Callers.Caller(r)
}

// token returns the owner of a controller's token that is presented for a certificate. A limited
// token is refused, as the certificate would not be limited.
func (o *Options) token(r *http.Request, token string) (access.Who, error) {
	p, err := o.Callers.Holder(r, token)
	if err != nil {
		return access.Who{}, err
	}
	who, p, err := asks(p, r, true) // of whatever method the request is
	if err != nil {
		return access.Who{}, err
	}
	everywhere, roles := o.Members(p.Name, p.Groups)
	if full := max(everywhere, roles[p.Project]); p.Only != 0 || p.Role(p.Project) < full || p.Lease != "" || p.Source != "" {
		return access.Who{}, &access.Refusal{
			Kind: compute.ErrDenied, Text: "The token is limited, and a certificate would not be.",
			Detail: "hostler token create makes one without a role or permissions",
		}
	}
	return who, nil
}

// goesOut is an HTTP transport that a reload may replace.
type goesOut func() http.RoundTripper

func (now goesOut) RoundTrip(r *http.Request) (*http.Response, error) { return now().RoundTrip(r) }

// Unfit returns what is wrong with the settings of another master; "": nothing. Only requests to
// that master fail.
func Unfit(x master.External) string {
	switch u, err := url.Parse(x.URL); {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return "is not called by the address of a master, with http or https"
	case u.Scheme == "https" && (x.KeyFile == "" || x.CertFile == ""):
		return "has not both key and cert, which a master with https wants"
	}
	return ""
}

// AddProduct adds a release of a software product from a line NAME URL; false: the line is wrong.
func AddProduct(opt *master.Options, line string) bool {
	words := strings.Fields(line)
	if len(words) != 2 {
		return false
	}
	i := slices.IndexFunc(opt.Products, func(p master.Product) bool { return p.Name == words[0] })
	if i < 0 {
		opt.Products, i = append(opt.Products, master.Product{Name: words[0]}), len(opt.Products)
	}
	opt.Products[i].URLs = append(opt.Products[i].URLs, words[1])
	return true
}
