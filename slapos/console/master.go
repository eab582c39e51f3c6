package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
	"github.com/hostler-project/hostler/slapos/proto/hypermedia"
	"github.com/hostler-project/hostler/text/visible"
)

// Master is what the lines of a SlapOS console are about.
type Master struct {
	Client  *client.Client
	Release func(ctx context.Context, text string) (string, error) // the URL that a text means
	Out     io.Writer                                              // of print and help
}

// Names returns the names that lines may use: request, supply and the like. argv is a script and
// the arguments after it.
func (m *Master) Names(argv []string) map[string]any {
	return map[string]any{
		"request": Func(m.request), "supply": Func(m.supply), "product": products{}, "getInformation": Func(m.information),
		"sys": system(argv), "print": Func(m.print), "help": Func(m.help),
	}
}

// help prints what the console knows.
func (m *Master) help(context.Context, Arguments) (any, error) {
	return nil, visible.Fprintf(m.Out, "%s", visible.Shown(`supply(software_release, computer_guid, state="available")
request(software_release, partition_reference, partition_parameter_kw={}, software_type="default", filter_kw={}, state="started", shared=False)
    of what it gives: getState(), getId(), getComputerId(), getInstanceGuid(), getConnectionParameterDict(), getConnectionParameter(key), getInstanceParameterDict()
getInformation(partition_reference)
print(value, ...)
product.NAME, the aliases of the configuration, sys.argv; NAME = VALUE gives a value a name; exit() ends
`))
}

// print is Python's print, without its options.
func (m *Master) print(_ context.Context, a Arguments) (any, error) {
	if len(a.Named) > 0 {
		return nil, errors.New("it takes values alone")
	}
	words := make([]string, len(a.List))
	for i, v := range a.List {
		var err error
		if text, ok := v.(string); ok {
			words[i] = visible.Line(text)
		} else if words[i], err = valueText(v); err != nil {
			return nil, err
		}
	}
	return nil, visible.Fprintf(m.Out, "%s\n", strings.Join(words, " "))
}

// Show prints a value as Python does.
func (m *Master) Show(v any) error {
	text, err := valueText(v)
	if err == nil {
		_, err = io.WriteString(m.Out, text+"\n")
	}
	return err
}

// supply asks for a software release on a computer.
func (m *Master) supply(ctx context.Context, a Arguments) (any, error) {
	got, err := a.Bind(2, "software_release", "computer_guid", "state")
	if err != nil {
		return nil, err
	}
	url, good := got["software_release"].(string)
	computer, ok := got["computer_guid"].(string)
	state, named := got["state"].(string)
	if !good || !ok || got["state"] != nil && !named {
		return nil, errors.New("software_release, computer_guid and state are texts")
	}
	if state == "" {
		state = proto.Available
	}
	if url, err = m.Release(ctx, url); err != nil {
		return nil, err
	}
	return nil, m.Client.Supply(ctx, url, computer, state)
}

// request asks for an instance, and returns the partition that it has.
func (m *Master) request(ctx context.Context, a Arguments) (any, error) {
	got, err := a.Bind(
		2, "software_release", "partition_reference", "partition_parameter_kw", "software_type", "filter_kw", "state",
		"shared",
	)
	if err != nil {
		return nil, err
	}
	q := &proto.Request{}
	for name, to := range map[string]*string{
		"software_release": &q.Release, "partition_reference": &q.Title, "software_type": &q.Type, "state": &q.State,
	} {
		text, ok := got[name].(string)
		if !ok && got[name] != nil {
			return nil, fmt.Errorf("%s is a text", name)
		}
		*to = text
	}
	for name, to := range map[string]*proto.Dictionary{"partition_parameter_kw": &q.Parameters, "filter_kw": &q.Filter} {
		d, ok := got[name].(proto.Dictionary)
		if !ok && got[name] != nil {
			return nil, fmt.Errorf("%s is a dictionary", name)
		}
		*to = d
	}
	shared, ok := got["shared"].(bool)
	if !ok && got["shared"] != nil {
		return nil, errors.New("shared is True or False")
	}
	q.Shared = shared
	if q.Release, err = m.Release(ctx, q.Release); err != nil {
		return nil, err
	}
	n, err := m.Client.Request(ctx, q)
	if err != nil {
		return nil, err
	}
	return partition{n}, nil
}

// information returns the texts that the master has of a service.
func (m *Master) information(ctx context.Context, a Arguments) (any, error) {
	got, err := a.Bind(1, "partition_reference")
	if err != nil {
		return nil, err
	}
	title, _ := got["partition_reference"].(string)
	form, err := m.Client.Hypermedia().Find(ctx, hypermedia.QueryTrees, "title", title)
	if err != nil {
		return nil, err
	}
	if form == nil {
		return nil, fmt.Errorf("the master knows no service %q", title)
	}
	d := proto.Dictionary{}
	for name, v := range form {
		if text, ok := v.(string); ok {
			d[name] = text
		}
	}
	return d, nil
}
