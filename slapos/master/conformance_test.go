package master_test

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/web"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/postgres"
	"github.com/hostler-project/hostler/store/postgres/pgtest"
	"github.com/hostler-project/hostler/store/sqlite"
)

// A rule is one of the protocol, with requests that show that a master keeps it. Each begins with a
// master that knows nothing but its options, which are those of rules.
type rule struct {
	section, rule string
	steps         []step
}

// A step is a request, and what must come back. In what is sent and wanted, {name} stands for what
// an earlier step has kept under that name.
type step struct {
	method, path, kind, body, accept string
	status                           int
	want                             []string // see check
}

// is says what the answer to a request is: its status, and checks of its body.
//
//	path=text   what stands there in the document, which is a value in XML or JSON: attributes and keys by name, items by number
//	path?       something stands there
//	!path       nothing does
//	~text       the body has it; !~text: it has not. Of an error's page the reason counts.
//	path#n      so many items are there
//	name:=path  is kept under the name; path!={name}: what stands there is no more what was kept
//	@Header=v   a header
func (s step) is(status int, want ...string) step {
	s.status, s.want = status, want
	return s
}

// look reads.
func look(path string) step { return step{method: http.MethodGet, path: path} }

// tell sends a form: pairs of fields and texts.
func tell(endpoint string, pairs ...string) step {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return step{method: http.MethodPost, path: "/" + endpoint, kind: "application/x-www-form-urlencoded", body: form.Encode()}
}

// method calls a method of the JSON API.
func method(name, body string) step {
	return step{method: http.MethodPost, path: "/slapos." + name, kind: "application/json", body: body}
}

