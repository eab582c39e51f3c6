package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/hypermedia"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
)

// The limit on results for a master that wants one: the first, which grows tenfold if there are
// more, and the last, beyond which it is an error.
const (
	firstLimit  = 1000
	mostResults = 1_000_000
)

// Hypermedia is a client's view of the hypermedia API of its master.
type Hypermedia struct {
	c *Client

	mu   sync.Mutex
	rest string // URL of the API, once it is known
	root *hypermedia.Root
}

// Search is what the hypermedia API finds, in its order: of each thing the fields that are named,
// and relative_url, which [Hypermedia.Form] takes. However many there are, all are returned, or an
// error.
func (h *Hypermedia) Search(ctx context.Context, q hypermedia.Query, selected ...string) ([]map[string]any, error) {
	found, err := h.search(ctx, q.String(), selected)
	if err != nil || q.Plain() == q.String() {
		return found, err
	}
	// Masters differ in how a value with quotes is written.
	if found = filterResults(q, found); len(found) > 0 {
		return found, nil
	}
	if found, err = h.search(ctx, q.Plain(), selected); err != nil {
		return nil, err
	}
	return filterResults(q, found), nil
}

// filterResults filters results by the query's value, as far as they have the field.
func filterResults(q hypermedia.Query, found []map[string]any) (out []map[string]any) {
	for _, thing := range found {
		if value, told := thing[q.Field]; !told || value == q.Value {
			out = append(out, thing)
		}
	}
	return out
}

// search returns all results of a query. A master may ignore the limit, cut at it, or give links to
// further pages; each is handled.
func (h *Hypermedia) search(ctx context.Context, query string, selected []string) ([]map[string]any, error) {
	root, err := h.entry(ctx)
	if err != nil {
		return nil, err
	}
	for limit := firstLimit; limit <= mostResults; limit *= 10 {
		page := hypermedia.Results{}
		variables := map[string]any{"query": query, "select_list": selected}
		unlimited, err := hypermedia.Expand(root.Links.Search.Href, variables)
		if err != nil {
			return nil, h.c.badAnswer("search", err)
		}
		variables["limit"] = strconv.Itoa(limit)
		href, err := hypermedia.Expand(root.Links.Search.Href, variables)
		if err != nil {
			return nil, h.c.badAnswer("search", err)
		}
		if err := h.read(ctx, "search", href, &page); err != nil {
			return nil, err
		}
		if page.Links.Next != nil {
			return h.pages(ctx, href, &page)
		}
		if n := len(page.Embedded.Contents); href == unlimited || n != limit {
			return page.Embedded.Contents, nil
		}
	}
	return nil, h.c.badAnswer("search", proto.Malformed("", "more than %d results", mostResults))
}

// pages are the results of a page from a URL, and of the next ones.
func (h *Hypermedia) pages(ctx context.Context, href string, page *hypermedia.Results) ([]map[string]any, error) {
	all := page.Embedded.Contents
	seen := map[string]bool{href: true}
	for page.Links.Next != nil {
		from, err := url.Parse(href)
		if err == nil {
			from, err = from.Parse(page.Links.Next.Href)
		}
		if err != nil || seen[from.String()] {
			return nil, h.c.badAnswer("search", proto.Malformed("", "the link to the next results leads nowhere"))
		}
		href = from.String()
		seen[href] = true
		page = &hypermedia.Results{}
		if err := h.read(ctx, "search", href, page); err != nil {
			return nil, err
		}
		if all = append(all, page.Embedded.Contents...); len(all) > mostResults || len(seen) > mostResults/firstLimit {
			return nil, h.c.badAnswer(
				"search",
				proto.Malformed("", "more results than %d, or in more than %d parts", mostResults, mostResults/firstLimit),
			)
		}
	}
	return all, nil
}

// Form is a thing that was found, with all its fields.
func (h *Hypermedia) Form(ctx context.Context, relativeURL string) (*hypermedia.Form, error) {
	root, err := h.entry(ctx)
	if err != nil {
		return nil, err
	}
	form := &hypermedia.Form{}
	if err := h.link(
		ctx, "traverse", root.Links.Traverse.Href, map[string]any{"relative_url": relativeURL, "view": hypermedia.FieldView}, form,
	); err != nil {
		return nil, err
	}
	return form, nil
}

