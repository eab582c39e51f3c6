package usercmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/slapos/console"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/text/visible"
)

// prompt runs what the console's lines say.
type prompt struct{ s *session.Session }

// help prints what the console knows.
func (p *prompt) help(context.Context, console.Arguments) (any, error) {
	return nil, term.Printf(p.s.App.Out, "%s", visible.Shown(`supply(software_release, computer_guid, state="available")
request(software_release, partition_reference, partition_parameter_kw={}, software_type="default", filter_kw={}, state="started", shared=False)
    of what it gives: getState(), getId(), getComputerId(), getInstanceGuid(), getConnectionParameterDict(), getConnectionParameter(key), getInstanceParameterDict()
getInformation(partition_reference)
print(value, ...)
product.NAME, the aliases of the configuration, sys.argv; NAME = VALUE gives a value a name; exit() ends
`))
}

// print is Python's print, without its options.
func (p *prompt) print(_ context.Context, a console.Arguments) (any, error) {
	if len(a.Named) > 0 {
		return nil, errors.New("it takes values alone")
	}
	words := make([]string, len(a.List))
	for i, v := range a.List {
		var err error
		if text, ok := v.(string); ok {
			words[i] = term.Line(text)
		} else if words[i], err = consoleText(v); err != nil {
			return nil, err
		}
	}
	return nil, term.Printf(p.s.App.Out, "%s\n", strings.Join(words, " "))
}

// show prints a value as Python does.
func (p *prompt) show(v any) error {
	text, err := consoleText(v)
	if err == nil {
		_, err = io.WriteString(p.s.App.Out, text+"\n")
	}
	return err
}

// consoleText formats a value as Python does.
func consoleText(v any) (string, error) {
	switch o := v.(type) {
	case fmt.Stringer:
		return term.Line(o.String()), nil
	case console.Func:
		return "<function>", nil
	}
	text, err := proto.Text(proto.List{v})
	if err != nil {
		return "", err
	}
	return text[1 : len(text)-1], nil
}

func (p *prompt) supply(ctx context.Context, a console.Arguments) (any, error) {
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
	if url, err = p.s.Release(ctx, url); err != nil {
		return nil, err
	}
	return nil, p.s.Client.Supply(ctx, url, computer, state)
}

func (p *prompt) request(ctx context.Context, a console.Arguments) (any, error) {
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
	if q.Release, err = p.s.Release(ctx, q.Release); err != nil {
		return nil, err
	}
	n, err := p.s.Client.Request(ctx, q)
	if err != nil {
		return nil, err
	}
	return consolePartition{n}, nil
}

func (p *prompt) information(ctx context.Context, a console.Arguments) (any, error) {
	got, err := a.Bind(1, "partition_reference")
	if err != nil {
		return nil, err
	}
	title, _ := got["partition_reference"].(string)
	form, err := findForm(ctx, p.s, session.TreeKind, "title", title)
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
