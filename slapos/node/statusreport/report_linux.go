package statusreport

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hostler-project/hostler/slapos/node/collect"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/promise"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto/nodereport"
)

// The limits of a master: 10,000 partitions, programs and promises together, and 4 MiB.
const (
	maxThings = 9000
	maxTexts  = 1 << 20
	maxText   = 2000
	maxDays   = 1000 // promises whose last day is reported: that takes reading their histories
)

// Report is the present state of partitions; nil: of all with anything in them. Unreadable parts
// are left out.
func (t *Sender) Report(ctx context.Context, partitions []string) (*nodereport.Report, error) {
	status, err := t.Supervisor.Status(ctx)
	if err != nil {
		return nil, err
	}
	uses, err := collect.Sessions()
	if err != nil {
		return nil, err
	}
	if partitions == nil {
		if partitions, err = Partitions(t.InstanceRoot); err != nil {
			return nil, err
		}
	}
	n := &nodereport.Report{Computer: t.Computer, Partitions: make([]nodereport.Partition, len(partitions))}
	at := map[string]*nodereport.Partition{}
	for i, id := range partitions {
		n.Partitions[i].ID = id
		at[id] = &n.Partitions[i]
	}
	// a partition with very many shows no more of them than others
	each := max(1, maxThings/max(1, len(partitions))/2)
	for i := range status {
		s := &status[i]
		id, name := belongs(s, at)
		p := at[id]
		if p == nil || len(p.Processes) >= each {
			continue
		}
		of := nodereport.Process{Name: name, State: string(s.State)}
		if s.PID != 0 {
			u := uses[s.PID]
			of.PID, of.Started, of.CPU, of.Memory = s.PID, s.Since.UTC(), u.CPU, u.Memory
		}
		p.Processes = append(p.Processes, of)
	}
	promises := 0
	for i := range n.Partitions {
		p := &n.Partitions[i]
		if filepath.Base(p.ID) != p.ID || p.ID == ".." {
			continue
		}
		p.Promises = promised(filepath.Join(t.InstanceRoot, p.ID), each)
		promises += len(p.Promises)
	}
	most := min(maxText, maxTexts/max(1, promises))
	for i := range n.Partitions {
		for j := range n.Partitions[i].Promises {
			of := &n.Partitions[i].Promises[j]
			of.Text = strings.ToValidUTF8(of.Text[:min(most, len(of.Text))], "")
		}
	}
	return n, nil
}

// Partitions are the directories in a root in which something was processed, or that a format has
// made.
func Partitions(root string) (all []string, err error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		for _, sign := range []string{".slapgrid", ".slapos-resource", ".timestamp"} {
			if _, err := os.Lstat(filepath.Join(root, e.Name(), sign)); e.IsDir() && err == nil {
				all = append(all, e.Name())
				break
			}
		}
	}
	return all, nil
}

// belongs is the partition of a program, and the program's name in it. Groups that hooks have made
// are called PARTITION-SUFFIX.
func belongs(s *supervise.Status, at map[string]*nodereport.Partition) (id, name string) {
	for id = s.Group; at[id] == nil; {
		i := strings.LastIndexByte(id, '-')
		if i < 0 {
			return "", ""
		}
		id = id[:i]
	}
	if rest := strings.TrimPrefix(s.Group[len(id):], "-"); rest != "" {
		return id, rest + ":" + s.Name
	}
	return id, s.Name
}

// promised is what the promises of a partition said last.
func promised(dir string, most int) (all []nodereport.Promise) {
	d, err := home.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	results, err := promise.Last(d)
	if err != nil {
		return nil
	}
	for _, r := range results[:min(most, len(results))] {
		all = append(all, nodereport.Promise{Name: r.Name, Failed: r.Failed, Text: r.Message, At: r.Date.UTC()})
	}
	return all
}

// hours adds to a report what the promises in it said in the last day.
func (t *Sender) hours(n *nodereport.Report, now time.Time) {
	until, left := promise.HourEnd(now), maxDays
	for i := range n.Partitions {
		p := &n.Partitions[i]
		if len(p.Promises) == 0 || left == 0 {
			continue
		}
		d, err := home.Open(filepath.Join(t.InstanceRoot, p.ID))
		if err != nil {
			continue
		}
		for j := range p.Promises[:min(left, len(p.Promises))] {
			of := &p.Promises[j]
			if all, err := promise.History(d, promise.Title(of.Name), until.Add(-promise.Day*time.Hour)); err == nil && len(all) > 0 {
				of.Hours, of.Until = promise.Hours(all, until), until
			}
			left--
		}
		_ = d.Close()
	}
}
