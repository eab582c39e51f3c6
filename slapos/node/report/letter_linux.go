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

// letters is a directory below the instances': what is being told, a file for each journal. It is
// written before the journal goes, and taken away when the master has answered and the files that
// the journal is of are gone. One that is there was perhaps heard: it is told again as it is, of
// the same time and in the same words, by which a master of ours knows it, and who keeps the books
// of another may.
const letters = "var/hostler/usage"

const (
	maxLetter  = 4 << 20 // bytes
	maxLetters = 10000
)

// letter is a journal and what it is of.
type letter struct {
	Journal []proto.Transaction `json:"journal"`
	Of      []said              `json:"of"`
}

// said is what a partition has said: files of its own directory, or what others have left of it
// below the instances'.
type said struct {
	Partition string       `json:"partition"`
	Here      bool         `json:"here"`
	Files     []usage.File `json:"files"`
}

// write records a letter.
func (p *Pass) write(root *home.Dir, l *letter) (name string, err error) {
	data, err := json.Marshal(l)
	if err != nil {
		return "", err
	}
	if err := root.MakeDir(letters, 0o755); err != nil {
		return "", err
	}
	there, err := root.List(letters, maxLetters)
	if err != nil {
		return "", err
	}
	// the same again and again, so that what was half written when a pass was killed is taken away
	// by the next
	n := 0
	for slices.Contains(there, fmt.Sprintf("%d.json", n)) {
		n++
	}
	name = path.Join(letters, fmt.Sprintf("%d.json", n))
	return name, root.WriteOur(name, data, 0o600)
}

// post tells a letter, which is recorded by that name; "": it is not. What the master refuses is no
// letter any more: the next pass makes another.
func (p *Pass) post(ctx context.Context, root *home.Dir, name string, l *letter) error {
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

// forget takes away what was told.
func (p *Pass) forget(root *home.Dir, l *letter) {
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

// again tells the letters of passes that were killed, or not answered. It returns the partitions of
// those that still are not.
func (p *Pass) again(ctx context.Context, root *home.Dir) (of []string) {
	names, err := root.List(letters, maxLetters)
	if err != nil {
		p.log("what was being told: %v", err)
	}
	for _, base := range names {
		name := path.Join(letters, base)
		data, ours, err := root.ReadOur(name, maxLetter)
		var l letter
		if err == nil && ours {
			err = json.Unmarshal(data, &l)
		}
		if bad := slices.ContainsFunc(l.Of, func(s said) bool { return !home.IsPartition(s.Partition) }); err != nil || !ours || bad {
			p.log("%s is no record of what was being told, and is removed", path.Join(root.Path(), name))
			_ = root.Remove(name)
			continue
		}
		if err := p.post(ctx, root, name, &l); err != nil {
			p.log("What was used could not be told, and will be again: %v", err)
			for _, s := range l.Of {
				of = append(of, s.Partition)
			}
		}
	}
	return of
}
