package container

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
)

// OnStep has a function called before each step; its error ends the call as a kill would.
func OnStep(p *Provider, step func(string) error) { p.step = step }

// HideLimits keeps a provider from looking at the limits of the engine's own process.
func HideLimits(p *Provider) { p.ceiling = func(context.Context) (int64, int64) { return 0, 0 } }

// KindOf is what kind an engine's words are.
func KindOf(err error) error { _, kind := kindOf(err); return kind }

// ReadStreams reads a hijacked connection to its end.
func ReadStreams(conn net.Conn) (out, said string, err error) {
	s := &streams{conn: conn, r: bufio.NewReader(conn)}
	b, err := io.ReadAll(s)
	return string(b), s.said(), err
}

// Unframe takes a container's log apart.
func Unframe(r io.Reader) (string, error) { return unframe(r) }

// Reference is what is said of an image's name.
func Reference(ref string) error { return reference(ref) }

// CreateBody is what an engine is sent to make a container, as far as it says what that may do.
func CreateBody(o options) (string, error) {
	plan, err := o.read()
	if err != nil {
		return "", err
	}
	var h hostConfig
	plan.rights.limit(&o, &h)
	b, err := json.Marshal(h)
	return string(b), err
}

var Open = open

type Options = options
