package node

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

const (
	watched     = "-on-watch" // behind the name of what must live
	maxPrograms = 1000
)

// start gives what an instance has left to run to the supervisor, and has it run.
func (t *task) start(ctx context.Context) error {
	g, err := t.group()
	if err != nil {
		return err
	}
	if len(g.Programs) == 0 {
		text := "No runners nor services found for " + t.ID
		t.appendLog(text)
		t.a.warn("%s", text)
		return t.a.Supervisor.Remove(ctx, t.ID)
	}
	changed, err := t.a.Supervisor.Put(ctx, g)
	if err != nil {
		return err
	}
	if changed {
		t.logAct("Updated '%s'", t.ID)
	}
	t.logAct("Requested start of %s...", t.ID)
	return t.a.Supervisor.Start(ctx, t.ID)
}

// stop ends all processes of an instance, wherever they hide. That includes processes that the
// supervisor did not begin, if their user belongs to this partition alone. Programs that hooks run
// for it go on.
func (t *task) stop(ctx context.Context) error {
	t.logAct("Requested stop of %s...", t.ID)
	if err := t.a.Supervisor.Remove(ctx, t.ID); err != nil {
		return err
	}
	uid, own := runas.Own(t.Home)
	if !own {
		return nil
	}
	all, err := t.a.Supervisor.Status(ctx)
	if err != nil {
		return err
	}
	spared := map[int]bool{} // each program begins a session
	for i := range all {
		spared[all[i].PID] = all[i].PID != 0
	}
	n, err := runas.EndUser(ctx, uid, func(session int) bool { return spared[session] })
	if n > 0 {
		t.a.warn("%s: %d processes of its user that had left its programs were ended.", t.ID, n)
	}
	return err
}

// group is what a partition has in etc/run, which may end, and in etc/service, which must not.
func (t *task) group() (supervise.Group, error) {
	g := supervise.Group{Name: t.ID}
	var limits *supervise.Limits
	if l, there := t.a.Limits[t.ID]; there {
		limits = &l
	}
	var u *supervise.User
	if t.User != nil {
		u = &supervise.User{UID: t.User.UID, GID: t.User.GID, Groups: t.User.Groups}
	}
	for _, of := range []struct {
		dir, suffix string
		keep        supervise.Keep
	}{{"etc/run", "", supervise.Once}, {"etc/service", watched, t.a.Keep}} {
		names, err := t.Dir.List(of.dir, maxPrograms)
		if err != nil {
			return g, err
		}
		for _, name := range names {
			i, err := t.Dir.Stat(of.dir + "/" + name)
			if err != nil || i.IsDir() {
				continue
			}
			if len(name) > 200 || strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == ':' }) >= 0 {
				t.a.warn("%s: %s/%q cannot be run by that name", t.ID, of.dir, name)
				continue
			}
			g.Programs = append(g.Programs, supervise.Program{
				Name: name + of.suffix, Command: []string{filepath.Join(t.Home, of.dir, name)}, Dir: t.Home, User: u,
				Keep: of.keep, Limits: limits,
				Env: []string{"USER=" + t.Name, "LOGNAME=" + t.Name, "HOME=" + t.Home},
				Log: "." + t.ID + "_" + name + of.suffix + ".log",
			})
		}
	}
	return g, nil
}
