package slap

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// Search is what the hypermedia API finds: of each thing the fields that are named, and relative_url, which [Client.Form]
// takes.
func (c *Client) Search(ctx context.Context, q Query, selected ...string) ([]map[string]any, error) {
	root, err := c.hypermedia(ctx)
	if err != nil {
		return nil, err
	}
	var found Results
	err = c.link(ctx, "search", root.Links.Search.Href, map[string]any{"query": q.String(), "select_list": selected, "limit": "40"}, &found)
	return found.Embedded.Contents, err
}

// Form is a thing that was found, with all its fields.
func (c *Client) Form(ctx context.Context, relativeURL string) (*Form, error) {
	root, err := c.hypermedia(ctx)
	if err != nil {
		return nil, err
	}
	form := &Form{}
	if err := c.link(ctx, "traverse", root.Links.Traverse.Href, map[string]any{"relative_url": relativeURL, "view": FieldView}, form); err != nil {
		return nil, err
	}
	return form, nil
}

// ComputerToken is a token with which one new computer can be registered. Only the full master gives them.
func (c *Client) ComputerToken(ctx context.Context) (string, error) {
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
		Token string `json:"access_token"`
	}
	if err := c.read(ctx, op, u.JoinPath("computer_module", op).String(), &answer); err != nil {
		return "", err
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

// restURL asks the master where its hypermedia API is: by the legacy endpoint, and where there is none by the JSON API.
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
