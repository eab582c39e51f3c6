package doctor

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/check"
	"github.com/hostler-project/hostler/text/units"
	"github.com/hostler-project/hostler/text/words"
)

// Configuration checks the configuration.
func Configuration(h *host.Host) []compute.Finding {
	cfg, err := h.Configuration()
	if err != nil {
		return []compute.Finding{Finding("fail", "configuration", api.Text(err), "mend the file")}
	}
	roots := 0
	for _, r := range cfg.Roots {
		if r.Exists {
			roots++
		}
	}
	found := words.Counted(roots, "root") + ", " + words.Counted(len(cfg.Sources), "source")
	out := []compute.Finding{Finding("ok", "configuration", found, "")}
	for _, w := range cfg.Warnings {
		out = append(out, Finding("warn", "configuration", api.Text(w), ""))
	}
	for _, s := range cfg.Sources {
		for _, line := range append(host.SkippedHooks(s), check.Oddities(s)...) {
			out = append(out, Finding("warn", "configuration", line, ""))
		}
	}
	for _, d := range cfg.NeedsTrust() {
		if !d.Trusted {
			out = append(out, Finding("warn", "trust", d.Root+" waits for your approval", "hostler trust show"))
		}
	}
	return out
}

// State checks whether the state can be used. The first line of the result says so.
func State(ctx context.Context, h *host.Host) []compute.Finding {
	dir, err := host.StateDir()
	if err == nil {
		_, err = h.Engine(ctx)
	}
	if err != nil {
		return []compute.Finding{Finding("fail", "state", api.Text(err), compute.Hint(err))}
	}
	out := []compute.Finding{Finding("ok", "state", dir, ""), Finding("ok", "store", h.StoreAt(), "")}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err == nil {
		free := int64(fs.Bavail) * int64(fs.Bsize)
		c := Finding("ok", "disk", units.FormatSize(free>>20<<20)+" free for the state", "")
		if free < 100<<20 {
			c.Result, c.Hint = "warn", "make room in "+dir
		}
		out = append(out, c)
	}
	return append(out, checkOthers(dir, h.Store().Installation())...)
}
