package node

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/slapos/node/once"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

const (
	watched     = "-on-watch" // behind the name of what must live
	maxPrograms = 1000
)

// start gives what an instance has left to run to the supervisor, and has it run.
func (a *Agent) start(ctx context.Context, pl *Place) error {
	g, err := a.group(pl)
	if err != nil {
		return err
	}
	if len(g.Programs) == 0 {
		text := "No runners nor services found for " + pl.ID
		a.keep(pl, text)
		a.warn("%s", text)
		return a.Supervisor.Remove(ctx, pl.ID)
	}
	changed, err := a.Supervisor.Put(ctx, g)
	if err != nil {
		return err
	}
	if changed {
		a.note(pl, "Updated '%s'", pl.ID)
	}
	a.note(pl, "Requested start of %s...", pl.ID)
	return a.Supervisor.Start(ctx, pl.ID)
}

// stop ends all processes of an instance, wherever they hide. That includes processes that the
// supervisor did not begin, if their user belongs to this partition alone. Programs that hooks run
// for it go on.
func (a *Agent) stop(ctx context.Context, pl *Place) error {
	a.note(pl, "Requested stop of %s...", pl.ID)
	if err := a.Supervisor.Remove(ctx, pl.ID); err != nil {
		return err
	}
	uid, own := once.Own(pl.Home)
	if !own {
		return nil
	}
	all, err := a.Supervisor.Status(ctx)
	if err != nil {
		return err
	}
	spared := map[int]bool{} // each program begins a session
	for i := range all {
		spared[all[i].PID] = all[i].PID != 0
	}
	n, err := once.EndUser(ctx, uid, func(session int) bool { return spared[session] })
	if n > 0 {
		a.warn("%s: %d processes of its user that had left its programs were ended.", pl.ID, n)
	}
	return err
}

// group is what a partition has in etc/run, which may end, and in etc/service, which must not.
func (a *Agent) group(pl *Place) (supervise.Group, error) {
	g := supervise.Group{Name: pl.ID}
	var limits *supervise.Limits
	if l, there := a.Limits[pl.ID]; there {
		limits = &l
	}
	var u *supervise.User
	if pl.User != nil {
		u = &supervise.User{UID: pl.User.UID, GID: pl.User.GID, Groups: pl.User.Groups}
	}
	for _, of := range []struct {
		dir, suffix string
		keep        supervise.Keep
	}{{"etc/run", "", supervise.Once}, {"etc/service", watched, a.Keep}} {
		names, err := pl.Dir.List(of.dir, maxPrograms)
		if err != nil {
			return g, err
		}
		for _, name := range names {
			i, err := pl.Dir.Stat(of.dir + "/" + name)
			if err != nil || i.IsDir() {
				continue
			}
			if len(name) > 200 || strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == ':' }) >= 0 {
				a.warn("%s: %s/%q cannot be run by that name", pl.ID, of.dir, name)
				continue
			}
			g.Programs = append(g.Programs, supervise.Program{
				Name: name + of.suffix, Command: []string{filepath.Join(pl.Home, of.dir, name)}, Dir: pl.Home, User: u,
				Keep: of.keep, Limits: limits,
				Env: []string{"USER=" + pl.Name, "LOGNAME=" + pl.Name, "HOME=" + pl.Home},
				Log: "." + pl.ID + "_" + name + of.suffix + ".log",
			})
		}
	}
	return g, nil
}
