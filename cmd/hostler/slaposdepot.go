package main

import (
	"net/http"
	"os"

	"github.com/hostler-project/hostler/slap/cache"
	"github.com/hostler-project/hostler/slap/cfg"
	"github.com/hostler-project/hostler/slap/master"
)

// cachePath is below which a master is a binary cache too.
const cachePath = "/shacache"

// readSlaposDepot reads which binary cache a master is.
func readSlaposDepot(f *cfg.File) (o cache.ServeOptions, err error) {
	var contents, entries string
	for key, to := range map[string]*string{"shacache_content_directory": &o.Content, "shacache_metadata_directory": &o.Metadata, "shacache_upstream_cache_url": &contents, "shacache_upstream_dir_url": &entries} {
		if *to, err = f.First(key, "slapproxy", "slapos"); err != nil {
			return o, err
		}
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

// withDepot puts a binary cache before what a master answers, for whoever may ask the master.
func (s *slapos) withDepot(o cache.ServeOptions, who func(*http.Request) (master.Who, error), rest http.Handler) http.Handler {
	o.Log = s.a.log
	whole := cache.Handler(o)
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who != nil {
			if _, err := who(r); err != nil {
				http.Error(w, err.Error(), http.StatusForbidden)
				return
			}
		}
		whole.ServeHTTP(w, r)
	})
	mux := http.NewServeMux()
	mux.Handle(cachePath+"/", http.StripPrefix(cachePath, http.NewCrossOriginProtection().Handler(guarded)))
	mux.Handle("/", rest)
	return mux
}
