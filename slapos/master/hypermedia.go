package master

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/slapos/slap"
)

// hateoas is where the hypermedia API is.
const hateoas = "/hateoas/"

// hypermedia serves the hypermedia API.
type hypermedia struct {
	master *Master
	opt    LegacyOptions
}

// Hypermedia is the handler of the hypermedia API: how to search is told at /hateoas/, and what is
// found are documents below it.
func (m *Master) Hypermedia(opt LegacyOptions) http.Handler {
	h := &hypermedia{m, opt.whole()}
	mux := http.NewServeMux()
	for pattern, fn := range map[string]func(h *hypermedia, w http.ResponseWriter, r *http.Request, who Who) error{
		"GET /hateoas":                                 (*hypermedia).root,
		"GET /hateoas/{$}":                             (*hypermedia).root,
		"GET /hateoas/partitions/{title}":              (*hypermedia).treeForm,
		"GET /hateoas/instances/{guid}":                (*hypermedia).instanceForm,
		"GET /hateoas/computers/{guid}":                (*hypermedia).computerForm,
		"GET /hateoas/computers/{guid}/releases/{url}": (*hypermedia).releaseForm,
		"GET /hateoas/computer_module/" + tokenPath:    (*hypermedia).computerToken,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			who, err := h.opt.Who(r)
			if err == nil {
				err = fn(h, w, r, who)
			}
			if err != nil {
				fail(m.log, w, r, err)
			}
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", http.MethodGet)
			answerError(w, http.StatusMethodNotAllowed, "The method is not allowed for the requested URL.")
			return
		}
		answerError(w, http.StatusNotFound, "The hypermedia API has no such document.")
	})
	return mux
}

// root is where clients begin; with a mode it is a search, or leads to what was found.
func (h *hypermedia) root(w http.ResponseWriter, r *http.Request, who Who) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return invalid("the query cannot be read: %v", err)
	}
	switch mode := query.Get("mode"); mode {
	case "", "root":
		base := h.opt.Base(r) + strings.TrimPrefix(hateoas, "/")
		return answerJSON(w, http.StatusOK, slap.Root{Links: slap.RootLinks{
			Search:   slap.Link{Href: base + "?mode=search&query={query}&select_list={select_list}"},
			Traverse: slap.Link{Href: base + "?mode=traverse&relative_url={relative_url}&view={view}"},
		}})
	case "search":
		return h.search(w, r, who, query)
	case "traverse":
		return h.traverse(w, r, query.Get("relative_url"))
	default:
		return invalid("mode: %.80q is none of search, traverse", mode)
	}
}

// traverse leads to a document of this API, and nowhere else.
func (h *hypermedia) traverse(w http.ResponseWriter, r *http.Request, relative string) error {
	to, err := url.Parse(relative)
	if err != nil || to.Scheme != "" || to.Host != "" || to.RawQuery != "" || !strings.HasPrefix(relative, hateoas) {
		return invalid("relative_url: %.80q is none that a search gives", relative)
	}
	base, err := url.Parse(h.opt.Base(r))
	if err != nil {
		return invalid("the URL of the request cannot be read")
	}
	http.Redirect(w, r, strings.TrimSuffix(base.EscapedPath(), "/")+to.EscapedPath(), http.StatusFound)
	return nil
}

// found is a thing that was found: its fields, and where its document is.
type found map[string]any

func (h *hypermedia) search(w http.ResponseWriter, r *http.Request, who Who, query url.Values) error {
	limit := -1
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return invalid("limit: %.40q is no number of results", text)
		}
		limit = n
	}
	q, ok := slap.ParseQuery(query.Get("query"))
	if !ok || q.Field == "" && (q.Kind == slap.QueryInstances || q.Kind == slap.QueryReleases) {
		return invalid("Unhandled query: %s", query.Get("query"))
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
	results := slap.Results{}
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
	return answerJSON(w, http.StatusOK, results)
}

// matches are the things that a query asks for. What is not there, or is not for who asks, is not
// found.
func (h *hypermedia) matches(r *http.Request, who Who, q slap.Query) ([]found, error) {
	ctx := r.Context()
	var instances []*Listed
	var err error
	switch {
	case q.Kind == slap.QueryComputers:
		return h.computers(r, who, q)
	case q.Kind == slap.QueryReleases:
		supplies, err := h.master.Supplies(ctx, who, q.Value)
		var all []found
		for _, s := range supplies {
			all = append(all, found{"portal_type": slap.QueryReleases, "title": s.URL,
				"reference": s.Computer + "-" + s.URL, "url_string": s.URL, "slap_state": s.State,
				"aggregate_reference": s.Computer,
				"relative_url":        hateoas + "computers/" + segment(s.Computer) + "/releases/" + segment(s.URL)})
		}
		return all, noneFound(err)
	case q.Field == "":
		instances, err = h.master.Trees(ctx, who, true)
	default:
		instances, err = h.master.titled(ctx, who, q.Value)
		if q.Kind == slap.QueryInstances {
			instances, err = h.master.members(ctx, who, instances, err)
		}
	}
	var all []found
	for _, n := range instances {
		fields := found{"portal_type": q.Kind, "title": n.Record.Title, "reference": n.Record.Title,
			"url_string": n.Release, "slap_state": stateOf(n),
			"source_reference": n.Type, "root_slave": rootSlave(n), "relative_url": h.relativeURL(who, n.Record)}
		if q.Kind == slap.QueryInstances {
			fields["portal_type"], fields["reference"], fields["relative_url"] = kindOf(n), n.Record.ID, hateoas+"instances/"+n.Record.ID
		}
		all = append(all, fields)
	}
	return all, noneFound(err)
}

func (h *hypermedia) computers(r *http.Request, who Who, q slap.Query) ([]found, error) {
	var computers []*slap.ComputerRecord
	if q.Field != "" {
		c, err := h.master.owned(r.Context(), who, q.Value)
		if err != nil {
			return nil, noneFound(err)
		}
		computers = append(computers, c)
	} else {
		var err error
		if computers, err = h.master.Computers(r.Context(), who); err != nil {
			return nil, err
		}
		slices.SortStableFunc(computers, func(a, b *slap.ComputerRecord) int { return a.Created.Compare(b.Created) })
	}
	var all []found
	for _, c := range computers {
		all = append(
			all,
			found{
				"portal_type": q.Kind, "title": computerTitle(c), "reference": c.GUID,
				"relative_url": hateoas + "computers/" + segment(c.GUID),
			},
		)
	}
	return all, nil
}
