// Package hypermedia serves the hypermedia API of a SlapOS master: a search, and a document for
// each thing that is found.
package hypermedia

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto/hypermedia"
	"github.com/hostler-project/hostler/slapos/record"
)

// TokenPath is where tokens for computers are made, below the computers.
const TokenPath = "Base_getComputerToken"

// documents serves the hypermedia API.
type documents struct {
	master *master.Master
	opt    wire.Options
}

// New is the handler of the hypermedia API: /hateoas/ describes the search, and the results are
// documents below it.
func New(m *master.Master, opt wire.Options) http.Handler {
	h := &documents{m, opt.Whole()}
	mux := http.NewServeMux()
	for pattern, fn := range map[string]func(h *documents, w http.ResponseWriter, r *http.Request, who access.Who) error{
		"GET /hateoas":                                 (*documents).root,
		"GET /hateoas/{$}":                             (*documents).root,
		"GET /hateoas/partitions/{title}":              (*documents).treeForm,
		"GET /hateoas/instances/{guid}":                (*documents).instanceForm,
		"GET /hateoas/computers/{guid}":                (*documents).computerForm,
		"GET /hateoas/computers/{guid}/releases/{url}": (*documents).releaseForm,
		"GET /hateoas/computer_module/" + TokenPath:    (*documents).computerToken,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			who, err := h.opt.Who(r)
			if err == nil {
				err = fn(h, w, r, who)
			}
			if err != nil {
				wire.FailPage(m.Log(), w, r, err)
			}
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", http.MethodGet)
			wire.AnswerPage(w, http.StatusMethodNotAllowed, "The method is not allowed for the requested URL.")
			return
		}
		wire.AnswerPage(w, http.StatusNotFound, "The hypermedia API has no such document.")
	})
	return mux
}

// Serves says whether a path is one of the hypermedia API's.
func Serves(path string) bool {
	return path == "/hateoas" || strings.HasPrefix(path, wire.HateoasPath)
}

// Route is the name of a path's handler; "": none.
func Route(path string) string {
	switch {
	case strings.HasSuffix(path, "/"+TokenPath):
		return TokenPath
	case Serves(path):
		return "hateoas"
	}
	return ""
}

// root is the entry document. With a mode it is a search, or leads to one of its results.
func (h *documents) root(w http.ResponseWriter, r *http.Request, who access.Who) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return access.Invalid("the query cannot be read: %v", err)
	}
	switch mode := query.Get("mode"); mode {
	case "", "root":
		base := h.opt.Base(r) + strings.TrimPrefix(wire.HateoasPath, "/")
		return wire.AnswerJSON(w, http.StatusOK, hypermedia.Root{Links: hypermedia.RootLinks{
			Search:   hypermedia.Link{Href: base + "?mode=search&query={query}&select_list={select_list}"},
			Traverse: hypermedia.Link{Href: base + "?mode=traverse&relative_url={relative_url}&view={view}"},
		}})
	case "search":
		return h.search(w, r, who, query)
	case "traverse":
		return h.traverse(w, r, query.Get("relative_url"))
	default:
		return access.Invalid("mode: %.80q is none of search, traverse", mode)
	}
}

// traverse leads to a document of this API, and nowhere else.
func (h *documents) traverse(w http.ResponseWriter, r *http.Request, relative string) error {
	to, err := url.Parse(relative)
	if err != nil || to.Scheme != "" || to.Host != "" || to.RawQuery != "" || !strings.HasPrefix(relative, wire.HateoasPath) {
		return access.Invalid("relative_url: %.80q is none that a search gives", relative)
	}
	base, err := url.Parse(h.opt.Base(r))
	if err != nil {
		return access.Invalid("the URL of the request cannot be read")
	}
	http.Redirect(w, r, strings.TrimSuffix(base.EscapedPath(), "/")+to.EscapedPath(), http.StatusFound)
	return nil
}

// found is a thing that was found: its fields, and where its document is.
type found map[string]any

