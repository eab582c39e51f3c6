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
	"github.com/hostler-project/hostler/slapos/node/once"
	"github.com/hostler-project/hostler/slapos/node/promise"
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
		return a.tell(ctx, p, err)
	}
	pl, err := a.open(p)
	if err != nil {
		return a.tell(ctx, p, err)
	}
	defer pl.Dir.Close()
	if a.Hook != nil {
		if err := a.Hook(ctx, pl, false); err != nil {
			return a.failed(ctx, pl, err)
		}
	}
	if err := pl.Dir.Remove(asked(p.ID)); err != nil {
		return a.failed(ctx, pl, err)
	}
	if s.Action == Process {
		return a.process(ctx, pl, o, s.Reason)
	}
	if p.State == proto.Started && a.Promises != nil {
		err = a.anomaly(ctx, pl)
	}
	return errors.Join(err, a.after(ctx, pl))
}

// asked is the file to which the library of an instance adds its requests.
func asked(id string) string { return ".slapos-request-transaction-" + id }

func errorLog(id string) string { return ".slapgrid-" + id + "-error.log" }

// open takes a partition's directory.
func (a *Agent) open(p *proto.Partition) (*Place, error) {
	d, err := home.Open(a.dir(p.ID))
	if err != nil {
		return nil, err
	}
	pl := &Place{Partition: p, Dir: d, Release: a.release(p.Release), Home: d.Path()}
	if pl.User, pl.Name, err = owner(d); err != nil {
		_ = d.Close()
		return nil, err
	}
	return pl, nil
}

