package openstack_test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/credentials"
)

// sim answers as an OpenStack was seen to, as far as a source of servers asks: identity, and
// compute, network and image at addresses of their own.
type sim struct {
	identity, compute, network, image *httptest.Server

	boot   time.Duration   // until a server is ACTIVE
	place  time.Duration   // until a host is found for it
	full   map[string]bool // flavors, by id, that no host has room for
	limits map[string]*rate.Limiter
	page   int // servers on a page
	// answers in place of the cloud; nil: nothing
	refuse func(w http.ResponseWriter, r *http.Request) bool
	// it is done, and the answer gets lost; nil: none
	deafen  func(r *http.Request) bool
	flavors []map[string]any
	images  []map[string]any
	stuck   bool          // servers stay in BUILD
	saving  string        // the state that an image of a server comes into; "": active
	skew    time.Duration // how much its clock is ahead of ours
	console func(name string) string

	mu      sync.Mutex
	token   int // the number of the one that counts
	logins  int
	next    int
	servers []*simServer
	ports   map[string]map[string]any
	keys    map[string]string
	asked   map[string]int // requests, by method and first part of the path
}

type simServer struct {
	id, name string
	metadata map[string]string
	made     time.Time
	flavor   string
	host     string // where it is; "": it was not placed yet, or there was no room
	failed   bool   // there was no room
	image    string
	told     []byte // user data
	off      string // the state that it was brought into: SHUTOFF, SUSPENDED
	task     string // what is being done to it
}

func newSim(t testing.TB) *sim {
	s := &sim{
		page: 1000, ports: map[string]map[string]any{}, keys: map[string]string{}, asked: map[string]int{},
		limits: map[string]*rate.Limiter{},
	}
	s.flavors = []map[string]any{{"id": "f1", "name": "small", "vcpus": 1, "ram": 512, "disk": 10}}
	s.images = []map[string]any{{"id": "i1", "name": "debian", "status": "active", "created_at": "2024-01-01T00:00:00Z"}}
	for name, to := range map[string]**httptest.Server{
		"identity": &s.identity, "compute": &s.compute, "network": &s.network, "image": &s.image,
	} {
		*to = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(name, w, r) }))
		t.Cleanup((*to).Close)
	}
	return s
}

func (s *sim) session(t testing.TB, o openstack.SessionOptions) *openstack.Session {
	t.Helper()
	file := write(
		t, t.TempDir(), "clouds.yaml",
		fmt.Sprintf("clouds:\n  sim:\n    auth: {auth_url: '%s/v3/', username: u, password: sesame, project_id: p}\n", s.identity.URL),
	)
	cred, err := credentials.Find(credentials.Where{Cloud: "sim", File: file, Getenv: env(nil)})
	if err != nil {
		t.Fatal(err)
	}
	session, err := openstack.NewSession(cred, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.CloseIdle)
	return session
}

