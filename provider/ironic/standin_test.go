package ironic_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/credentials"
)

// standin answers as a real Ironic 21.4 was seen to answer, with an identity service and an image
// service beside it.
type standin struct {
	*httptest.Server

	mu        sync.Mutex
	before    func(w http.ResponseWriter, r *http.Request) bool // see intercept
	tokens    int
	changes   int
	valid     map[string]bool // tokens
	order     []string
	nodes     map[string]map[string]any
	allocs    map[string]map[string]any
	images    []map[string]any
	pages     map[string][]byte // of the list, as long as nothing is changed
	calls     []string          // what changed something: "PUT n1 active"
	takesTest bool              // a patch may have tests, as no Ironic was seen to take them
	slow      bool              // a change of state waits for finish
	maxMinor  int
	pageMost  int
	deployErr string
	cleanErr  string
}

func newStandin(t testing.TB) *standin {
	s := &standin{
		nodes: map[string]map[string]any{}, allocs: map[string]map[string]any{}, valid: map[string]bool{}, maxMinor: 82,
		pageMost: 1000,
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

// session is a log-in at a stand-in.
func (s *standin) session(t testing.TB) *openstack.Session {
	t.Helper()
	c := credentials.Credentials{From: "a test", Auth: gophercloud.AuthOptions{
		IdentityEndpoint: s.URL + "/v3", Username: "u", Password: "p", DomainID: "default", AllowReauth: true,
		Scope: &gophercloud.AuthScope{ProjectID: "p1"},
	}}
	o, err := openstack.NewSession(c, openstack.SessionOptions{Rate: 1e6, Backoff: time.Millisecond, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.CloseIdle)
	return o
}

// uuid is the n-th node's.
func uuid(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// add makes a node that is available.
func (s *standin) add(n int, more map[string]any) string {
	node := map[string]any{
		"uuid": uuid(n), "name": fmt.Sprintf("node-%d", n), "provision_state": "available",
		"target_provision_state": nil, "power_state": "power off", "maintenance": false,
		"maintenance_reason": nil, "retired": false, "protected": false, "instance_uuid": nil, "allocation_uuid": nil,
		"reservation": nil, "fault": nil, "last_error": nil,
		"resource_class": "small", "traits": []any{}, "properties": map[string]any{"memory_mb": 32768},
		"driver_info": map[string]any{"ipmi_address": "192.0.2.1", "ipmi_password": "******"},
		"extra":       map[string]any{"rack": "a"}, "conductor": "c1", "conductor_group": "", "shard": nil,
		"instance_info": map[string]any{}, "provision_updated_at": "2026-11-21T22:22:28+00:00",
	}
	for k, v := range more {
		node[k] = v
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[uuid(n)] = node
	s.order = append(s.order, uuid(n))
	s.pages = nil
	return uuid(n)
}

// intercept has requests answered by f, in the stand-in's place; false: f has not answered. nil: by
// none.
func (s *standin) intercept(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// with changes a node, or looks at it.
func (s *standin) with(id string, f func(n map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages = nil
	f(s.nodes[id])
}

// get is a field of a node, by its path.
func (s *standin) get(id string, path ...string) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	var v any = s.nodes[id]
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

func (s *standin) called() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func say(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if v != nil {
		_ = json.NewEncoder(w).Encode(v)
	}
}

// refuse says no in Ironic's way: JSON within JSON.
func refuse(w http.ResponseWriter, code int, text string, args ...any) {
	inner, _ := json.Marshal(map[string]any{"faultcode": "Client", "faultstring": fmt.Sprintf(text, args...), "debuginfo": nil})
	say(w, code, map[string]string{"error_message": string(inner)})
}

func (s *standin) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/v3/auth/tokens" {
		s.tokens++
		token := fmt.Sprintf("token-%d", s.tokens)
		s.valid[token] = true
		w.Header().Set("X-Subject-Token", token)
		point := func(typ string) map[string]any {
			return map[string]any{
				"type":      typ,
				"endpoints": []any{map[string]string{"interface": "public", "url": s.URL + "/" + typ, "region": "R", "region_id": "R"}},
			}
		}
		say(w, http.StatusCreated, map[string]any{"token": map[string]any{
			"expires_at": time.Now().Add(time.Hour).Format(time.RFC3339),
			"catalog":    []any{point("baremetal"), point("image")}, "project": map[string]any{"id": "p1", "name": "p"},
		}})
		return
	}
	for typ, version := range map[string]string{"image": "v2.9", "baremetal": "v1"} {
		if strings.TrimSuffix(r.URL.Path, "/") == "/"+typ {
			say(
				w, http.StatusOK,
				map[string]any{"versions": []any{map[string]any{
					"id": version, "status": "CURRENT",
					"links": []any{map[string]string{"rel": "self", "href": s.URL + "/" + typ + "/" + version[:2] + "/"}},
				}}},
			)
			return
		}
		r.URL.Path = strings.TrimPrefix(r.URL.Path, "/"+typ)
	}
	if !s.valid[r.Header.Get("X-Auth-Token")] {
		say(
			w, http.StatusUnauthorized,
			map[string]any{"error": map[string]any{"code": 401, "message": "The request you have made requires authentication."}},
		)
		return
	}
	w.Header().Set("X-OpenStack-Ironic-API-Minimum-Version", "1.1")
	w.Header().Set("X-OpenStack-Ironic-API-Maximum-Version", fmt.Sprintf("1.%d", s.maxMinor))
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	_, asked, _ := strings.Cut(r.Header.Get("X-OpenStack-Ironic-API-Version"), ".")
	if n, _ := strconv.Atoi(asked); path[0] == "v1" && n > s.maxMinor {
		refuse(w, http.StatusNotAcceptable, "Version 1.%d was requested but the minor version is not supported by this service.", n)
		return
	}
	body, _ := io.ReadAll(r.Body)
	switch {
	case path[0] == "v2" && len(path) == 3:
		for _, i := range s.images {
			if i["id"] == path[2] {
				say(w, http.StatusOK, i)
				return
			}
		}
		say(w, http.StatusNotFound, nil)
	case path[0] == "v2":
		say(w, http.StatusOK, map[string]any{"images": s.images})
	case len(path) == 1:
		say(w, http.StatusOK, map[string]any{"id": "v1"})
	case path[1] == "allocations":
		s.allocation(w, r.Method, path[2:], body)
	case len(path) == 2:
		s.list(w, r)
	default:
		node := s.nodes[path[2]]
		if node == nil {
			refuse(w, http.StatusNotFound, "Node %s could not be found.", path[2])
			return
		}
		s.node(w, r, node, path[3:], body)
	}
}

// list answers with a page, as the real one: with a link at the end of a full one.
func (s *standin) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	want := strings.Split(q.Get("fields"), ",")
	for _, f := range want {
		if f == "allocation_uuid" || f == "conductor" {
			refuse(w, http.StatusInternalServerError, "type object 'Node' has no attribute '%s'", f)
			return
		}
	}
	limit, _ := strconv.Atoi(q.Get("limit"))
	limit = min(limit, s.pageMost)
	from := 0
	if m := q.Get("marker"); m != "" {
		if from = slices.Index(s.order, m) + 1; from == 0 {
			refuse(w, http.StatusNotFound, "Node %s could not be found.", m)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	key := fmt.Sprint(limit, r.URL.RawQuery)
	if b := s.pages[key]; b != nil {
		_, _ = w.Write(b)
		return
	}
	nodes := []any{}
	last := ""
	for _, id := range s.order[from:] {
		n := s.nodes[id]
		if q.Get("associated") == "true" && n["instance_uuid"] == nil {
			continue
		}
		if i := q.Get("instance_uuid"); i != "" && n["instance_uuid"] != i {
			continue
		}
		if len(nodes) == limit {
			break
		}
		out := map[string]any{"links": []any{}}
		for _, f := range want {
			out[f] = n[f]
		}
		nodes = append(nodes, out)
		last = id
	}
	list, _ := json.Marshal(nodes)
	page := append([]byte(`{"nodes": `), list...)
	if len(nodes) == limit {
		page = fmt.Appendf(page, `, "next": "%s/v1/nodes?sort_key=id&limit=%d&marker=%s"`, s.URL, limit, last)
	}
	page = append(page, '}')
	if s.pages == nil {
		s.pages = map[string][]byte{}
	}
	s.pages[key] = page
	_, _ = w.Write(page)
}

// allowed has the states in which a node takes a verb, and those that it goes through.
var allowed = map[string]struct {
	from []string
	via  []string
}{
	"active":  {[]string{"available", "deploy failed"}, []string{"deploying", "active"}},
	"rebuild": {[]string{"active", "deploy failed", "error"}, []string{"deploying", "active"}},
	"deleted": {[]string{"active", "deploy failed", "error", "wait call-back"}, []string{"cleaning", "available"}},
	"manage":  {[]string{"available", "clean failed", "enroll"}, []string{"manageable"}},
	"provide": {[]string{"manageable"}, []string{"cleaning", "available"}},
	"clean":   {[]string{"manageable"}, []string{"cleaning", "manageable"}},
}

func (s *standin) node(w http.ResponseWriter, r *http.Request, n map[string]any, path []string, body []byte) {
	if r.Method == http.MethodGet {
		say(w, http.StatusOK, n)
		return
	}
	s.pages = nil
	var in map[string]any
	_ = json.Unmarshal(body, &in)
	if n["reservation"] != nil {
		refuse(w, http.StatusConflict, "Node %s is locked by host c1, please retry after the current operation is completed.", n["uuid"])
		return
	}
	switch strings.Join(path, "/") {
	case "":
		s.patch(w, n, body)
	case "states/power":
		s.calls = append(s.calls, fmt.Sprintf("POWER %s %s", n["name"], in["target"]))
		n["power_state"] = in["target"]
		say(w, http.StatusAccepted, nil)
	case "states/provision":
		verb, _ := in["target"].(string)
		v := allowed[verb]
		state, _ := n["provision_state"].(string)
		switch {
		case n["maintenance"] == true:
			refuse(
				w, http.StatusBadRequest,
				"The provisioning operation can't be performed on node %s because it's in maintenance mode.", n["uuid"],
			)
			return
		case !slices.Contains(v.from, state):
			refuse(
				w, http.StatusBadRequest,
				"The requested action \"%s\" can not be performed on node \"%s\" while it is in state \"%s\".", verb,
				n["uuid"], state,
			)
			return
		}
		s.calls = append(s.calls, fmt.Sprintf("PUT %s %s", n["name"], verb))
		if drive, ok := in["configdrive"]; ok {
			n["given"] = drive
		}
		n["provision_state"], n["via"], n["verb"] = v.via[0], v.via[1:], verb
		s.enter(n)
		for !s.slow && s.step(n) {
		}
		say(w, http.StatusAccepted, nil)
	case "vendor_passthru/cache_image":
		s.calls = append(s.calls, fmt.Sprintf("CACHE %s", n["name"]))
		n["given"] = in
		say(w, http.StatusAccepted, nil)
	default:
		refuse(w, http.StatusNotFound, "no such thing")
	}
}

// step takes a node to the next state on its way. false: it is at the end.
func (s *standin) step(n map[string]any) bool {
	via, _ := n["via"].([]string)
	if len(via) == 0 {
		return false
	}
	if n["provision_state"] == "deploying" && s.deployErr != "" {
		n["provision_state"], n["last_error"], n["via"] = "deploy failed", s.deployErr, nil
		return false
	}
	if n["provision_state"] == "cleaning" && s.cleanErr != "" {
		n["provision_state"], n["last_error"], n["via"] = "clean failed", s.cleanErr, nil
		return false
	}
	n["provision_state"], n["via"] = via[0], via[1:]
	s.enter(n)
	return true
}

func (s *standin) enter(n map[string]any) {
	s.changes++
	n["provision_updated_at"] = time.Unix(int64(s.changes), 0).UTC().Format(time.RFC3339)
	switch {
	case n["verb"] == "deleted" && n["provision_state"] == "cleaning":
		if a, ok := n["allocation_uuid"].(string); ok {
			for name, al := range s.allocs {
				if al["uuid"] == a {
					delete(s.allocs, name)
				}
			}
		}
		n["instance_uuid"], n["allocation_uuid"], n["instance_info"], n["power_state"] = nil, nil, map[string]any{}, "power off"
	case n["provision_state"] == "active":
		n["power_state"] = "power on"
	}
}

// finish takes all nodes to where they are going.
func (s *standin) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages = nil
	for _, n := range s.nodes {
		for s.step(n) {
		}
	}
}

func (s *standin) patch(w http.ResponseWriter, n map[string]any, body []byte) {
	var ops []struct {
		Op, Path string
		Value    any
	}
	if err := json.Unmarshal(body, &ops); err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	var copied map[string]any
	b, _ := json.Marshal(n)
	_ = json.Unmarshal(b, &copied)
	for _, o := range ops {
		if o.Op == "test" && !s.takesTest {
			refuse(w, http.StatusBadRequest, "Schema error for patch: 'test' is not one of ['add', 'replace', 'remove']")
			return
		}
		steps := strings.Split(strings.Trim(o.Path, "/"), "/")
		at := copied
		for _, p := range steps[:len(steps)-1] {
			at, _ = at[p].(map[string]any)
		}
		key := steps[len(steps)-1]
		old, there := at[key]
		want, _ := json.Marshal(o.Value)
		is, _ := json.Marshal(old)
		if at == nil || o.Op != "add" && !there || o.Op == "test" && string(want) != string(is) {
			refuse(
				w, http.StatusBadRequest,
				"Couldn't apply patch '{'op': '%s', 'path': '%s'}'. Reason: can't %s a non-existent object '%s'", o.Op,
				o.Path, o.Op, key,
			)
			return
		}
		if o.Path == "/instance_uuid" && o.Op != "test" {
			if o.Op != "remove" && old != nil {
				refuse(w, http.StatusConflict, "Node %s is associated with instance %s.", n["uuid"], old)
				return
			}
			for _, other := range s.nodes {
				if o.Op != "remove" && other["instance_uuid"] == o.Value {
					refuse(
						w, http.StatusConflict,
						"Instance %s is already associated with a node, it cannot be associated with this other node %s",
						o.Value, n["uuid"],
					)
					return
				}
			}
			if o.Op == "remove" && n["allocation_uuid"] != nil {
				refuse(
					w, http.StatusConflict,
					"Node %s with an allocation can not have instance_uuid removed unless it is in one of allowed "+
						"(available) states or in maintenance mode.",
					n["uuid"],
				)
				return
			}
		}
		switch {
		case o.Op == "test":
		case o.Op == "remove" && len(steps) == 1:
			at[key] = nil
		case o.Op == "remove":
			delete(at, key)
		default:
			at[key] = o.Value
		}
	}
	s.calls = append(s.calls, fmt.Sprintf("PATCH %s", n["name"]))
	for k, v := range copied {
		if k != "via" {
			n[k] = v
		}
	}
	say(w, http.StatusOK, n)
}

func (s *standin) allocation(w http.ResponseWriter, method string, path []string, body []byte) {
	s.pages = nil
	switch method {
	case http.MethodPost:
		var in struct {
			UUID      string   `json:"uuid"`
			Name      string   `json:"name"`
			Class     string   `json:"resource_class"`
			Candidate []string `json:"candidate_nodes"`
		}
		_ = json.Unmarshal(body, &in)
		if s.allocs[in.Name] != nil {
			refuse(w, http.StatusConflict, "An allocation with name %s already exists.", in.Name)
			return
		}
		a := map[string]any{"uuid": in.UUID, "name": in.Name, "state": "active", "node_uuid": nil, "last_error": nil}
		n := s.nodes[in.Candidate[0]]
		if n["instance_uuid"] != nil || n["provision_state"] != "available" || n["resource_class"] != in.Class || n["maintenance"] == true {
			a["state"], a["last_error"] = "error", "none of the requested nodes are available and match the resource class "+in.Class+"."
		} else {
			a["node_uuid"], n["instance_uuid"], n["allocation_uuid"] = n["uuid"], a["uuid"], a["uuid"]
		}
		s.allocs[in.Name] = a
		s.calls = append(s.calls, "ALLOCATE "+in.Name)
		say(w, http.StatusCreated, map[string]any{"uuid": a["uuid"], "name": in.Name, "state": "allocating"})
	default:
		for name, a := range s.allocs {
			if name != path[0] && a["uuid"] != path[0] {
				continue
			}
			if method == http.MethodDelete {
				for _, n := range s.nodes {
					if n["allocation_uuid"] == a["uuid"] {
						n["allocation_uuid"], n["instance_uuid"] = nil, nil
					}
				}
				delete(s.allocs, name)
				say(w, http.StatusNoContent, nil)
				return
			}
			say(w, http.StatusOK, a)
			return
		}
		refuse(w, http.StatusNotFound, "Allocation %s could not be found.", path[0])
	}
}
