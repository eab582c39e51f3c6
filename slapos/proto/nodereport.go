package proto

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hostler-project/hostler/text/exactjson"
)

// NodeReportName is the method by which a node of ours tells a master of ours what runs on it.
// Others do not have it.
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
		return nil, malformed("", "not the JSON of a node's report: %v", err)
	}
	if n.Computer == "" {
		return nil, malformed("computer_guid", "it is missing")
	}
	known, things := map[string]bool{}, 0
	for i := range n.Partitions {
		p := &n.Partitions[i]
		if p.ID == "" || known[p.ID] || len(p.ID) > maxReportedName {
			return nil, malformed("compute_partition_list", "partition_id %.80q is empty, too long, or there twice", p.ID)
		}
		known[p.ID] = true
		if things += 1 + len(p.Processes) + len(p.Promises); things > maxReported {
			return nil, malformed("compute_partition_list", "more than %d partitions, processes and promises", maxReported)
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

// ReportNode tells a master of ours what runs on a node. From another it is [ErrNotFound].
func (c *Client) ReportNode(ctx context.Context, n *NodeReport) error {
	body, err := json.Marshal(n)
	if err != nil {
		return unwritable("a node's report: %v", err)
	}
	_, err = c.do(
		ctx,
		call{
			op: NodeReportName, method: http.MethodPost, url: c.base.JoinPath(NodeReportName).String(),
			kind: "application/json", accept: "application/json", body: string(body),
		},
	)
	return err
}

// NodeReport is what the node of a computer told its master last of what runs on it, and when.
// [ErrNotFound]: it has told nothing, or the master is not one of ours.
func (c *Client) NodeReport(ctx context.Context, computer string) (*NodeReport, time.Time, error) {
	u := c.base.JoinPath(NodeReportName)
	u.RawQuery = url.Values{"computer_guid": {computer}}.Encode()
	body, err := c.do(ctx, call{op: NodeReportName, method: http.MethodGet, url: u.String(), accept: "application/json"})
	if err != nil {
		return nil, time.Time{}, err
	}
	var told struct {
		At     time.Time       `json:"at"`
		Report json.RawMessage `json:"report"`
	}
	if err := json.Unmarshal(body, &told); err != nil {
		return nil, time.Time{}, malformed("", "not the JSON of what a node reported: %v", err)
	}
	n, err := ParseNodeReport(told.Report)
	return n, told.At, err
}

// shortened is the beginning of a text, of so many bytes at most.
func shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}