func (s *sim) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[what]
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (s *sim) serve(name string, w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")[1:] // without the version
	if len(parts) == 0 {
		version := map[string]string{"network": "v2.0", "image": "v2.9", "compute": "v2.1", "identity": "v3.14"}[name]
		self := "http://" + r.Host + "/" + version[:2] + strings.TrimPrefix(
			map[string]string{"network": "v2.0", "compute": "v2.1"}[name], "v2",
		) + "/"
		answer(
			w, 200,
			map[string]any{"versions": []any{map[string]any{
				"id": version, "status": "CURRENT", "links": []any{map[string]any{"rel": "self", "href": self}},
			}}},
		)
		return
	}
	s.mu.Lock()
	what := parts[0]
	if parts[len(parts)-1] == "action" {
		what = "action"
	}
	s.asked[r.Method+" "+what]++
	valid := r.Header.Get("X-Auth-Token") == "t"+strconv.Itoa(s.token)
	s.mu.Unlock()
	if l := s.limits[name]; l != nil && !l.Allow() {
		w.Header().Set("Retry-After", "1")
		answer(w, http.StatusTooManyRequests, map[string]any{"overLimit": map[string]any{"code": 429, "message": "too many requests"}})
		return
	}
	if s.refuse != nil && s.refuse(w, r) {
		return
	}
	if name == "identity" {
		s.login(w)
		return
	}
	if !valid {
		answer(
			w, http.StatusUnauthorized,
			map[string]any{"error": map[string]any{"code": 401, "message": "The request you have made requires authentication."}},
		)
		return
	}
	deaf := s.deafen != nil && s.deafen(r)
	rec := httptest.NewRecorder()
	s.do(rec, r, parts)
	if deaf {
		panic(http.ErrAbortHandler)
	}
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

func (s *sim) login(w http.ResponseWriter) {
	s.mu.Lock()
	s.logins++
	w.Header().Set("X-Subject-Token", "t"+strconv.Itoa(s.token))
	s.mu.Unlock()
	at := func(typ string, to *httptest.Server, path string) map[string]any {
		return map[string]any{
			"type": typ, "name": typ,
			"endpoints": []any{map[string]any{"interface": "public", "region": "R", "region_id": "R", "url": to.URL + path}},
		}
	}
	answer(w, http.StatusCreated, map[string]any{"token": map[string]any{
		"expires_at": time.Now().Add(time.Hour + s.skew).UTC().Format("2006-01-02T15:04:05.000000Z"),
		"project":    map[string]any{"id": "p", "name": "p", "domain": map[string]any{"id": "default", "name": "Default"}},
		"catalog":    []any{at("compute", s.compute, "/v2.1/"), at("network", s.network, "/"), at("image", s.image, "/")},
	}})
}

func (s *sim) do(w http.ResponseWriter, r *http.Request, parts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var body map[string]map[string]any
	if r.Body != nil {
		_ = json.NewDecoder(r.Body).Decode(&body)
	}
	s.next++
	id := fmt.Sprintf("id-%06d", s.next)
	none := func() {
		answer(w, 404, map[string]any{"itemNotFound": map[string]any{"code": 404, "message": "not there"}})
	}
	last := parts[len(parts)-1]
	if parts[0] == "servers" && (last == "action" || last == "metadata") {
		s.act(w, parts[1], last, body)
		return
	}
	switch what := r.Method + " " + parts[0]; what {
	case "GET flavors":
		answer(w, 200, map[string]any{"flavors": s.flavors})
	case "GET images":
		if last != "images" {
			if i := slices.IndexFunc(s.images, func(x map[string]any) bool { return x["id"] == last }); i >= 0 {
				answer(w, 200, s.images[i])
				return
			}
			none()
			return
		}
		answer(w, 200, map[string]any{"images": s.images})
	case "DELETE images":
		s.images = slices.DeleteFunc(s.images, func(x map[string]any) bool { return x["id"] == last })
		w.WriteHeader(204)
	case "GET networks":
		answer(w, 200, map[string]any{"networks": []any{map[string]any{"id": "n1", "name": "net"}}})
	case "GET floatingips":
		answer(w, 200, map[string]any{"floatingips": []any{}})
	case "GET ports":
		all := []any{}
		for _, p := range s.ports {
			all = append(all, p)
		}
		answer(w, 200, map[string]any{"ports": all})
	case "POST ports":
		p := body["port"]
		p["id"], p["fixed_ips"] = id, []any{map[string]any{"ip_address": "127.0.0.1", "subnet_id": "s1"}}
		s.ports[id] = p
		answer(w, 201, map[string]any{"port": p})
	case "DELETE ports":
		delete(s.ports, last)
		w.WriteHeader(204)
	case "GET os-keypairs":
		if k, ok := s.keys[last]; ok {
			answer(w, 200, map[string]any{"keypair": map[string]any{"name": last, "public_key": k}})
			return
		}
		none()
	case "POST os-keypairs":
		name, _ := body["keypair"]["name"].(string)
		s.keys[name], _ = body["keypair"]["public_key"].(string)
		answer(w, 201, map[string]any{"keypair": map[string]any{"name": name}})
	case "DELETE os-keypairs":
		delete(s.keys, last)
		w.WriteHeader(202)
	case "POST servers":
		m := map[string]string{}
		given, _ := body["server"]["metadata"].(map[string]any)
		for k, v := range given {
			m[k], _ = v.(string)
		}
		name, _ := body["server"]["name"].(string)
		flavor, _ := body["server"]["flavorRef"].(string)
		image, _ := body["server"]["imageRef"].(string)
		data, _ := body["server"]["user_data"].(string)
		told, err := base64.StdEncoding.DecodeString(data)
		if named := func(all []map[string]any, id string) bool {
			return slices.ContainsFunc(all, func(x map[string]any) bool { return x["id"] == id })
		}; !named(s.images, image) || !named(s.flavors, flavor) || err != nil {
			answer(
				w, 400,
				map[string]any{"badRequest": map[string]any{
					"code": 400,
					"message": map[bool]string{
						true: "Invalid flavorRef provided.", false: "Can not find requested image",
					}[named(s.images, image)],
				}},
			)
			return
		}
		s.servers = append(
			s.servers,
			&simServer{id: id, name: name, metadata: m, made: time.Now(), flavor: flavor, image: image, told: told},
		)
		answer(w, 202, map[string]any{"server": map[string]any{"id": id}})
	case "DELETE servers":
		n := len(s.servers)
		if s.servers = slices.DeleteFunc(s.servers, func(x *simServer) bool { return x.id == last }); len(s.servers) == n {
			none()
			return
		}
		w.WriteHeader(204)
	case "GET servers":
		s.list(w, r)
	default:
		http.Error(w, "the simulation does not know "+what, http.StatusNotImplemented)
	}
}

func (s *sim) list(w http.ResponseWriter, r *http.Request) {
	name := regexp.MustCompile(r.URL.Query().Get("name"))
	marker := r.URL.Query().Get("marker")
	out := map[string]any{}
	all := []any{}
	for _, x := range s.servers {
		if !name.MatchString(x.name) || x.id <= marker {
			continue
		}
		if len(all) == s.page {
			lastOne := all[len(all)-1].(map[string]any)["id"].(string)
			out["servers_links"] = []any{map[string]any{
				"rel":  "next",
				"href": s.compute.URL + "/v2.1/servers/detail?name=" + r.URL.Query().Get("name") + "&marker=" + lastOne,
			}}
			break
		}
		if x.host == "" && !x.failed && time.Since(x.made) >= s.place {
			if x.failed = s.full[x.flavor]; !x.failed {
				x.host = "host1"
			}
		}
		status, task, fault := "BUILD", "", map[string]any{}
		switch {
		case x.failed:
			status, fault = "ERROR", map[string]any{
				"code": 500, "message": "No valid host was found. There are not enough hosts available.",
			}
		case x.host == "":
			task = "scheduling"
		case x.off != "":
			status = x.off
		case time.Since(x.made) >= s.boot && !s.stuck:
			status = "ACTIVE"
		default:
			task = "spawning"
		}
		task = cmp.Or(x.task, task)
		all = append(all, map[string]any{
			"id": x.id, "name": x.name, "status": status, "OS-EXT-STS:task_state": task, "fault": fault, "metadata": x.metadata,
			"created": x.made.Add(s.skew).UTC().Format(time.RFC3339), "flavor": map[string]any{"id": cmp.Or(x.flavor, "f1")},
			"image":     map[string]any{"id": cmp.Or(x.image, "i1")},
			"addresses": map[string]any{"net": []any{map[string]any{"addr": "127.0.0.1", "version": 4, "OS-EXT-IPS:type": "fixed"}}},
		})
	}
	out["servers"] = all
	answer(w, 200, out)
}

// act does something with a server. The mutex is held.
func (s *sim) act(w http.ResponseWriter, id, what string, body map[string]map[string]any) {
	i := slices.IndexFunc(s.servers, func(x *simServer) bool { return x.id == id })
	if i < 0 {
		answer(w, 404, map[string]any{"itemNotFound": map[string]any{"code": 404, "message": "Instance could not be found."}})
		return
	}
	x := s.servers[i]
	has := func(action string) bool { _, ok := body[action]; return ok }
	become := func(from, to string) {
		if x.off != from {
			answer(
				w, 409,
				map[string]any{"conflictingRequest": map[string]any{
					"code": 409, "message": "Cannot do that while it is in vm_state " + x.off,
				}},
			)
			return
		}
		x.off = to
		w.WriteHeader(202)
	}
	switch {
	case what == "metadata":
		for k, v := range body["metadata"] {
			x.metadata[k], _ = v.(string)
		}
		answer(w, 200, map[string]any{"metadata": x.metadata})
	case has("os-getConsoleOutput") && s.console != nil:
		answer(w, 200, map[string]any{"output": s.console(x.name)})
	case has("os-stop"):
		become("", "SHUTOFF")
	case has("os-start"):
		become("SHUTOFF", "")
	case has("suspend"):
		become("", "SUSPENDED")
	case has("resume"):
		become("SUSPENDED", "")
	case has("createImage"):
		s.next++
		image := map[string]any{
			"id": fmt.Sprintf("image-%d", s.next), "name": body["createImage"]["name"],
			"status": cmp.Or(s.saving, "active"), "created_at": time.Now().UTC().Format(time.RFC3339),
		}
		given, _ := body["createImage"]["metadata"].(map[string]any)
		for k, v := range given {
			image[k] = v
		}
		s.images = append(s.images, image)
		w.Header().Set("X-Openstack-Nova-Api-Version", "2.1")
		w.Header().Set("Location", s.image.URL+"/v2/images/"+image["id"].(string))
		w.WriteHeader(202)
	case has("rebuild"):
		if image := body["rebuild"]["imageRef"]; !slices.ContainsFunc(s.images, func(x map[string]any) bool { return x["id"] == image }) {
			answer(w, 400, map[string]any{"badRequest": map[string]any{"code": 400, "message": "Cannot find image for rebuild"}})
			return
		}
		answer(w, 202, map[string]any{"server": map[string]any{"id": id}})
	default:
		answer(w, 404, map[string]any{"itemNotFound": map[string]any{"code": 404, "message": "there is no console"}})
	}
}
