package slapos

import (
	"errors"
	"net/http"
	"os"
	"strings"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/slapos/cache"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/master/access"
)

// CachePath is the path of a master's binary cache.
const CachePath = "/shacache"

// ReadBinaryCache reads the settings of a master's binary cache.
func ReadBinaryCache(f *cfg.File) (o cache.ServeOptions, err error) {
	var contents, entries string
	for key, to := range map[string]*string{
		"shacache_content_directory": &o.Content, "shacache_metadata_directory": &o.Metadata,
		"shacache_upstream_cache_url": &contents, "shacache_upstream_dir_url": &entries,
	} {
		if *to, err = f.First(key, "slapproxy", "slapos"); err != nil {
			return o, err
		}
	}
	section := "slapproxy"
	if !f.Has(section, "shacache_size") {
		section = "slapos"
	}
	if o.Size, err = f.Size(section, "shacache_size", 0); err != nil {
		return o, err
	}
	for key, path := range map[string]string{"shacache_content_directory": o.Content, "shacache_metadata_directory": o.Metadata} {
		if path == "" {
			continue
		}
		if err := os.MkdirAll(path, 0o755); err != nil {
			return o, f.Fail("slapproxy", key, "cannot be used: %v", err)
		}
	}
	if contents != "" {
		if o.UpstreamContent, err = cache.OpenStore(cache.Options{URL: contents}); err != nil {
			return o, f.Fail("slapproxy", "shacache_upstream_cache_url", "cannot be used: %v", err)
		}
	}
	if entries != "" {
		if o.UpstreamEntries, err = cache.OpenDirectory(cache.Options{URL: entries}); err != nil {
			return o, f.Fail("slapproxy", "shacache_upstream_dir_url", "cannot be used: %v", err)
		}
	}
	return o, nil
}

// readServedCache returns the settings of a controller's binary cache, by [slap] of hostler.conf.
func readServedCache(section map[string]config.Value, said *slapSection) (o cache.ServeOptions, err error) {
	bad := func(key string, err error) (cache.ServeOptions, error) {
		v := section[strings.ReplaceAll(key, "-", "_")]
		return o, fault.Invalid("", "%s:%d: %s: %w", v.File, v.Line, key, err)
	}
	o.Size = said.CacheSize
	for key, dir := range map[string]struct{ said, to *string }{
		"shacache-content-directory":  {&said.Content, &o.Content},
		"shacache-metadata-directory": {&said.Metadata, &o.Metadata},
	} {
		if *dir.said == "" {
			continue
		}
		*dir.to = beside(section[strings.ReplaceAll(key, "-", "_")], *dir.said)
		if err := os.MkdirAll(*dir.to, 0o755); err != nil {
			return bad(key, err)
		}
	}
	if (o.Content == "") != (o.Metadata == "") {
		return bad("shacache-content-directory", errors.New("it and shacache-metadata-directory go together: one of them is not there"))
	}
	if said.UpstreamContent != "" {
		if o.UpstreamContent, err = cache.OpenStore(cache.Options{URL: said.UpstreamContent}); err != nil {
			return bad("shacache-upstream-cache-url", err)
		}
	}
	if said.UpstreamEntries != "" {
		if o.UpstreamEntries, err = cache.OpenDirectory(cache.Options{URL: said.UpstreamEntries}); err != nil {
			return bad("shacache-upstream-dir-url", err)
		}
	}
	return o, nil
}

// WithBinaryCache serves a binary cache below CachePath, and everything else with rest. Callers
// of the master may read the cache. Only nodes and administrators may write it, as others could
// replace their entries. The caller must close the cache at the end.
func WithBinaryCache(whole *cache.Server, who func(*http.Request) (access.Who, error), rest http.Handler) http.Handler {
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who != nil {
			asks, err := who(r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusForbidden)
				return
			}
			if r.Method != http.MethodGet && r.Method != http.MethodHead && !asks.All && asks.Computer == "" {
				http.Error(w, "Only nodes and administrators put something into this cache.", http.StatusForbidden)
				return
			}
		}
		whole.ServeHTTP(w, r)
	})
	mux := http.NewServeMux()
	mux.Handle(CachePath+"/", http.StripPrefix(CachePath, http.NewCrossOriginProtection().Handler(guarded)))
	mux.Handle("/", rest)
	return mux
}
