package console

import (
	"context"
	"fmt"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/text/visible"
)

// partition is what a request returns.
type partition struct{ n *proto.Instance }

func (p partition) String() string {
	return fmt.Sprintf("<instance in %s of %s, %s>", p.n.Partition, p.n.Computer, p.n.State)
}

// Member returns the methods that SlapOS's own has.
func (p partition) Member(name string) (any, bool) {
	of := func(v any) (any, bool) {
		return Func(func(_ context.Context, a Arguments) (any, error) {
			_, err := a.Bind(0)
			return v, err
		}), true
	}
	switch name {
	case "getState":
		return of(p.n.State)
	case "getId":
		return of(p.n.Partition)
	case "getComputerId":
		return of(p.n.Computer)
	case "getInstanceGuid":
		return of(p.n.GUID)
	case "getConnectionParameterDict":
		return of(p.n.Connection)
	case "getInstanceParameterDict":
		return of(p.n.Parameters)
	case "getConnectionParameter":
		return Func(func(_ context.Context, a Arguments) (any, error) {
			got, err := a.Bind(1, "key")
			if err != nil {
				return nil, err
			}
			key, _ := got["key"].(string)
			v, ok := p.n.Connection[key]
			if !ok {
				return nil, fmt.Errorf("there is no connection parameter %q", key)
			}
			return v, nil
		}), true
	}
	return nil, false
}

// products looks up the best releases of products by name.
type products struct{}

// Member returns a name that the master resolves when it is used.
func (p products) Member(name string) (any, bool) { return "product." + name, true }

// system stands for Python's sys: the script and its arguments.
type system []string

// Member returns argv only.
func (c system) Member(name string) (any, bool) {
	if len(c) == 0 {
		c = system{""}
	}
	argv := make(proto.List, len(c))
	for i, arg := range c {
		argv[i] = arg
	}
	return argv, name == "argv"
}

func (c system) String() string { return "<module 'sys'>" }

// valueText formats a value as Python does.
func valueText(v any) (string, error) {
	switch o := v.(type) {
	case fmt.Stringer:
		return visible.Line(o.String()), nil
	case Func:
		return "<function>", nil
	}
	text, err := proto.Text(proto.List{v})
	if err != nil {
		return "", err
	}
	return text[1 : len(text)-1], nil
}
