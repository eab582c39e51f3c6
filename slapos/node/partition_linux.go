package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/promise"
	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

const (
	logDir    = ".slapgrid"
	logFile   = ".slapgrid/log/instance.log"
	maxLog    = 20 << 20
	maxReport = 60 << 10 // bytes of an error that the master is told
)

// step takes the planned step of a partition.
func (a *Agent) step(ctx context.Context, s Step, o Options) error {
	p := s.Partition
	switch s.Action {
	case Pass:
		return nil
	case Tidy:
		return a.tidy(p, s.Reason)
	case Refuse:
		err := &compute.Error{Op: "node", ID: compute.ID(p.ID), Kind: compute.ErrInvalid, Err: errors.New(s.Reason)}
		a.warn("%v", err)
		if s.Silent {
			return err
		}
		return a.reportError(ctx, p, err)
	}
	t, err := a.open(p)
	if err != nil {
		return a.reportError(ctx, p, err)
	}
	defer t.Dir.Close()
	return t.do(ctx, s, o)
}

// task is a partition while a step is taken there: by it, the agent works on that partition alone.
type task struct {
	*PartitionDir
	a *Agent
}

// do looks at a partition, or processes it.
func (t *task) do(ctx context.Context, s Step, o Options) error {
	if t.a.Hook != nil {
		if err := t.a.Hook(ctx, t.PartitionDir, false); err != nil {
			return t.failed(ctx, err)
		}
	}
	if err := t.Dir.Remove(asked(t.ID)); err != nil {
		return t.failed(ctx, err)
	}
	if s.Action == Process {
		return t.process(ctx, o, s.Reason)
	}
	var err error
	if t.State == proto.Started && t.a.Promises != nil {
		err = t.checkAnomalies(ctx)
	}
	return errors.Join(err, t.after(ctx))
}

// asked is the file to which the library of an instance adds its requests.
func asked(id string) string { return ".slapos-request-transaction-" + id }

func errorLog(id string) string { return ".slapgrid-" + id + "-error.log" }

// open takes a partition's directory.
func (a *Agent) open(p *proto.Partition) (*task, error) {
	d, err := home.Open(a.dir(p.ID))
	if err != nil {
		return nil, err
	}
	pl := &PartitionDir{Partition: p, Dir: d, Release: a.release(p.Release), Home: d.Path()}
	if pl.User, pl.Name, err = owner(d); err != nil {
		_ = d.Close()
		return nil, err
	}
	return &task{pl, a}, nil
}

// owner is the user of a partition: the owner of its directory, with the groups of that user's
// name. Without root, it is our own user.
func owner(d *home.Dir) (*runas.User, string, error) {
	uid, gid := d.Owner()
	name := strconv.Itoa(int(uid))
	if known, err := user.LookupId(name); err == nil {
		name = known.Username
	}
	u, err := runas.As(uid, gid)
	if err != nil {
		return nil, "", &compute.Error{
			Op: "node", ID: compute.ID(d.Path()), Kind: compute.ErrDenied,
			Err:  errors.New("it belongs to root, and no instance runs as root"),
			Hint: "hostler slapos node format gives it to its user",
		}
	}
	return u, name, nil
}

