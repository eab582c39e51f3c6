package doctor

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/check"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/text/visible"
)

// Sources opens each source's provider and asks it for its instances.
func Sources(ctx context.Context, h *host.Host) []compute.Finding {
	engine, err := h.Engine(ctx)
	if err != nil {
		return nil
	}
	cfg, err := h.Configuration()
	if err != nil {
		return nil
	}
	var out []compute.Finding
	for _, s := range cfg.Sources {
		out = append(out, checkSource(ctx, engine, s))
	}
	all, err := engine.Status(ctx)
	if err != nil {
		return append(out, Finding("fail", "state", api.Text(err), compute.Hint(err)))
	}
	for _, s := range all {
		if s.Unready != nil {
			out = append(
				out,
				Finding(
					"warn", "source "+s.Name, visible.Line(s.Unready.String()),
					"what stood ready before serves as long as it lasts; hostler events "+s.Name+", hostler source test "+s.Name,
				),
			)
		}
		if s.Orphaned {
			out = append(
				out,
				Finding(
					"warn", "source "+s.Name, "has instances and is not configured so any more",
					"hostler status -v; hostler discard",
				),
			)
		}
	}
	return out
}

// checkSource lists the source's instances and probes it. A source that denies the list is
// probed too, as the probe names all that is denied.
func checkSource(ctx context.Context, engine *pool.Pool, s *config.Source) compute.Finding {
	what := "source " + s.Name
	if err := host.ConfigError(check.FaultOf(s)); err != nil {
		return Finding("fail", what, api.Text(err), compute.Hint(err))
	}
	if s.Kind.Pool {
		return Finding("ok", what, fmt.Sprintf("a pool over %d sources", len(s.Sources)), "")
	}
	ctx, cancel := context.WithTimeout(ctx, CheckTime)
	defer cancel()
	p, err := engine.Provider(ctx, s.Name)
	if err == nil {
		_, err = p.List(ctx)
	}
	note := ""
	// it knows everything that is denied
	if prober := provider.Of(p).Prober; prober != nil && (err == nil || errors.Is(err, compute.ErrDenied)) {
		said, wrong := prober.Probe(ctx, compute.Spec{Source: s.Name, Image: s.Image, Flavor: s.Flavor})
		if note = said; err == nil || wrong != nil {
			err = wrong
		}
	}
	if err != nil {
		hint := compute.Hint(err)
		if hint == "" {
			hint = "hostler source test " + s.Name
		}
		return Finding("fail", what, api.Text(err), hint)
	}
	if s.Kind.External {
		path, _ := exec.LookPath("hostler-source-" + s.Type)
		return Finding("ok", what, s.Type+", by "+path, "")
	}
	if note != "" {
		return Finding("warn", what, s.Type+": "+note, "")
	}
	return Finding("ok", what, s.Type, "")
}

// Source examines the machines of a source that has its own. Instances of other sources must
// be acquired first. find finds sources by their names.
func Source(
	ctx context.Context, h *host.Host, name string, find func(string) (*config.Source, error),
) []compute.Finding {
	engine, err := h.Engine(ctx)
	if err != nil {
		return []compute.Finding{Finding("fail", "source "+name, api.Text(err), compute.Hint(err))}
	}
	s, err := find(name)
	if err != nil {
		return []compute.Finding{Finding("fail", "source "+name, api.Text(err), compute.Hint(err))}
	}
	out := []compute.Finding{checkSource(ctx, engine, s)}
	if s.Kind.Pool {
		for _, part := range s.Sources {
			out = append(out, Source(ctx, h, part, find)...)
		}
		return out
	}
	p, err := engine.Provider(ctx, name)
	if err != nil {
		return out // it was reported above
	}
	static := provider.Of(p).Static
	if static == nil || len(static.Names()) == 0 {
		return append(
			out,
			Finding(
				"skip", "source "+name+": instances", "they are made when somebody wants one",
				"hostler acquire -s "+name+", then hostler doctor INSTANCE",
			),
		)
	}
	for _, n := range static.Names() {
		id := compute.ID(name + "-" + n)
		connect := func(ctx context.Context) (compute.Conn, error) { return p.Connect(ctx, id) }
		out = append(out, Instance(ctx, string(id), s.Kind, connect)...)
	}
	return out
}