// value is a document in XML.
func value(v any) string {
	text, err := proto.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// want is a request for an instance: of demo, of the type default, by a user. The pairs change it:
// state, shared and from (computer and partition) in words, other names of fields as they are,
// p.NAME a parameter and f.NAME a filter.
func want(title string, pairs ...string) step {
	form := url.Values{"partition_reference": {title}, "software_release": {demo}, "software_type": {"default"}, "state": {value(nil)}}
	parameters, filter := proto.Dictionary{}, proto.Dictionary{}
	for i := 0; i < len(pairs); i += 2 {
		name, text := pairs[i], pairs[i+1]
		switch {
		case name == "state":
			form.Set("state", value(text))
		case name == "shared":
			form.Set("shared_xml", value(text == "yes"))
		case name == "from":
			computer, partition, _ := strings.Cut(text, " ")
			form.Set("computer_id", computer)
			form.Set("computer_partition_id", partition)
		case strings.HasPrefix(name, "p."):
			parameters[name[2:]] = text
		case strings.HasPrefix(name, "f."):
			filter[name[2:]] = text
		default:
			form.Set(name, text)
		}
	}
	for field, d := range map[string]proto.Dictionary{"partition_parameter_xml": parameters, "filter_xml": filter} {
		if !form.Has(field) {
			form.Set(field, value(d))
		}
	}
	s := tell("requestComputerPartition")
	s.body = form.Encode()
	return s
}

// format gives a computer its partitions, with the addresses 10.0.0.1 and on.
func format(computer string, partitions ...string) step {
	list := proto.List{}
	for i, id := range partitions {
		list = append(list, proto.Dictionary{"reference": id, "tap": proto.Dictionary{"name": "tap" + id},
			"address_list": proto.List{proto.Dictionary{"addr": fmt.Sprint("10.0.0.", i+1), "netmask": "255.255.255.255"}}})
	}
	return tell(
		"loadComputerConfigurationFromXML", "xml",
		value(proto.Dictionary{"reference": computer, "address": "10.0.0.100", "netmask": "255.255.255.0", "partition_list": list}),
	).is(200, "~done")
}

// told is what the node of a computer is told; the partitions are below _computer_partition_list.
func told(computer string) step { return look("/getFullComputerInformation?computer_id=" + computer) }

func part(computer, partition string) step {
	return look("/registerComputerPartition?computer_reference=" + computer + "&computer_partition_reference=" + partition)
}

// reports is what a node says of a partition: started, stopped, destroyed.
func reports(state, computer, partition string) step {
	return tell(state+"ComputerPartition", "computer_id", computer, "computer_partition_id", partition)
}

// stage is where a rule is tried.
type stage struct {
	t    *testing.T
	base string
	kept map[string]string
}

func (s *stage) fill(text string, escape func(string) string) string {
	for name, v := range s.kept {
		text = strings.ReplaceAll(text, escape("{"+name+"}"), escape(v))
	}
	return text
}

func plain(s string) string { return s }

func (s *stage) do(n int, st step) {
	s.t.Helper()
	escape := plain
	if st.kind == "application/x-www-form-urlencoded" {
		escape = url.QueryEscape
	}
	r, err := http.NewRequestWithContext(
		s.t.Context(), st.method, s.base+s.fill(st.path, plain), strings.NewReader(s.fill(st.body, escape)),
	)
	if err != nil {
		s.t.Fatal(err)
	}
	if st.kind != "" {
		r.Header.Set("Content-Type", st.kind)
	}
	if st.accept != "" {
		r.Header.Set("Accept", st.accept)
	}
	w, err := direct.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	body, err := io.ReadAll(w.Body)
	_ = w.Body.Close()
	if err != nil {
		s.t.Fatal(err)
	}
	what := fmt.Sprintf("step %d, %s %.80s", n, st.method, st.path)
	if w.StatusCode != st.status {
		s.t.Errorf("%s: %d, not %d: %s", what, w.StatusCode, st.status, body)
		return
	}
	doc := &answered{body: string(body), header: w.Header}
	if st.status >= 400 {
		doc.body = html.UnescapeString(doc.body)
	}
	doc.read()
	if st.status >= 400 && doc.reason() == "" {
		s.t.Errorf("%s: no reason is given: %s", what, body)
	}
	for _, check := range st.want {
		if wrong := s.check(doc, check); wrong != "" {
			s.t.Errorf("%s: %s: %s\n%s", what, check, wrong, body)
		}
	}
}

// direct follows no redirects.
var direct = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// answered is an answer, and what is in it.
type answered struct {
	body   string
	header http.Header
	v      any
}

func (a *answered) read() {
	if v, err := proto.Unmarshal([]byte(a.body)); err == nil {
		a.v = v
		return
	}
	_ = json.Unmarshal([]byte(a.body), &a.v) // nil where it is neither
}

// reason is what an error says.
func (a *answered) reason() string {
	if m, ok := a.v.(map[string]any); ok {
		return fmt.Sprint(m["title"])
	}
	_, p, _ := strings.Cut(a.body, "<p>")
	p, _, _ = strings.Cut(p, "</p>")
	return p
}

// at is what stands at a path.
func (a *answered) at(path string) (any, bool) {
	v := a.v
	for path != "" {
		var name string
		name, path, _ = strings.Cut(path, "/")
		var ok bool
		switch in := v.(type) {
		case *proto.Object:
			v, ok = in.Attributes[name]
		case proto.Dictionary:
			v, ok = in[name]
		case map[string]any:
			v, ok = in[name]
		case proto.List:
			v, ok = item(in, name)
		case proto.Tuple:
			v, ok = item(in, name)
		case []any:
			v, ok = item(in, name)
		}
		if !ok {
			return nil, false
		}
	}
	return v, true
}

func item(list []any, number string) (any, bool) {
	var i int
	if _, err := fmt.Sscan(number, &i); err != nil || i >= len(list) {
		return nil, false
	}
	return list[i], true
}

func length(v any) int {
	switch v := v.(type) {
	case proto.List:
		return len(v)
	case proto.Tuple:
		return len(v)
	case []any:
		return len(v)
	case proto.Dictionary:
		return len(v)
	case map[string]any:
		return len(v)
	case *proto.Object:
		return len(v.Attributes)
	}
	return -1
}

// check makes a check of step.is, and says what is wrong.
func (s *stage) check(a *answered, check string) string {
	text := func(path string) string {
		v, ok := a.at(path)
		if !ok {
			return "nothing"
		}
		return fmt.Sprint(v)
	}
	check = s.fill(check, plain)
	if has, ok := strings.CutPrefix(check, "~"); ok {
		if !strings.Contains(a.body, has) {
			return "it is not there"
		}
		return ""
	}
	if lacks, ok := strings.CutPrefix(check, "!~"); ok {
		if strings.Contains(a.body, lacks) {
			return "it is there"
		}
		return ""
	}
	if header, ok := strings.CutPrefix(check, "@"); ok {
		name, v, _ := strings.Cut(header, "=")
		if got := a.header.Get(name); got != v {
			return fmt.Sprintf("it is %q", got)
		}
		return ""
	}
	if name, path, ok := strings.Cut(check, ":="); ok {
		if s.kept[name] = text(path); s.kept[name] == "nothing" {
			return "nothing is there"
		}
		return ""
	}
	if path, was, ok := strings.Cut(check, "!="); ok {
		if now := text(path); now == was || now == "nothing" {
			return "it is " + now
		}
		return ""
	}
	if path, v, ok := strings.Cut(check, "="); ok {
		if got := text(path); got != v {
			return fmt.Sprintf("it is %q", got)
		}
		return ""
	}
	if path, ok := strings.CutPrefix(check, "!"); ok {
		if _, there := a.at(path); there {
			return "it is there"
		}
		return ""
	}
	if path, ok := strings.CutSuffix(check, "?"); ok {
		if _, there := a.at(path); !there {
			return "it is not there"
		}
		return ""
	}
	if path, n, ok := strings.Cut(check, "#"); ok {
		v, _ := a.at(path)
		if got := fmt.Sprint(length(v)); got != n {
			return "there are " + got
		}
		return ""
	}
	return "no such check"
}

// rules are those of sections 1 and 2 of the specification.
func rules() (all []rule) {
	for _, some := range [][]rule{
		rulesOfValues, rulesOfLegacy, rulesOfJSON, rulesOfHypermedia, rulesOfRequests, rulesOfTrees, rulesOfShared,
	} {
		all = append(all, some...)
	}
	return all
}

func conform(t *testing.T, st store.Transactor, rules []rule) {
	seen := map[string]bool{}
	for _, r := range rules {
		name := r.section + " " + r.rule
		if seen[name] {
			t.Errorf("two rules are called %s", name)
		}
		seen[name] = true
		t.Run(name, func(t *testing.T) {
			wipe(t, st)
			m, err := master.New(
				t.Context(),
				master.Options{Store: st, Computer: "C", Products: []master.Product{{Name: "demo", URLs: []string{demo, demo + "?old"}}}},
			)
			if err != nil {
				t.Fatal(err)
			}
			srv := httptest.NewServer(web.New(m, wire.Options{}))
			defer srv.Close()
			s := &stage{t, srv.URL, map[string]string{"base": srv.URL + "/"}}
			for i, st := range r.steps {
				s.do(i+1, st)
			}
		})
	}
}

// entries are all that a store has of a master.
func entries(t testing.TB, st store.Transactor) (all []store.SlapEntry) {
	t.Helper()
	err := st.View(context.Background(), func(tx store.Tx) error {
		all = nil
		for _, kind := range []store.SlapKind{
			record.KindComputer, record.KindSupply, record.KindInstance, record.KindForward, record.KindStatus, record.KindUsage,
			record.KindNode, record.KindUser, record.KindOther,
		} {
			some, err := tx.SlapEntries(store.SlapQuery{Kind: kind})
			if err != nil {
				return err
			}
			all = append(all, some...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wipe(t *testing.T, st store.Transactor) {
	t.Helper()
	all := entries(t, st)
	if len(all) == 0 {
		return
	}
	err := st.Update(t.Context(), func(tx store.Tx) error {
		for _, e := range all {
			if err := tx.SaveSlap(store.SlapEntry{Kind: e.Kind, Key: e.Key}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestConformance walks the rules of the protocol, over HTTP.
func TestConformance(t *testing.T) {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	conform(t, st, rules())
}

// TestConformancePostgres: the same with records in PostgreSQL, of those that write more than the
// others, or what is hard to keep.
func TestConformancePostgres(t *testing.T) {
	st, err := postgres.Open(t.Context(), pgtest.Start(t).Database(t), postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	conform(t, st, slices.DeleteFunc(rules(), func(r rule) bool { return r.section < "2" && !strings.Contains(r.rule, "names") }))
}
