package ironic_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

// bay is a node of the scenario, as the lab's README has it: its class, what its driver is told,
// and the state that it is brought to.
type bay struct {
	class  string
	traits []string
	driver map[string]any
	verbs  []string // ! at the end: it fails
	more   map[string]any
}

// bays are twelve nodes in every state.
var bays = map[string]bay{
	"bm-00": {class: "small"},
	"bm-01": {class: "small", driver: map[string]any{"lab_fail": "power"}, verbs: []string{"manage!"}},
	"bm-02": {class: "small", verbs: []string{"manage"}},
	"bm-03": {class: "small", verbs: []string{"manage", "provide"}},
	"bm-04": {class: "small", verbs: []string{"manage", "provide"}},
	"bm-05": {class: "large", traits: []string{"CUSTOM_GPU"}, verbs: []string{"manage", "provide"}},
	"bm-06": {class: "large", driver: map[string]any{"lab_power_seconds": 1}, verbs: []string{"manage", "provide"}},
	"bm-07": {class: "large", traits: []string{"CUSTOM_GPU"}, verbs: []string{"manage", "provide", "active"}},
	"bm-08": {class: "small", verbs: []string{"manage", "provide", "maintenance"}},
	"bm-09": {class: "small", driver: map[string]any{"lab_fail": "deploy"}, verbs: []string{"manage", "provide", "active!"}},
	"bm-10": {class: "small", driver: map[string]any{"lab_fail": "clean"}, verbs: []string{"manage", "provide!"}},
	"bm-11": {class: "small", verbs: []string{"manage", "provide"}, more: map[string]any{"driver": "fake-hardware", "owner": nil}},
}

// bareNode is what Ironic says of a node, as far as the scenario looks at it.
type bareNode struct {
	UUID        string                 `json:"uuid"`
	Name        string                 `json:"name"`
	State       string                 `json:"provision_state"`
	Power       string                 `json:"power_state"`
	Instance    string                 `json:"instance_uuid"`
	Reservation string                 `json:"reservation"`
	Maintenance bool                   `json:"maintenance"`
	LastError   string                 `json:"last_error"`
	Updated     string                 `json:"updated_at"`
	Info        map[string]any         `json:"instance_info"`
	Extra       struct{ Hostler mark } `json:"extra"`
}

type mark struct {
	Image, State, Instance string
	HostKey                string `json:"host_key"`
	Attempt                int
}

// operator is a person with Ironic's own commands.
type operator struct {
	testing.TB
	c   *gophercloud.ServiceClient
	ids map[string]string // of nodes, by their names
}

func (p *operator) ask(method, path string, body, out any) error {
	resp, err := p.c.Request(
		context.Background(), method, p.c.ServiceURL(path),
		&gophercloud.RequestOpts{JSONBody: body, JSONResponse: out, OkCodes: []int{200, 201, 202, 204}},
	)
	if err == nil && out == nil {
		resp.Body.Close()
	}
	return err
}

// insist repeats what is refused because another operation has the node.
func (p *operator) insist(method, path string, body, out any) {
	p.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		err := p.ask(method, path, body, out)
		if err == nil {
			return
		}
		if !gophercloud.ResponseCodeIs(err, http.StatusConflict) || time.Now().After(end) {
			p.Fatalf("%s %s: %v", method, path, err)
		}
	}
}

func (p *operator) node(name string) (n bareNode) {
	p.Helper()
	p.insist(http.MethodGet, "nodes/"+p.ids[name], nil, &n)
	return n
}

func (p *operator) all() map[string]bareNode {
	p.Helper()
	out := map[string]bareNode{}
	for name := range p.ids {
		out[name] = p.node(name)
	}
	return out
}

func (p *operator) provision(name, verb string, to string) {
	p.Helper()
	p.insist(http.MethodPut, "nodes/"+p.ids[name]+"/states/provision", map[string]any{"target": verb}, nil)
	p.until(name+" is "+to, func() (bool, any) { n := p.node(name); return n.State == to && n.Reservation == "", n })
}

func (p *operator) patch(name string, ops ...map[string]any) {
	p.Helper()
	p.insist(http.MethodPatch, "nodes/"+p.ids[name], ops, nil)
}

func (p *operator) maintenance(name string, on bool) {
	p.Helper()
	p.patch(name, map[string]any{"op": "replace", "path": "/maintenance", "value": on})
}

// until waits for something to be so. seen is shown when it does not come.
func (p *operator) until(what string, ok func() (ok bool, seen any)) {
	p.Helper()
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(500 * time.Millisecond) {
		is, seen := ok()
		if is {
			return
		}
		if time.Now().After(end) {
			p.Fatalf("it does not come that %s; last seen: %+v", what, seen)
		}
	}
}

// build makes the twelve.
func (p *operator) build() {
	p.Helper()
	goals := map[string]string{
		"manage": "manageable", "provide": "available", "active": "active", "manage!": "enroll",
		"provide!": "clean failed", "active!": "deploy failed",
	}
	for name, b := range bays {
		driver := map[string]any{"lab_deploy_seconds": 1, "lab_clean_seconds": 1}
		maps.Copy(driver, b.driver)
		body := map[string]any{
			"name": name, "driver": "oslab-hardware", "resource_class": b.class, "driver_info": driver,
			"properties": map[string]any{"cpus": 8, "memory_mb": 1024},
		}
		maps.Copy(body, b.more)
		var n bareNode
		p.insist(http.MethodPost, "nodes", body, &n)
		p.ids[name] = n.UUID
		for _, trait := range b.traits {
			p.insist(http.MethodPut, "nodes/"+n.UUID+"/traits/"+trait, nil, nil)
		}
	}
	for step := range 3 { // all nodes beside each other
		for name, b := range bays {
			if step < len(b.verbs) && goals[b.verbs[step]] != "" {
				p.insist(
					http.MethodPut, "nodes/"+p.ids[name]+"/states/provision",
					map[string]any{"target": strings.TrimSuffix(b.verbs[step], "!")}, nil,
				)
			}
		}
		for name, b := range bays {
			if step < len(b.verbs) && goals[b.verbs[step]] == "" {
				p.maintenance(name, true)
			} else if step < len(b.verbs) {
				p.until(name+" went through "+b.verbs[step], func() (bool, any) {
					n := p.node(name)
					return n.State == goals[b.verbs[step]] && n.Reservation == "" &&
							(n.LastError != "") == strings.HasSuffix(b.verbs[step], "!"),
						n
				})
			}
		}
	}
}
