package report

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/node/usage"
	"github.com/hostler-project/hostler/slapos/proto"
)

// The files of a partition that say when it may be destroyed.
const (
	delayFile = ".slapos-retention-lock-delay" // days
	dateFile  = ".slapos-retention-lock-date"  // seconds since 1970
	waitFile  = ".slapos-report-wait-service-list"

	destroyer = "sbin/destroy"
	maxNote   = 64 << 10    // bytes of any of them
	maxKept   = 100 * 365.0 // days
)

// destroy stops a partition to be destroyed, and destroys it when nothing delays that. kept says
// that its use could not be reported yet. all are the partitions' names.
func (p *Pass) destroy(ctx context.Context, one *proto.Partition, all []string, kept bool) error {
	free, ok := p.take(one.ID)
	if !ok {
		p.log("%s is not destroyed yet: it is being processed.", one.ID)
		return nil
	}
	defer free()
	if err := p.Supervisor.Remove(ctx, one.ID); err != nil {
		return err
	}
	if _, err := p.Master.ReportInstance(ctx, p.Computer, one.ID, proto.Stopped); err != nil {
		return err
	}
	d, err := p.open(one.ID)
	if err != nil {
		return err
	}
	defer d.Close()
	user, err := owner(d)
	if err != nil { // a directory of root's holds no instance
		return err
	}
	if p.Hook != nil {
		if err := p.Hook(ctx, one, d.Path()); err != nil {
			return err
		}
	}
	if kept {
		p.log("%s is not destroyed yet: what it used could not be told.", one.ID)
		return nil
	}
	if waits, err := p.Waits(ctx, d, one.ID); err != nil {
		return err
	} else if waits != "" {
		p.log("%s is not destroyed yet: %s still runs.", one.ID, waits)
		return nil
	}
	until, err := Retention(d, p.now())
	if err != nil {
		return err
	}
	if until.After(p.now()) {
		p.log("%s is not destroyed before %s: it is to be kept so long.", one.ID, until.UTC().Format(time.RFC3339))
		return nil
	}
	p.log("Destroying %s...", one.ID)
	if err := p.wipe(ctx, d, one.ID, user); err != nil {
		return err
	}
	if err := p.dismiss(ctx, one.ID, all); err != nil {
		return err
	}
	if uid, own := runas.Own(d.Path()); own { // hidden processes may have written something since
		if n, err := runas.EndUser(ctx, uid, nil); err != nil {
			return err
		} else if n > 0 {
			p.log("%s: %d processes of its user that had left its programs were ended.", one.ID, n)
			if err := d.Empty(); err != nil {
				return err
			}
		}
	}
	// The next instance there is another, be it of the same name.
	if err := os.Remove(filepath.Join(p.InstanceRoot, Memory, one.ID+".json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	answer, err := p.Master.ReportInstance(ctx, p.Computer, one.ID, proto.Destroyed)
	if err == nil && answer != "" && answer != "OK" {
		p.log("%s: the master says: %s", one.ID, answer)
	}
	return err
}

// Memory is a directory below the instances': in PARTITION.json is what a node remembers of an
// instance of the lighter kind, for as long as there is that instance.
const Memory = "var/hostler/light"

// Waits names a program that delays the destruction of a partition; "": none.
func (p *Pass) Waits(ctx context.Context, d *home.Dir, id string) (string, error) {
	data, err := d.Read(waitFile, maxNote)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	wanted := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		// A user that can write the file may delay the destruction of that user's own instance, and
		// only by programs of that instance.
		if name := strings.TrimSpace(line); strings.HasPrefix(name, id+"-") || strings.HasPrefix(name, id+":") {
			wanted[name] = true
		}
	}
	if len(wanted) == 0 {
		return "", nil
	}
	status, err := p.Supervisor.Status(ctx)
	if err != nil {
		return "", err
	}
	for i := range status {
		s := &status[i]
		if alive := s.State == supervise.Running || s.State == supervise.Backoff ||
			s.State == supervise.Stopping; alive && wanted[s.FullName()] {
			return s.FullName(), nil
		}
	}
	return "", nil
}

// Retention is until when a partition must be kept; the zero time: it need not be. The first time
// that it is asked, the date is written down.
func Retention(d *home.Dir, now time.Time) (time.Time, error) {
	at, err := number(d, dateFile)
	if err == nil {
		return time.Unix(int64(at), 0), nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, err
	}
	days, err := number(d, delayFile)
	if errors.Is(err, fs.ErrNotExist) || err == nil && days <= 0 {
		return time.Time{}, nil
	} else if err != nil {
		return time.Time{}, err
	}
	until := now.Add(time.Duration(min(days, maxKept) * 24 * float64(time.Hour)))
	return until, d.WriteOur(dateFile, []byte(strconv.FormatInt(until.Unix(), 10)), 0o644)
}

// number is what a file says. One that says no number is an error: nothing is destroyed by mistake.
func number(d *home.Dir, name string) (float64, error) {
	data, err := d.Read(name, 100)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(string(data)), 64)
	if err != nil || math.IsNaN(n) || math.Abs(n) > 1e15 {
		return 0, &compute.Error{Op: "report.Run", Kind: compute.ErrConflict, Hint: "remove the file if the instance need not be kept",
			Err: fmt.Errorf(
				"%s, which says how long the partition is to be kept, holds no number: %.40q",
				filepath.Join(d.Path(), name), data,
			)}
	}
	return n, nil
}