// owner is the user of a partition: the owner of its directory, with the groups of that user's
// name. Without root, it is our own user.
func owner(d *home.Dir) (*once.User, string, error) {
	uid, gid := d.Owner()
	name := strconv.Itoa(int(uid))
	if known, err := user.LookupId(name); err == nil {
		name = known.Username
	}
	u, err := once.As(uid, gid)
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
func (a *Agent) process(ctx context.Context, pl *Place, o Options, reason string) error {
	p := pl.Partition
	stop := o.Stop && p.State == proto.Started
	n, err := once.End(ctx, once.Partition(a.Computer, pl.Home), pl.User)
	if err != nil {
		return a.failed(ctx, pl, err)
	} else if n > 0 {
		a.warn("%s: %d processes that a pass before left were ended.", p.ID, n)
	}
	if !stop {
		if err := pl.Dir.Remove(stampFile); err != nil {
			return a.failed(ctx, pl, err)
		}
	}
	if err := pl.Dir.MakeDir(filepath.Dir(logFile), 0o750); err != nil {
		return a.failed(ctx, pl, err)
	}
	a.note(pl, "Processing Computer Partition %s.", p.ID)
	a.note(pl, "  Software URL: %s", p.Release)
	a.note(pl, "  Software path: %s", pl.Release)
	a.note(pl, "  Instance path: %s", pl.Home)
	a.note(pl, "  Instance status: %s (%s)", p.State, reason)
	err = errors.Join(a.certificate(ctx, pl), pl.Dir.Remove(errorLog(p.ID)))
	if err == nil {
		err = a.bring(ctx, pl, stop)
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil && stop:
	case err == nil && p.Timestamp != "":
		err = pl.Dir.WriteOur(stampFile, []byte(p.Timestamp), 0o644)
	case err != nil && !isPromise(err):
		_ = pl.Dir.Write(errorLog(p.ID), []byte(err.Error()+"\n"), 0o644)
		if p.State == proto.Started && !stop && a.Promises != nil {
			// the results are for the people that look after the instance
			_, _ = a.Promises(ctx, pl, promise.Test)
		}
	}
	if err != nil {
		return a.failed(ctx, pl, err)
	}
	return a.after(ctx, pl)
}

// bring has a partition in the state that is wanted, and tells the master.
func (a *Agent) bring(ctx context.Context, pl *Place, stop bool) error {
	p := pl.Partition
	switch {
	case stop:
		if err := a.install(ctx, pl); err != nil {
			return err
		}
		return a.stop(ctx, pl)
	case p.State == proto.Destroyed:
		if err := errors.Join(a.stop(ctx, pl), a.firewall(ctx, pl, false)); err != nil {
			return err
		}
		if err := a.forget(ctx, pl); err != nil {
			return err
		}
		return a.report(ctx, pl, proto.Stopped)
	case p.State == proto.Stopped:
		err := a.install(ctx, pl)
		if err == nil {
			err = a.firewall(ctx, pl, true)
		}
		if err = errors.Join(err, a.stop(ctx, pl)); err != nil {
			return err
		}
		return errors.Join(a.report(ctx, pl, proto.Stopped), a.related(ctx, pl))
	}
	if err := a.install(ctx, pl); err != nil {
		return err
	}
	if err := a.start(ctx, pl); err != nil {
		return err
	}
	if err := a.firewall(ctx, pl, true); err != nil {
		return err
	}
	if a.Promises != nil {
		a.note(pl, "Checking %s promises...", p.ID)
		if _, err := a.Promises(ctx, pl, promise.Test); err != nil {
			return err
		}
	}
	if err := a.report(ctx, pl, proto.Started); err != nil {
		return err
	}
	return a.related(ctx, pl)
}

func (a *Agent) firewall(ctx context.Context, pl *Place, wanted bool) error {
	if a.Firewall == nil {
		return nil
	}
	return a.Firewall(ctx, pl, wanted)
}

func (a *Agent) report(ctx context.Context, pl *Place, state string) error {
	_, err := a.Master.ReportInstance(ctx, a.Computer, pl.ID, state)
	return err
}

// related tells the master what the instance has asked for.
func (a *Agent) related(ctx context.Context, pl *Place) error {
	titles := []string{}
	text, err := pl.Dir.Read(asked(pl.ID), 1<<20)
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
	if err := a.Master.SetRelated(ctx, a.Computer, pl.ID, titles); err != nil && !errors.Is(err, client.ErrNotFound) {
		return err
	}
	return nil
}

// anomaly runs the promises of an instance that needs no processing, and tells the master of
// changes.
func (a *Agent) anomaly(ctx context.Context, pl *Place) error {
	news, err := a.Promises(ctx, pl, promise.Anomaly)
	if err != nil && !isPromise(err) {
		return err
	}
	// a master that does not repeat the last status has got it when they were asked
	if _, untold := a.untold.Load(pl.ID); !news && err == nil && pl.AccessStatus == "" && !untold {
		return nil
	}
	a.untold.Store(pl.ID, true)
	switch promise.Tell(err != nil, pl.AccessStatus) {
	case promise.Broken:
		_ = a.Master.ReportInstanceError(ctx, a.Computer, pl.ID, "", cut(api.Text(err)))
	case promise.Well:
		if e := a.report(ctx, pl, proto.Started); e != nil {
			return e
		}
	}
	if err == nil {
		a.untold.Delete(pl.ID)
	}
	return err
}

// after is called when all else was done with a partition.
func (a *Agent) after(ctx context.Context, pl *Place) error {
	if a.Hook == nil {
		return nil
	}
	return a.Hook(ctx, pl, true)
}

// failed ends a partition's processing with an error.
func (a *Agent) failed(ctx context.Context, pl *Place, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	a.keep(pl, api.Text(err))
	return a.tell(ctx, pl.Partition, errors.Join(err, a.after(ctx, pl)))
}

// tell tells the master why a partition is not as it is wanted, and returns the reason.
func (a *Agent) tell(ctx context.Context, p *proto.Partition, err error) error {
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

// note logs an act on a partition, here and in its own log.
func (a *Agent) note(pl *Place, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	a.say("%s", text)
	a.keep(pl, text)
}

// keep appends to a partition's log. Its owner may change the log, to no one else's harm.
func (a *Agent) keep(pl *Place, text string) {
	_ = pl.Dir.Append(logFile, []byte(time.Now().Format("2006-01-02 15:04:05")+" "+text+"\n"), 0o640, maxLog)
}
