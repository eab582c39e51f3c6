package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/usage"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// pendingDir is a directory below the instances': the reports that are being sent, a file for each
// journal. A file is written before its journal is sent. It is removed when the master has answered
// and the journal's source files are gone. The master may have got an old one already: it is sent
// again unchanged, with the same time and words. Our own master recognizes the repetition by these,
// and the operator of another can.
const pendingDir = "var/hostler/usage"

const (
	maxPending      = 4 << 20 // bytes
	maxPendingFiles = 10000
)

// pendingReport is a journal and its source files.
type pendingReport struct {
	Journal []proto.Transaction `json:"journal"`
	Of      []usageSource       `json:"of"`
}

// usageSource is what a partition has said: files of its own directory, or what others have left
// of it below the instances'.
type usageSource struct {
	Partition string       `json:"partition"`
	Here      bool         `json:"here"`
	Files     []usage.File `json:"files"`
}

// write records a report.
func (p *Pass) write(root *home.Dir, l *pendingReport) (name string, err error) {
	data, err := json.Marshal(l)
	if err != nil {
		return "", err
	}
	if err := root.MakeDir(pendingDir, 0o755); err != nil {
		return "", err
	}
	there, err := root.List(pendingDir, maxPendingFiles)
	if err != nil {
		return "", err
	}
	// always the same name, so that the next pass removes a half-written file of a killed one
	n := 0
	for slices.Contains(there, fmt.Sprintf("%d.json", n)) {
		n++
	}
	name = path.Join(pendingDir, fmt.Sprintf("%d.json", n))
	return name, root.WriteOur(name, data, 0o600)
}

// sendPending sends a report that is recorded by a name; "": it is not recorded. If the master
// refuses it, it is dropped: the next pass makes another.
func (p *Pass) sendPending(ctx context.Context, root *home.Dir, name string, l *pendingReport) error {
	err := p.Master.ReportUsage(ctx, p.Computer, l.Journal)
	if e, ok := errors.AsType[*client.Error](err); err != nil && !(ok && e.Status >= 400 && e.Status < 500) {
		return err
	}
	if err == nil {
		p.forget(root, l)
	}
	if name != "" {
		err = errors.Join(err, root.Remove(name))
	}
	return err
}

// forget deletes the source files of a report that was sent.
func (p *Pass) forget(root *home.Dir, l *pendingReport) {
	for _, s := range l.Of {
		dir := root
		if s.Here {
			var err error
			if dir, err = p.open(s.Partition); err != nil {
				p.log("%s", toldAgain(err))
				continue
			}
		}
		if err := usage.Forget(dir, s.Files); err != nil {
			p.log("%s", toldAgain(err))
		}
		if s.Here {
			_ = dir.Close()
		}
	}
}

func toldAgain(err error) string {
	return fmt.Sprintf("what was told is told again, as it cannot be removed: %v", err)
}

// again sends the reports of passes that were killed, or got no answer. It returns the partitions
// of those that still have none.
func (p *Pass) again(ctx context.Context, root *home.Dir) (of []string) {
	names, err := root.List(pendingDir, maxPendingFiles)
	if err != nil {
		p.log("what was being told: %v", err)
	}
	for _, base := range names {
		name := path.Join(pendingDir, base)
		data, ours, err := root.ReadOur(name, maxPending)
		var l pendingReport
		if err == nil && ours {
			err = json.Unmarshal(data, &l)
		}
		bad := slices.ContainsFunc(l.Of, func(s usageSource) bool { return !home.IsPartition(s.Partition) })
		if err != nil || !ours || bad {
			p.log("%s is no record of what was being told, and is removed", path.Join(root.Path(), name))
			_ = root.Remove(name)
			continue
		}
		if err := p.sendPending(ctx, root, name, &l); err != nil {
			p.log("What was used could not be told, and will be again: %v", err)
			for _, s := range l.Of {
				of = append(of, s.Partition)
			}
		}
	}
	return of
}
