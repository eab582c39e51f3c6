package report

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/node/usage"
	"github.com/hostler-project/hostler/slapos/proto"
)

// maxJournal is the size, in bytes of a form, after which another journal is begun. One partition
// may have twice that, and a master of ours takes 1 MiB.
const maxJournal = 256 << 10

// A share is the report of one partition.
type share struct {
	id    string
	dir   *home.Dir
	found []*usage.Found
	all   []proto.Movement
	size  int
	more  bool // than that
}

func (s *share) close() { _ = s.dir.Close() }

// reportUsage runs the programs of etc/report, and reports the use to the master. kept are the
// partitions whose use is not reported completely.
func (p *Pass) reportUsage(ctx context.Context, root *home.Dir, busy []*proto.Partition, bad map[string]bool) (kept map[string]bool) {
	kept = map[string]bool{}
	for _, id := range p.again(ctx, root) {
		kept[id], bad[id] = true, true
	}
	var waiting []*share
	size := 0
	send := func() {
		if err := p.send(ctx, root, waiting); err != nil {
			p.log("What was used could not be told, and will be again: %v", err)
			for _, s := range waiting {
				kept[s.id], bad[s.id] = true, true
			}
		}
		for _, s := range waiting {
			s.close()
		}
		waiting, size = nil, 0
	}
	for _, one := range busy {
		if ctx.Err() != nil {
			break
		}
		if kept[one.ID] { // its use is perhaps reported already
			continue
		}
		s, err := p.gather(ctx, root, one)
		if errors.Is(err, errBusy) {
			p.log("%s is being processed: what it used is for the next time.", one.ID)
			kept[one.ID] = true
			continue
		} else if err != nil {
			bad[one.ID] = true
			p.fail(ctx, one.ID, err)
		}
		if s == nil {
			continue
		}
		if s.more { // use that is deleted now is never reported
			kept[one.ID] = true
		}
		if size > 0 && size+s.size > maxJournal {
			send()
		}
		waiting, size = append(waiting, s), size+s.size
	}
	send()
	return kept
}

// errBusy is of a partition with which another does something.
var errBusy = errors.New("it is being processed")

// owner is the user of a partition's programs.
func owner(d *home.Dir) (*runas.User, error) { return runas.As(d.Owner()) }

// gather runs a partition's programs, and reads their files and those of others. It may return a
// share together with an error.
func (p *Pass) gather(ctx context.Context, root *home.Dir, one *proto.Partition) (*share, error) {
	free, ok := p.take(one.ID)
	if !ok {
		return nil, errBusy
	}
	defer free()
	dir, err := p.open(one.ID)
	if err != nil {
		return nil, err
	}
	s := &share{id: one.ID, dir: dir}
	all := []error{usage.RunScripts(ctx, dir, owner, runas.Reports(p.Computer, dir.Path()), p.Timeout)}
	theirs, err := usage.Partition(dir)
	all = append(all, err)
	ours, err := usage.Ours(root, one.ID, false)
	all = append(all, err)
	for _, f := range []*usage.Found{theirs, ours} {
		if f == nil {
			continue
		}
		for _, wrong := range f.Wrong {
			p.log("%v", wrong)
		}
		s.more = s.more || f.More
		if !f.Empty() {
			s.found, s.size = append(s.found, f), s.size+f.Size
			s.all = append(s.all, usage.Of(one.ID, f.Movements)...)
		}
	}
	if len(s.found) == 0 {
		s.close()
		s = nil
	}
	return s, errors.Join(all...)
}

// send reports shares as one journal, and deletes their files.
func (p *Pass) send(ctx context.Context, root *home.Dir, of []*share) error {
	var all []proto.Movement
	l := &pendingReport{}
	for _, s := range of {
		all = append(all, s.all...)
		for _, f := range s.found {
			dir, files := f.Files()
			l.Of = append(l.Of, usageSource{Partition: s.id, Here: dir == s.dir, Files: files})
		}
	}
	if len(all) == 0 {
		p.forget(root, l)
		return nil
	}
	l.Journal = usage.Journal(p.Computer, p.now(), all)
	name, err := p.write(root, l)
	if err != nil { // the disk may be full of the very files that wait to be reported
		p.log("what is told now is not recorded, and may be told twice: %v", err)
		name = ""
	}
	return p.sendPending(ctx, root, name, l)
}

// journals sends the journals about the whole computer, each as it is.
func (p *Pass) journals(ctx context.Context, root *home.Dir) error {
	f, err := usage.Ours(root, p.Computer, true)
	if err != nil {
		return err
	}
	for _, wrong := range f.Wrong {
		p.log("%v", wrong)
	}
	// A repetition after a crash has the same words.
	_, files := f.Files()
	for i, journal := range f.Journals {
		if err := p.Master.ReportUsage(ctx, p.Computer, journal); err != nil {
			return err
		}
		if err := usage.Forget(root, files[i:i+1]); err != nil {
			p.log("%s", toldAgain(err))
		}
	}
	return nil
}