// Find is the fields of the thing of a kind that has a value in a field; nil if there is none.
func (h *Hypermedia) Find(ctx context.Context, kind, by, value string) (map[string]any, error) {
	found, err := h.Search(ctx, hypermedia.Query{Kind: kind, Field: by, Value: value}, by, "relative_url")
	if err != nil || len(found) == 0 {
		return nil, err
	}
	at, _ := found[0]["relative_url"].(string)
	form, err := h.Form(ctx, at)
	if errors.Is(err, ErrNotFound) {
		return nil, nil // gone in between
	} else if err != nil {
		return nil, err
	}
	return form.Values(), nil
}

// ComputerToken is a token with which one new computer can be registered. Only the full master
// gives them.
func (h *Hypermedia) ComputerToken(ctx context.Context) (string, error) {
	return h.ComputerTokenFor(ctx, "")
}

// ComputerTokenFor is a token with which the owner of an existing computer can register it again.
// Only masters of ours give such; of another one it is [ErrNotFound].
func (h *Hypermedia) ComputerTokenFor(ctx context.Context, computer string) (string, error) {
	const op = "Base_getComputerToken"
	rest, err := h.restBase(ctx)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(rest)
	if err != nil {
		return "", h.c.badAnswer(op, proto.Malformed("", "the URL of the hypermedia API is none"))
	}
	var answer struct {
		Token    string `json:"access_token"`
		Computer string `json:"computer_guid"`
	}
	u = u.JoinPath("computer_module", op)
	if computer != "" {
		u.RawQuery = fields("computer_guid", computer).Encode()
	}
	if err := h.read(ctx, op, u.String(), &answer); err != nil {
		return "", err
	}
	if answer.Computer != computer { // it passed the name over
		return "", &Error{Op: op, Master: h.c.base.Host, Kind: ErrNotFound, Reason: "this master gives tokens for new computers alone"}
	}
	if answer.Token == "" {
		return "", h.c.badAnswer(op, proto.Malformed("", "an answer without a token"))
	}
	return answer.Token, nil
}

// link fills in a link's template, and reads the document there.
func (h *Hypermedia) link(ctx context.Context, op, template string, variables map[string]any, into any) error {
	href, err := hypermedia.Expand(template, variables)
	if err != nil {
		return h.c.badAnswer(op, err)
	}
	return h.read(ctx, op, href, into)
}

// read reads the JSON that a link leads to. From a master reached by https, no link to http is
// followed.
func (h *Hypermedia) read(ctx context.Context, op, href string, into any) error {
	u, err := url.Parse(href)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return h.c.badAnswer(op, proto.Malformed("", "the master names a link that is no URL"))
	}
	if h.c.base.Scheme == "https" && u.Scheme != "https" {
		return h.c.badAnswer(op, proto.Malformed("", "the master, which is reached by https, names a link to http, which is not followed"))
	}
	body, err := h.c.do(ctx, call{op: op, method: http.MethodGet, url: href, accept: "*/*"})
	if err != nil {
		return err
	}
	return h.c.readJSON(op, body, into)
}

// entry is the root of the hypermedia API, which is asked for once.
func (h *Hypermedia) entry(ctx context.Context) (*hypermedia.Root, error) {
	h.mu.Lock()
	root := h.root
	h.mu.Unlock()
	if root != nil {
		return root, nil
	}
	rest, err := h.restBase(ctx)
	if err != nil {
		return nil, err
	}
	root = &hypermedia.Root{}
	if err := h.read(ctx, "hypermedia", rest, root); err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.root = root
	h.mu.Unlock()
	return root, nil
}

// restBase is the URL of the hypermedia API, which the master is asked for once.
func (h *Hypermedia) restBase(ctx context.Context) (string, error) {
	h.mu.Lock()
	rest := h.rest
	h.mu.Unlock()
	if rest != "" {
		return rest, nil
	}
	rest, err := h.restURL(ctx)
	if err != nil {
		return "", err
	}
	h.mu.Lock()
	h.rest = rest
	h.mu.Unlock()
	return rest, nil
}

// restURL asks the master for the URL of its hypermedia API: by the legacy endpoint, or without one
// by the JSON API.
func (h *Hypermedia) restURL(ctx context.Context) (string, error) {
	body, err := h.c.get(ctx, "getHateoasUrl", nil)
	if err == nil {
		return strings.TrimSpace(string(body)), nil
	}
	if !errors.Is(err, ErrNotFound) {
		return "", err
	}
	var answer struct {
		URL string `json:"hateoas_url"`
	}
	if err := h.c.Call(ctx, "slapos.get.v0.hateoas_url", &jsonapi.Call{}, &answer); err != nil {
		return "", err
	}
	return answer.URL, nil
}