// search answers a query: at most limit results, each with the fields of select_list.
func (h *documents) search(w http.ResponseWriter, r *http.Request, who access.Who, query url.Values) error {
	limit := -1
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return access.Invalid("limit: %.40q is no number of results", text)
		}
		limit = n
	}
	q, ok := hypermedia.ParseQuery(query.Get("query"))
	if !ok || q.Field == "" && (q.Kind == hypermedia.QueryInstances || q.Kind == hypermedia.QueryReleases) {
		return access.Invalid("Unhandled query: %s", query.Get("query"))
	}
	var all []found
	for _, value := range q.Values() {
		q.Value = value
		some, err := h.matches(r, who, q)
		if err != nil {
			return err
		}
		all = append(all, some...)
	}
	if limit >= 0 {
		all = all[:min(limit, len(all))]
	}
	selected := strings.Split(strings.Join(query["select_list"], ","), ",")
	results := hypermedia.Results{}
	results.Embedded.Contents = []map[string]any{}
	for _, thing := range all {
		fields := map[string]any{}
		for name, value := range thing {
			if name == "relative_url" || slices.Contains(selected, name) {
				fields[name] = value
			}
		}
		results.Embedded.Contents = append(results.Embedded.Contents, fields)
	}
	return wire.AnswerJSON(w, http.StatusOK, results)
}

// matches are the things that a query asks for. Things that are not there, or not for this caller,
// are left out.
func (h *documents) matches(r *http.Request, who access.Who, q hypermedia.Query) ([]found, error) {
	ctx := r.Context()
	var instances []*master.ListedInstance
	var err error
	switch {
	case q.Kind == hypermedia.QueryComputers:
		return h.computers(r, who, q)
	case q.Kind == hypermedia.QueryReleases:
		supplies, err := h.master.Computers.Supplies(ctx, who, q.Value)
		var all []found
		for _, s := range supplies {
			all = append(all, found{"portal_type": hypermedia.QueryReleases, "title": s.URL,
				"reference": s.Computer + "-" + s.URL, "url_string": s.URL, "slap_state": s.State,
				"aggregate_reference": s.Computer,
				"relative_url":        wire.HateoasPath + "computers/" + segment(s.Computer) + "/releases/" + segment(s.URL)})
		}
		return all, noneFound(err)
	case q.Field == "":
		instances, err = h.master.Instances.Trees(ctx, who, true)
	default:
		instances, err = h.master.Instances.Titled(ctx, who, q.Value)
		if q.Kind == hypermedia.QueryInstances {
			instances, err = h.members(ctx, who, instances, err)
		}
	}
	var all []found
	for _, n := range instances {
		fields := found{"portal_type": q.Kind, "title": n.Record.Title, "reference": n.Record.Title,
			"url_string": n.Release, "slap_state": stateOf(n),
			"source_reference": n.Type, "root_slave": rootSlave(n), "relative_url": h.relativeURL(who, n.Record)}
		if q.Kind == hypermedia.QueryInstances {
			fields["portal_type"], fields["reference"] = kindOf(n), n.Record.ID
			fields["relative_url"] = wire.HateoasPath + "instances/" + n.Record.ID
		}
		all = append(all, fields)
	}
	return all, noneFound(err)
}

// computers are the caller's computers that match a query, the oldest first.
func (h *documents) computers(r *http.Request, who access.Who, q hypermedia.Query) ([]found, error) {
	var computers []*record.Computer
	if q.Field != "" {
		c, err := h.master.Computers.Owned(r.Context(), who, q.Value)
		if err != nil {
			return nil, noneFound(err)
		}
		computers = append(computers, c)
	} else {
		var err error
		if computers, err = h.master.Computers.All(r.Context(), who); err != nil {
			return nil, err
		}
		slices.SortStableFunc(computers, func(a, b *record.Computer) int { return a.Created.Compare(b.Created) })
	}
	var all []found
	for _, c := range computers {
		all = append(
			all,
			found{
				"portal_type": q.Kind, "title": computerTitle(c), "reference": c.GUID,
				"relative_url": wire.HateoasPath + "computers/" + segment(c.GUID),
			},
		)
	}
	return all, nil
}

// computerToken gives a token with which one new computer can be registered. With computer_guid it
// is for that computer, which the caller must have; the answer then says so. A master that does not
// know that field does not say it. It makes a token by GET, as clients ask for it so; pages of
// other sites cannot.
func (h *documents) computerToken(w http.ResponseWriter, r *http.Request, who access.Who) error {
	if err := wire.OwnSite(r); err != nil {
		return err
	}
	guid := r.URL.Query().Get("computer_guid")
	access.NoteAbout(r.Context(), guid)
	token, _, err := h.master.Certificates.NewToken(r.Context(), who, record.Token{Of: record.CertifiedComputer, Computer: guid})
	if err != nil {
		return err
	}
	return wire.AnswerJSON(w, http.StatusOK, struct {
		Token    string `json:"access_token"`
		Computer string `json:"computer_guid,omitempty"`
	}{token, guid})
}
