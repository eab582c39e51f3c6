package usercmd

import (
	"context"
	"fmt"

	"github.com/hostler-project/hostler/slapos/console"
	"github.com/hostler-project/hostler/slapos/proto"
)

// consolePartition is what a request returns.
type consolePartition struct{ n *proto.Instance }

func (p consolePartition) String() string {
	return fmt.Sprintf("<instance in %s of %s, %s>", p.n.Partition, p.n.Computer, p.n.State)
}

// Member returns the methods that SlapOS's own has.
func (p consolePartition) Member(name string) (any, bool) {
	of := func(v any) (any, bool) {
		return console.Func(func(_ context.Context, a console.Arguments) (any, error) {
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
		return console.Func(func(_ context.Context, a console.Arguments) (any, error) {
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

// consoleProducts looks up the best releases of products by name.
type consoleProducts struct{}

// Member returns a name that the master resolves when it is used.
func (p consoleProducts) Member(name string) (any, bool) { return "product." + name, true }

// consoleSystem stands for Python's sys: the script and its arguments.
type consoleSystem []string

// Member returns argv only.
func (c consoleSystem) Member(name string) (any, bool) {
	if len(c) == 0 {
		c = consoleSystem{""}
	}
	argv := make(proto.List, len(c))
	for i, arg := range c {
		argv[i] = arg
	}
	return argv, name == "argv"
}

func (c consoleSystem) String() string { return "<module 'sys'>" }
