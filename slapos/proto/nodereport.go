package proto

import (
	"strings"
	"time"

	"github.com/hostler-project/hostler/text/exactjson"
)

// NodeReportName is the method by which a node of ours reports its running programs to a master of
// ours. Other masters do not have it.
const NodeReportName = "hostler.put.v0.compute_node_report"

// A NodeReport is what runs on a node: it is sent when it changes, and every few minutes.
type NodeReport struct {
	Computer   string            `json:"computer_guid"`
	Partitions []ReportPartition `json:"compute_partition_list"`
}

// A ReportPartition is a partition, its processes and its promises.
type ReportPartition struct {
	ID        string          `json:"partition_id"`
	Processes []ReportProcess `json:"process_list,omitempty"`
	Promises  []ReportPromise `json:"promise_list,omitempty"`
}

// A ReportProcess is a process that is supervised.
type ReportProcess struct {
	Name    string    `json:"name"`
	State   string    `json:"state"` // in the supervisor's word: RUNNING, EXITED, FATAL
	PID     int       `json:"pid,omitempty"`
	Started time.Time `json:"started,omitzero"`
	CPU     float64   `json:"cpu,omitempty"`    // seconds since it started
	Memory  int64     `json:"memory,omitempty"` // bytes that are resident
}

// A ReportPromise is what a promise came to last.
type ReportPromise struct {
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

// ParseNodeReport reads a report. Keys that are not known are passed over, as a node may be newer;
// long texts are cut.
func ParseNodeReport(body []byte) (*NodeReport, error) {
	n := &NodeReport{}
	if err := exactjson.Unmarshal(body, n); err != nil {
		return nil, Malformed("", "not the JSON of a node's report: %v", err)
	}
	if n.Computer == "" {
		return nil, Malformed("computer_guid", "it is missing")
	}
	known, things := map[string]bool{}, 0
	for i := range n.Partitions {
		p := &n.Partitions[i]
		if p.ID == "" || known[p.ID] || len(p.ID) > maxReportedName {
			return nil, Malformed("compute_partition_list", "partition_id %.80q is empty, too long, or there twice", p.ID)
		}
		known[p.ID] = true
		if things += 1 + len(p.Processes) + len(p.Promises); things > maxReported {
			return nil, Malformed("compute_partition_list", "more than %d partitions, processes and promises", maxReported)
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
