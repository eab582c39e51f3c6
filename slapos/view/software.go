package view

import (
	"context"
	"errors"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/overview"
	"github.com/hostler-project/hostler/slapos/parameter"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/schema"
)

const (
	patience  = 30 * time.Second // for loading all of a release's description
	keep      = time.Minute      // how long that is remembered
	mostKnown = 200              // of how much software it is
)

// software caches the descriptions of releases for a while.
type software struct {
	loader *parameter.Loader

	mu    sync.Mutex
	known map[string]*releaseReports // by release
}

type releaseReports struct {
	until time.Time
	once  sync.Once
	is    *parameter.Release
	err   error
}

// release returns a release, loaded once for all callers and kept for a while, a failure too.
// Too many known ones are all forgotten.
func (s *software) release(ctx context.Context, release string) (*parameter.Release, error) {
	now := time.Now()
	s.mu.Lock()
	t := s.known[release]
	if t == nil || now.After(t.until) {
		if s.known == nil || len(s.known) >= mostKnown {
			s.known = map[string]*releaseReports{}
		}
		t = &releaseReports{until: now.Add(keep)}
		s.known[release] = t
	}
	s.mu.Unlock()
	t.once.Do(func() {
		// the first caller may go away
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		t.is, t.err = s.loader.Release(ctx, release)
	})
	return t.is, t.err
}

func (s *software) check(ctx context.Context, t parameter.Type, given proto.Dictionary) ([]schema.Fault, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.loader.Check(ctx, t, given)
}

// The reasons why nothing is read.
var (
	errNoURL   = errors.New("what software says of itself is read at http and https alone")
	errNotOurs = errors.New(
		"what software says of itself is read of what is supplied on a computer of the installation, and for administrators",
	)
)

// release is the description of a release. The controller reads only addresses that administrators
// have supplied, never one that a user has made up.
func (v *View) release(ctx context.Context, who access.Who, release string) (*parameter.Release, error) {
	if u, err := url.Parse(release); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errNoURL
	}
	if !who.All {
		offered, err := overview.Offered(ctx, v.m, release)
		if err != nil {
			return nil, err
		}
		if !offered {
			return nil, errNotOurs
		}
	}
	return v.said.release(ctx, release)
}

// Software is a release's description of itself, with the schemas of its parameters. If they cannot
// be loaded, it says why.
func (v *View) Software(ctx context.Context, p auth.Principal, release string) (out api.SlapSoftware, err error) {
	who, err := v.who(p, false)
	if err != nil {
		return out, refusal(err)
	}
	out = api.SlapSoftware{Release: release, Types: []api.SlapType{}}
	said, err := v.release(ctx, who, release)
	switch {
	case errors.Is(err, os.ErrNotExist):
		out.Unknown = "it says nothing of itself"
		return out, nil
	case err != nil:
		out.Unknown = err.Error()
		return out, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out.Name, out.Description = said.Name, said.Description
	for _, t := range said.Types {
		one := api.SlapType{Type: t.Name, Title: t.Title, Description: t.Description, Shared: t.Shared}
		if one.Schema, err = v.said.loader.Schema(ctx, t); err != nil {
			one.Problem = err.Error()
		}
		out.Types = append(out.Types, one)
	}
	return out, nil
}