// tidy takes away what a pass remembers of a partition that is free.
func (a *Agent) tidy(p *proto.Partition, reason string) error {
	d, err := home.Open(a.dir(p.ID))
	if errors.Is(err, compute.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	defer d.Close()
	if strings.Contains(reason, "files") {
		a.warn("%s: %s", p.ID, reason)
	}
	// the last is there when the master was not told of its end at once
	return errors.Join(d.Remove(logDir), d.Remove(stampFile), d.Remove(errorLog(p.ID)))
}

// process brings a partition to the wanted state.
func (t *task) process(ctx context.Context, o Options, reason string) error {
	p := t.Partition
	stop := o.Stop && p.State == proto.Started
	n, err := runas.End(ctx, runas.Partition(t.a.Computer, t.Home), t.User)
	if err != nil {
		return t.failed(ctx, err)
	} else if n > 0 {
		t.a.warn("%s: %d processes that a pass before left were ended.", p.ID, n)
	}
	if !stop {
		if err := t.Dir.Remove(stampFile); err != nil {
			return t.failed(ctx, err)
		}
	}
	if err := t.Dir.MakeDir(filepath.Dir(logFile), 0o750); err != nil {
		return t.failed(ctx, err)
	}
	t.logAct("Processing Computer Partition %s.", p.ID)
	t.logAct("  Software URL: %s", p.Release)
	t.logAct("  Software path: %s", t.Release)
	t.logAct("  Instance path: %s", t.Home)
	t.logAct("  Instance status: %s (%s)", p.State, reason)
	err = errors.Join(t.certificate(ctx), t.Dir.Remove(errorLog(p.ID)))
	if err == nil {
		err = t.apply(ctx, stop)
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil && stop:
	case err == nil && p.Timestamp != "":
		err = t.Dir.WriteOur(stampFile, []byte(p.Timestamp), 0o644)
	case err != nil && !isPromise(err):
		_ = t.Dir.Write(errorLog(p.ID), []byte(err.Error()+"\n"), 0o644)
		if p.State == proto.Started && !stop && t.a.Promises != nil {
			// the results are for the people that look after the instance
			_, _ = t.a.Promises(ctx, t.PartitionDir, promise.Test)
		}
	}
	if err != nil {
		return t.failed(ctx, err)
	}
	return t.after(ctx)
}

// apply has a partition in the state that is wanted, and tells the master.
func (t *task) apply(ctx context.Context, stop bool) error {
	p := t.Partition
	switch {
	case stop:
		if err := t.install(ctx); err != nil {
			return err
		}
		return t.stop(ctx)
	case p.State == proto.Destroyed:
		if err := errors.Join(t.stop(ctx), t.firewall(ctx, false)); err != nil {
			return err
		}
		if err := t.forget(ctx); err != nil {
			return err
		}
		return t.report(ctx, proto.Stopped)
	case p.State == proto.Stopped:
		err := t.install(ctx)
		if err == nil {
			err = t.firewall(ctx, true)
		}
		if err = errors.Join(err, t.stop(ctx)); err != nil {
			return err
		}
		return errors.Join(t.report(ctx, proto.Stopped), t.reportChildren(ctx))
	}
	if err := t.install(ctx); err != nil {
		return err
	}
	if err := t.start(ctx); err != nil {
		return err
	}
	if err := t.firewall(ctx, true); err != nil {
		return err
	}
	if t.a.Promises != nil {
		t.logAct("Checking %s promises...", p.ID)
		if _, err := t.a.Promises(ctx, t.PartitionDir, promise.Test); err != nil {
			return err
		}
	}
	if err := t.report(ctx, proto.Started); err != nil {
		return err
	}
	return t.reportChildren(ctx)
}

func (t *task) firewall(ctx context.Context, wanted bool) error {
	if t.a.Firewall == nil {
		return nil
	}
	return t.a.Firewall(ctx, t.PartitionDir, wanted)
}

func (t *task) report(ctx context.Context, state string) error {
	_, err := t.a.Master.ReportInstance(ctx, t.a.Computer, t.ID, state)
	return err
}

// reportChildren tells the master what the instance has asked for.
func (t *task) reportChildren(ctx context.Context) error {
	titles := []string{}
	text, err := t.Dir.Read(asked(t.ID), 1<<20)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !known[line] {
			known[line] = true
			titles = append(titles, line)
		}
	}
	if err := t.a.Master.SetRelated(ctx, t.a.Computer, t.ID, titles); err != nil && !errors.Is(err, client.ErrNotFound) {
		return err
	}
	return nil
}

// checkAnomalies runs the promises of an instance that needs no processing, and tells the master of
// changes.
func (t *task) checkAnomalies(ctx context.Context) error {
	news, err := t.a.Promises(ctx, t.PartitionDir, promise.Anomaly)
	if err != nil && !isPromise(err) {
		return err
	}
	// a master that does not repeat the last status has got it when they were asked
	if _, untold := t.a.untold.Load(t.ID); !news && err == nil && t.AccessStatus == "" && !untold {
		return nil
	}
	t.a.untold.Store(t.ID, true)
	switch promise.ReportFor(err != nil, t.AccessStatus) {
	case promise.Broken:
		_ = t.a.Master.ReportInstanceError(ctx, t.a.Computer, t.ID, "", cut(api.Text(err)))
	case promise.Well:
		if e := t.report(ctx, proto.Started); e != nil {
			return e
		}
	}
	if err == nil {
		t.a.untold.Delete(t.ID)
	}
	return err
}

// after is called when all else was done with a partition.
func (t *task) after(ctx context.Context) error {
	if t.a.Hook == nil {
		return nil
	}
	return t.a.Hook(ctx, t.PartitionDir, true)
}

// failed ends a partition's processing with an error.
func (t *task) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t.appendLog(api.Text(err))
	return t.a.reportError(ctx, t.Partition, errors.Join(err, t.after(ctx)))
}

// reportError tells the master why a partition is not as it is wanted, and returns the reason.
func (a *Agent) reportError(ctx context.Context, p *proto.Partition, err error) error {
	a.warn("%s: %s", p.ID, strings.TrimPrefix(api.Text(err), p.ID+": "))
	if errors.Is(err, client.ErrUnreachable) {
		return err
	}
	if bad := a.Master.ReportInstanceError(ctx, a.Computer, p.ID, "", cut(api.Text(err))); bad != nil {
		a.warn("%s: the master does not take its error: %v", p.ID, bad)
	}
	return err
}

// cut is a text as long as a master is told.
func cut(text string) string {
	if len(text) <= maxReport {
		return text
	}
	return strings.ToValidUTF8("…"+text[len(text)-maxReport:], "")
}

// logAct logs an act on a partition, here and in its own log.
func (t *task) logAct(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	t.a.say("%s", text)
	t.appendLog(text)
}

// appendLog appends to a partition's log. Its owner may change the log, to no one else's harm.
func (t *task) appendLog(text string) {
	_ = t.Dir.Append(logFile, []byte(time.Now().Format("2006-01-02 15:04:05")+" "+text+"\n"), 0o640, maxLog)
}
