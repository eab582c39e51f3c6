// Package nodereport has a node's report of its running programs, which only masters of ours take.
package nodereport

import (
	"strings"
	"time"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/text/exactjson"
)

// Method is the method by which a node of ours reports its running programs to a master of
// ours. Other masters do not have it.
const Method = "hostler.put.v0.compute_node_report"

// Report is what runs on a node: it is sent when it changes, and every few minutes.
type Report struct {
	Computer   string      `json:"computer_guid"`
	Partitions []Partition `json:"compute_partition_list"`
}

// Partition is a partition, its processes and its promises.
type Partition struct {
	ID        string    `json:"partition_id"`
	Processes []Process `json:"process_list,omitempty"`
	Promises  []Promise `json:"promise_list,omitempty"`
}

// Process is a process that is supervised.
type Process struct {
	Name    string    `json:"name"`
	State   string    `json:"state"` // in the supervisor's word: RUNNING, EXITED, FATAL
	PID     int       `json:"pid,omitempty"`
	Started time.Time `json:"started,omitzero"`
	CPU     float64   `json:"cpu,omitempty"`    // seconds since it started
	Memory  int64     `json:"memory,omitempty"` // bytes that are resident
}

// Promise is what a promise came to last.
type Promise struct {
	Name   string    `json:"name"`
	Failed bool      `json:"failed"`
	Text   string    `json:"text,omitempty"`
	At     time.Time `json:"at,omitzero"`
	// the hours up to Until, oldest first: - not asked, 0 kept, 1 to 9 the share of times at which
	// it failed, 9 all
	Hours string    `json:"hours,omitempty"`
	Until time.Time `json:"hours_until,omitzero"`
}

// The most that a report may have, and how much of each text is kept, in bytes.
const (
	maxReported     = 10000 // partitions, and processes and promises together
	maxReportedName = 255
	maxReportedText = 2000
	maxReportedDay  = 24 // hours
)

// Parse reads a report. Keys that are not known are passed over, as a node may be newer;
// long texts are cut.
func Parse(body []byte) (*Report, error) {
	n := &Report{}
	if err := exactjson.Unmarshal(body, n); err != nil {
		return nil, proto.Malformed("", "not the JSON of a node's report: %v", err)
	}
	if n.Computer == "" {
		return nil, proto.Malformed("computer_guid", "it is missing")
	}
	known, things := map[string]bool{}, 0
	for i := range n.Partitions {
		p := &n.Partitions[i]
		if p.ID == "" || known[p.ID] || len(p.ID) > maxReportedName {
			return nil, proto.Malformed("compute_partition_list", "partition_id %.80q is empty, too long, or there twice", p.ID)
		}
		known[p.ID] = true
		if things += 1 + len(p.Processes) + len(p.Promises); things > maxReported {
			return nil, proto.Malformed("compute_partition_list", "more than %d partitions, processes and promises", maxReported)
		}
		for j := range p.Processes {
			of := &p.Processes[j]
			of.Name, of.State = shortened(of.Name, maxReportedName), shortened(of.State, maxReportedName)
		}
		for j := range p.Promises {
			of := &p.Promises[j]
			of.Name, of.Text = shortened(of.Name, maxReportedName), shortened(of.Text, maxReportedText)
			if of.Until.IsZero() || len(of.Hours) != maxReportedDay || strings.Trim(of.Hours, "-0123456789") != "" {
				of.Hours, of.Until = "", time.Time{}
			}
		}
	}
	return n, nil
}

// shortened is the beginning of a text, of most bytes at most.
func shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}
