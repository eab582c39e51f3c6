package report

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto"
)

// A Master is the master as the pass uses it; *client.Client is one.
type Master interface {
	Computer(ctx context.Context, id string) (*proto.Computer, error)
	ReportUsage(ctx context.Context, computer string, report []proto.Transaction) error
	ReportInstance(ctx context.Context, computer, partition, state string) (string, error)
	ReportInstanceError(ctx context.Context, computer, partition, shared, log string) error
}

// A Supervisor has the programs of partitions; *supervise.Client is one.
type Supervisor interface {
	Groups(ctx context.Context) ([]string, error)
	Status(ctx context.Context, names ...string) ([]supervise.Status, error)
	Remove(ctx context.Context, name string) error
}

// A Pass is what a report pass works with.
type Pass struct {
	Master     Master
	Supervisor Supervisor
	Computer   string // its ID

	InstanceRoot string        // has the partitions' directories
	Certificates string        // has PARTITION.key and PARTITION.crt; "": there are none
	Storage      string        // has dataN/PARTITION, more storage of partitions; "": there is none
	Timeout      time.Duration // of etc/report, all together, and of sbin/destroy; 0: usage.Limit

	// takes a partition until free is called; not ok: other work on it goes on. nil: there is no
	// other work
	Take func(id string) (free func(), ok bool)
	// called for each partition to destroy, when it has stopped; may be nil
	Hook func(ctx context.Context, p *proto.Partition, dir string) error
	Log  func(line string) // may be nil
	Now  func() time.Time  // nil: time.Now
}

// An Outcome is what came of a pass.
type Outcome struct {
	Partitions []string // of the computer, all of them
	// the number of these, and of the computer's own journals, that failed; each failure was
	// logged, and an instance's reported
	Failed int
}

// Run makes a pass. An error is that it could not be made, or not to its end.
func (p *Pass) Run(ctx context.Context) (Outcome, error) { return p.run(ctx, true) }

// Destroy is Run for the partitions to destroy alone, between two passes. For other partitions and
// the computer it only completes earlier reports, and runs none of their programs.
func (p *Pass) Destroy(ctx context.Context) (Outcome, error) { return p.run(ctx, false) }

// run does a pass: it reports the use, then completes destructions. Without whole it does so only
// for the partitions to destroy.
func (p *Pass) run(ctx context.Context, whole bool) (out Outcome, err error) {
	c, err := p.Master.Computer(ctx, p.Computer)
	if err != nil {
		return out, err
	}
	root, err := home.Open(p.InstanceRoot)
	if err != nil {
		return out, err
	}
	defer root.Close()
	bad := map[string]bool{}
	var busy []*proto.Partition
	for i := range c.Partitions {
		one := &c.Partitions[i]
		if one.Release == "" || !whole && one.State != proto.Destroyed {
			continue
		}
		if err := p.ours(one); err != nil {
			p.log("%v", err)
			bad[one.ID] = true
			continue
		}
		busy = append(busy, one)
	}
	p.log("Reporting the use of %d partitions...", len(busy))
	kept := p.reportUsage(ctx, root, busy, bad)
	if whole {
		if err := p.journals(ctx, root); err != nil {
			p.log("What %s used: %v", p.Computer, err)
			bad[p.Computer] = true
		}
	}
	all := make([]string, len(c.Partitions))
	for i := range c.Partitions {
		all[i] = c.Partitions[i].ID
	}
	for _, one := range busy {
		if one.State != proto.Destroyed {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		if err := p.destroy(ctx, one, all, kept[one.ID]); err != nil {
			p.fail(ctx, one.ID, err)
			bad[one.ID] = true
		}
	}
	return Outcome{all, len(bad)}, ctx.Err()
}

// ours checks the master's data of a partition: its name must be that of a directory, and its
// computer ours.
func (p *Pass) ours(one *proto.Partition) error {
	if !home.IsPartition(one.ID) {
		return fmt.Errorf("the master tells of a partition %.80q, which is no name of one: it is left out", one.ID)
	}
	if one.Computer != "" && one.Computer != p.Computer {
		return fmt.Errorf("the master tells of partition %s of %s, and this is %s: it is left out", one.ID, one.Computer, p.Computer)
	}
	return nil
}

const maxText = 60 << 10 // bytes of an error that is told

// fail reports the failure of an instance. If the master cannot be told, that is only logged.
func (p *Pass) fail(ctx context.Context, id string, err error) {
	text := err.Error()
	if e, ok := errors.AsType[*compute.Error](err); ok && e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	if len(text) > maxText { // a path may be very long
		text = strings.ToValidUTF8(text[:maxText/2]+" … "+text[len(text)-maxText/2:], "")
	}
	p.log("%s: %s", id, text)
	if err := p.Master.ReportInstanceError(ctx, p.Computer, id, "", text); err != nil {
		p.log("%s: the master could not be told: %v", id, err)
	}
}

// take takes a partition for us alone.
func (p *Pass) take(id string) (free func(), ok bool) {
	if p.Take == nil {
		return func() {}, true
	}
	return p.Take(id)
}

func (p *Pass) log(format string, args ...any) {
	if p.Log != nil {
		p.Log(fmt.Sprintf(format, args...))
	}
}

func (p *Pass) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// open opens a partition's directory.
func (p *Pass) open(id string) (*home.Dir, error) {
	d, err := home.Open(filepath.Join(p.InstanceRoot, id))
	if errors.Is(err, compute.ErrNotFound) {
		return nil, &compute.Error{Op: "report.Run", Kind: compute.ErrNotFound,
			Hint: "is instance_root mounted? hostler slapos node format makes the directories",
			Err:  fmt.Errorf("partition %s has no directory in %s", id, p.InstanceRoot)}
	}
	return d, err
}
