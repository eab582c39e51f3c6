package usercmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/console"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/text/visible"
)

func NewConsole(s *session.Session) *cobra.Command {
	var master, key, certificate string
	cmd := &cobra.Command{
		Use:   "console [SCRIPT [ARGUMENT...]]",
		Short: "Type request(), supply() and the like at a prompt",
		Long: `Read lines like those of SlapOS's Python console from standard input or a file, and do what they say:

  supply(URL, "COMP-1")
  mydemo = request(URL, "mydemo", partition_parameter_kw={"port": "80"}, filter_kw={"computer_guid": "COMP-1"})
  mydemo.getState()
  print("it says", mydemo.getConnectionParameterDict())

URL is a text, an alias of [slapconsole], or product.NAME. Values are written as in Python, and names can be given to them; there is no other Python. What follows SCRIPT is
the script's own: sys.argv[1] is the first of it, and sys.argv[0] SCRIPT, where - is standard input. At a prompt errors are told and it
goes on; of a file, or of what is no terminal, the first one ends it.`,
		Example: "  hostler slapos console\n  hostler slapos console deploy.txt COMP-1\n  echo 'supply(demo, \"COMP-1\")' | hostler slapos console",
		Args:    cobra.ArbitraryArgs,
		RunE: s.RunE(func(ctx context.Context, args []string) error {
			if master != "" {
				s.Settings = &cfg.Client{Master: master, CertFile: certificate, KeyFile: key}
			}
			return runConsole(ctx, s, args)
		}),
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // the words after the script belong to it
	f.StringVarP(&master, "master-url", "u", "", "speak to the master at `URL`, and read no configuration")
	f.StringVarP(&key, "key-file", "k", "", "with --master-url: the key is in `FILE`")
	f.StringVarP(&certificate, "cert-file", "c", "", "with --master-url: the certificate is in `FILE`")
	for name, short := range map[string]string{"ipython": "i", "bpython": "b", "python": "p"} {
		f.BoolP(name, short, false, "as always: hostler's own")
		_ = f.MarkHidden(name)
	}
	return cmd
}

// console reads and runs lines.
func runConsole(ctx context.Context, s *session.Session, args []string) error {
	settings, err := s.Configuration()
	if err != nil {
		return err
	}
	if _, err := s.Master(); err != nil {
		return err
	}
	p := &prompt{s}
	c := &console.Console{Names: map[string]any{
		"request": console.Func(p.request), "supply": console.Func(p.supply), "product": consoleProducts{},
		"getInformation": console.Func(p.information),
		"sys":            consoleSystem(args), "print": console.Func(p.print), "help": console.Func(p.help),
	}}
	for _, a := range settings.Aliases {
		if _, taken := c.Names[a.Name]; !taken {
			c.Names[a.Name] = a.URL
		}
	}
	in, name, asks := s.App.In, "standard input", term.IsTerminal(s.App.In)
	if len(args) > 0 && args[0] == "-" {
		asks = false
	} else if len(args) > 0 {
		f, err := os.Open(args[0])
		if err != nil {
			return fault.Invalid("", "%w", err)
		}
		defer f.Close()
		in, name, asks = f, args[0], false
	}
	lines, failed := consoleLines(ctx, in)
	text, n := "", 0
	for {
		if asks {
			_ = term.Printf(s.App.Err, "%s", map[bool]string{true: ">>> ", false: "... "}[text == ""])
		}
		var line string
		var more bool
		select {
		case line, more = <-lines:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !more {
			if err := <-failed; err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if text == "" {
				return nil
			}
		}
		if more {
			n++
			text += line + "\n"
		}
		if word := strings.TrimSpace(text); asks && (word == "exit()" || word == "quit()" || word == "exit" || word == "quit") {
			return nil
		}
		if asks && strings.TrimSpace(text) == "help" {
			text = "help()"
		}
		v, err := c.Run(ctx, text)
		if more && errors.Is(err, console.ErrIncomplete) {
			continue
		}
		text = ""
		if err == nil && v != nil {
			err = p.show(v)
		}
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case asks:
			s.App.Tell(session.Hinted(err))
		default:
			return fmt.Errorf("%s, line %d: %w", name, n, err)
		}
	}
}

// consoleLines returns the lines of a file, and then the error that ended them. A goroutine reads
// them, since only input ends a read from a terminal. After a signal, it ends with the process.
func consoleLines(ctx context.Context, in io.Reader) (<-chan string, <-chan error) {
	lines, failed := make(chan string), make(chan error, 1)
	go func() {
		defer close(lines)
		defer close(failed) // before lines is
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, proto.MaxSize)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
		failed <- scanner.Err()
	}()
	return lines, failed
}

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
