package main

import (
	"encoding/json"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/slapos/slaptest"
)

// The commands of users that look: they ask what the reference's asked in captures node/ 029 to
// 040, and after it only, by the JSON API, what that did not tell; and print of the same answers
// what that printed.
func TestSlaposLooksLikeTheReference(t *testing.T) {
	for step, c := range map[string]struct {
		args []string
		want any
		more []string
	}{
		"g09-cli-service-list": {[]string{"service", "list"}, map[string]any{"demo1": "/srv/profiles/demo/software.cfg"}, nil},
		"g10-cli-service-info": {[]string{"service", "info", "demo1"}, map[string]any{"software-url": "/srv/profiles/demo/software.cfg",
			"software-type": "default", "shared": false,
			"requested-state": "started", "instance-parameters": map[string]any{"child": "yes"},
			"connection-parameters": map[string]any{"url": "http://[2001:db8:77::2]:8080/"}, "status": "unsupported"},
			[]string{`POST /slapos.get.v0.instance_tree {"title":"demo1"}`}},
		"g11-cli-computer-list": {[]string{"computer", "list"}, "List of Computers:\nCOMP-LAB COMP-LAB\n", nil},
		"g12-cli-computer-info": {[]string{"computer", "info", "COMP-LAB"}, "Reference: COMP-LAB\nTitle: COMP-LAB\n",
			[]string{
				"GET /hostler.put.v0.compute_node_report?computer_guid=COMP-LAB",
				`POST /slapos.allDocs.v0.compute_node_instance_list {"computer_guid":"COMP-LAB"}`,
				`POST /slapos.allDocs.v0.compute_node_software_installation_list {"computer_guid":"COMP-LAB"}`,
			}},
	} {
		t.Run(step, func(t *testing.T) {
			answers, asked := map[string]string{}, []string{}
			for _, e := range slaptest.Exchanges(t, "node") {
				if e.Step != step {
					continue
				}
				asked = append(asked, e.Method+" "+e.Path)
				answers[e.Path] = strconv.Itoa(e.Status) + "\n" + e.Answer
				if e.Status >= 300 && e.Status < 400 {
					answers[e.Path] = strconv.Itoa(e.Status) + "\nLocation: " + e.Answer
				}
			}
			m := slaposMaster(t, answers)
			code, out, errs := m.Run(t, c.args...)
			if code != 0 || errs != "" {
				t.Fatalf("code = %d\nout = %serrs = %s; want code == 0 and errs == \"\"", code, out, errs)
			}
			var got any = out
			if _, is := c.want.(string); !is {
				if err := json.Unmarshal([]byte(out), &got); err != nil {
					t.Fatalf("%v: out = %s; want no error", err, out)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			m.mu.Lock()
			slices.Sort(m.asked[min(len(asked), len(m.asked)):]) // which are in no order
			m.mu.Unlock()
			m.asks(t, append(asked, c.more...)...)
		})
	}
}
