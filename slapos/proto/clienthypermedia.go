package proto

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Results are asked for so many at once of a master that wants a number, and ten times as many
// where there are more; and from so many on it is an error.
const (
	firstLimit  = 1000
	mostResults = 1_000_000
)

// Search is what the hypermedia API finds, in its order: of each thing the fields that are named,
// and relative_url, which [Client.Form] takes. However many there are, all are returned, or an
// error.
func (c *Client) Search(ctx context.Context, q Query, selected ...string) ([]map[string]any, error) {
	found, err := c.search(ctx, q.String(), selected)
	if err != nil || q.plain() == q.String() {
		return found, err
	}
	// Masters differ in how a value with quotes is written.
	if found = q.only(found); len(found) > 0 {
		return found, nil
	}
	if found, err = c.search(ctx, q.plain(), selected); err != nil {
		return nil, err
	}
	return q.only(found), nil
}

// only are those that have the value, as far as they tell.
func (q Query) only(found []map[string]any) (out []map[string]any) {
	for _, thing := range found {
		if value, told := thing[q.Field]; !told || value == q.Value {
			out = append(out, thing)
		}
	}
	return out
}

func (c *Client) search(ctx context.Context, query string, selected []string) ([]map[string]any, error) {
	root, err := c.hypermedia(ctx)
	if err != nil {
		return nil, err
	}
	for limit := firstLimit; limit <= mostResults; limit *= 10 {
		page := Results{}
		variables := map[string]any{"query": query, "select_list": selected}
		unlimited, err := Expand(root.Links.Search.Href, variables)
		if err != nil {
			return nil, c.badAnswer("search", err)
		}
		variables["limit"] = strconv.Itoa(limit)
		href, err := Expand(root.Links.Search.Href, variables)
		if err != nil {
			return nil, c.badAnswer("search", err)
		}
		if err := c.read(ctx, "search", href, &page); err != nil {
			return nil, err
		}
		if page.Links.Next != nil {
			return c.pages(ctx, href, &page)
		}
		if n := len(page.Embedded.Contents); href == unlimited || n != limit {
			return page.Embedded.Contents, nil
		}
	}
	return nil, c.badAnswer("search", malformed("", "more than %d results", mostResults))
}

// pages are the results of a page that was read from a URL, and of those that come next.
func (c *Client) pages(ctx context.Context, href string, page *Results) ([]map[string]any, error) {
	all := page.Embedded.Contents
	seen := map[string]bool{href: true}
	for page.Links.Next != nil {
		from, err := url.Parse(href)
		if err == nil {
			from, err = from.Parse(page.Links.Next.Href)
		}
		if err != nil || seen[from.String()] {
			return nil, c.badAnswer("search", malformed("", "the link to the next results leads nowhere"))
		}
		href = from.String()
		seen[href] = true
		page = &Results{}
		if err := c.read(ctx, "search", href, page); err != nil {
			return nil, err
		}
		if all = append(all, page.Embedded.Contents...); len(all) > mostResults || len(seen) > mostResults/firstLimit {
			return nil, c.badAnswer(
				"search",
				malformed("", "more results than %d, or in more than %d parts", mostResults, mostResults/firstLimit),
			)
		}
	}
	return all, nil
}

// Form is a thing that was found, with all its fields.
func (c *Client) Form(ctx context.Context, relativeURL string) (*Form, error) {
	root, err := c.hypermedia(ctx)
	if err != nil {
		return nil, err
	}
	form := &Form{}
	if err := c.link(
		ctx, "traverse", root.Links.Traverse.Href, map[string]any{"relative_url": relativeURL, "view": FieldView}, form,
	); err != nil {
		return nil, err
	}
	return form, nil
}

// ComputerToken is a token with which one new computer can be registered. Only the full master
// gives them.
func (c *Client) ComputerToken(ctx context.Context) (string, error) {
	return c.ComputerTokenFor(ctx, "")
}

// ComputerTokenFor is a token with which a computer that there is already can be registered again,
// by who has it. Only masters of ours give such; of another one it is [ErrNotFound].
func (c *Client) ComputerTokenFor(ctx context.Context, computer string) (string, error) {
	const op = "Base_getComputerToken"
	rest, err := c.restBase(ctx)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(rest)
	if err != nil {
		return "", c.badAnswer(op, malformed("", "the URL of the hypermedia API is none"))
	}
	var answer struct {
		Token    string `json:"access_token"`
		Computer string `json:"computer_guid"`
	}
	u = u.JoinPath("computer_module", op)
	if computer != "" {
		u.RawQuery = fields("computer_guid", computer).Encode()
	}
	if err := c.read(ctx, op, u.String(), &answer); err != nil {
		return "", err
	}
	if answer.Computer != computer { // it passed the name over
		return "", &Error{Op: op, Master: c.base.Host, Kind: ErrNotFound, Reason: "this master gives tokens for new computers alone"}
	}
	if answer.Token == "" {
		return "", c.badAnswer(op, malformed("", "an answer without a token"))
	}
	return answer.Token, nil
}

// link fills in a link's template, and reads what is there.
func (c *Client) link(ctx context.Context, op, template string, variables map[string]any, into any) error {
	href, err := Expand(template, variables)
	if err != nil {
		return c.badAnswer(op, err)
	}
	return c.read(ctx, op, href, into)
}

func (c *Client) read(ctx context.Context, op, href string, into any) error {
	u, err := url.Parse(href)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return c.badAnswer(op, malformed("", "the master names a link that is no URL"))
	}
	if c.base.Scheme == "https" && u.Scheme != "https" {
		return c.badAnswer(op, malformed("", "the master, which is reached by https, names a link to http, which is not followed"))
	}
	body, err := c.do(ctx, call{op: op, method: http.MethodGet, url: href, accept: "*/*"})
	if err != nil {
		return err
	}
	return c.readJSON(op, body, into)
}

// hypermedia is the root of the hypermedia API, which is asked for once.
func (c *Client) hypermedia(ctx context.Context) (*Root, error) {
	c.mu.Lock()
	root := c.root
	c.mu.Unlock()
	if root != nil {
		return root, nil
	}
	rest, err := c.restBase(ctx)
	if err != nil {
		return nil, err
	}
	root = &Root{}
	if err := c.read(ctx, "hypermedia", rest, root); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.root = root
	c.mu.Unlock()
	return root, nil
}

// restBase is the URL of the hypermedia API, which the master is asked for once.
func (c *Client) restBase(ctx context.Context) (string, error) {
	c.mu.Lock()
	rest := c.rest
	c.mu.Unlock()
	if rest != "" {
		return rest, nil
	}
	rest, err := c.restURL(ctx)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	c.rest = rest
	c.mu.Unlock()
	return rest, nil
}

// restURL asks the master where its hypermedia API is: by the legacy endpoint, and where there is
// none by the JSON API.
func (c *Client) restURL(ctx context.Context) (string, error) {
	body, err := c.get(ctx, "getHateoasUrl", nil)
	if err == nil {
		return strings.TrimSpace(string(body)), nil
	}
	if !errors.Is(err, ErrNotFound) {
		return "", err
	}
	var answer struct {
		URL string `json:"hateoas_url"`
	}
	if err := c.Call(ctx, "slapos.get.v0.hateoas_url", &Call{}, &answer); err != nil {
		return "", err
	}
	return answer.URL, nil
}