// wipe has a partition's own program undo what only it knows of, and removes all that is the
// partition's.
func (p *Pass) wipe(ctx context.Context, d *home.Dir, id string, user *runas.User) error {
	mark := runas.Partition(p.Computer, d.Path())
	// by passes that were killed
	for _, left := range []string{mark, runas.Reports(p.Computer, d.Path())} {
		if _, err := runas.End(ctx, left, user); err != nil {
			return err
		}
	}
	if d.Executable(destroyer) {
		out := &usage.Tail{}
		limit := p.Timeout
		if limit <= 0 {
			limit = usage.Limit
		}
		err := runas.Run(
			ctx,
			runas.Command{
				Argv: []string{filepath.Join(d.Path(), destroyer)}, Dir: d.Path(),
				Env: runas.Environ(os.Environ(), d.Path()), User: user, Umask: 0o027, Output: out, Limit: limit,
				Mark: mark,
			},
		)
		if err != nil {
			return &compute.Error{
				Op: "report.Run", Kind: compute.ErrFailed,
				Err: fmt.Errorf("sbin/destroy of %s failed: %w\n%s", id, err, out),
			}
		}
		// It is removed first, so it does not run again if we are killed: its files may be gone by
		// then.
		if err := d.Remove(destroyer); err != nil {
			return err
		}
	}
	if p.Certificates != "" {
		for _, end := range []string{".key", ".crt"} {
			if err := os.Remove(filepath.Join(p.Certificates, id+end)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	if err := p.external(id); err != nil {
		return err
	}
	// How long it was to be kept is known to the end: the delay goes first, as without the date it
	// would begin again.
	if err := d.Remove(delayFile); err != nil {
		return err
	}
	if err := d.Empty(dateFile); err != nil {
		return err
	}
	return d.Remove(dateFile)
}

// external empties the directories of a partition in further storage: those that are there,
// whatever the links of the partition say.
func (p *Pass) external(id string) error {
	if p.Storage == "" {
		return nil
	}
	all, err := filepath.Glob(filepath.Join(p.Storage, "data*"))
	if err != nil {
		return err
	}
	for _, data := range all {
		d, err := home.Open(filepath.Join(data, id))
		if errors.Is(err, compute.ErrNotFound) {
			continue
		} else if err != nil {
			return err
		}
		if err := errors.Join(d.Empty(), d.Close()); err != nil {
			return err
		}
	}
	return nil
}

// dismiss removes the groups of programs of a partition, also PARTITION-SUFFIX, which hooks make,
// unless that belongs to another partition.
func (p *Pass) dismiss(ctx context.Context, id string, all []string) error {
	groups, err := p.Supervisor.Groups(ctx)
	if err != nil {
		return err
	}
	for _, name := range groups {
		if groupOf(name, all) == id {
			if err := p.Supervisor.Remove(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// groupOf is the partition of a group; "": none's.
func groupOf(group string, all []string) (of string) {
	for _, id := range all {
		if (group == id || strings.HasPrefix(group, id+"-")) && len(id) > len(of) {
			of = id
		}
	}
	return of
}
