package usercmd

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/parameter"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// requestView is what `slapos request` prints with --json.
type requestView struct {
	Title      string            `json:"title"`
	Release    string            `json:"release"`
	Type       string            `json:"type"`
	Shared     bool              `json:"shared"`
	Ready      bool              `json:"ready"`
	State      string            `json:"state,omitempty"`
	Computer   string            `json:"computer,omitempty"`
	Partition  string            `json:"partition,omitempty"`
	Connection map[string]string `json:"connection,omitempty"`
}

// requestOptions is what a command line of `slapos request` says.
type requestOptions struct {
	node, pairs         []string
	file, form          string
	kind, state         string
	shared, uncheckable bool
}

func NewRequest(s *session.Session) *cobra.Command {
	var o requestOptions
	cmd := &cobra.Command{
		Use:   "request TITLE URL",
		Short: "Ask for an instance of a software release, or that one be otherwise",
		Long: `Ask the master for an instance, which has a title and runs a software release. Asked again with the same title, it says how the instance is by now; with something else, the instance is
changed to that.

URL is that of the release, an alias of [slapconsole], or product.NAME for the best release of a product. Parameters are given as KEY=VALUE, or in a file: what a JSON or YAML file holds is
sent in the form that the software wants, by the file beside its release (URL.json), or --force-serialisation; an XML file as it is. Where that file names a schema, parameters that are not as it
wants them are refused before anything is sent.

Exit status: 2 where the instance is not ready yet: give the same command again later.`,
		Example: "  hostler slapos request mydemo https://software.example/demo/software.cfg --node computer_guid=COMP-1 --parameters domain=example.org\n" +
			"  hostler slapos request mydemo https://software.example/demo/software.cfg --parameters-file demo.json\n  hostler slapos request mydemo https://software.example/demo/software.cfg --state stopped",
		Args: cobra.ExactArgs(2),
		RunE: s.RunE(func(ctx context.Context, args []string) error { return request(ctx, s, args[0], args[1], &o) }),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (cli.Candidates, cobra.ShellCompDirective) {
			switch len(args) {
			case 0:
				return s.Services(cmd), cobra.ShellCompDirectiveNoFileComp
			case 1:
				return s.Releases(cmd, args[0]), cobra.ShellCompDirectiveDefault
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.node, "node", nil, "ask for a place that is so: `KEY=VALUE`..., as in computer_guid=COMP-1")
	f.StringVar(&o.kind, "type", "", "the software's variant `NAME`")
	f.StringVar(&o.state, "state", "", "have it `STATE`: started, stopped or destroyed; as it is unless said")
	f.BoolVar(&o.shared, "slave", false, "ask for a shared instance, which another serves")
	f.StringArrayVar(&o.pairs, "parameters", nil, "the instance's parameters: `KEY=VALUE`...")
	f.StringVar(&o.file, "parameters-file", "", "the instance's parameters are in `FILE`: .json, .yaml, .yml or .xml")
	f.StringVar(&o.form, "force-serialisation", "", "send a file's parameters in `FORM`, xml or json-in-xml, whatever the software says")
	f.BoolVar(&o.uncheckable, "no-validate", false, "send the parameters whatever the software's schema says")
	cmd.MarkFlagsMutuallyExclusive("parameters", "parameters-file")
	_ = cmd.MarkFlagFilename("parameters-file", "json", "yaml", "yml", "xml")
	of := func(words ...string) cobra.CompletionFunc {
		return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	}
	_ = cmd.RegisterFlagCompletionFunc("state", of(proto.Started, proto.Stopped, proto.Destroyed))
	_ = cmd.RegisterFlagCompletionFunc("force-serialisation", of(parameter.XML, parameter.JSON))
	_ = cmd.RegisterFlagCompletionFunc("parameters", of())
	_ = cmd.RegisterFlagCompletionFunc("type", of("default"))
	_ = cmd.RegisterFlagCompletionFunc("node", func(
		cmd *cobra.Command, _ []string, typed string,
	) (out cli.Candidates, _ cobra.ShellCompDirective) {
		if !strings.HasPrefix(typed, "computer_guid=") {
			return cli.Candidates{"computer_guid=", "instance_guid=", "master_url=", "network_guid=", "project_guid=", "retention_delay="},
				cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		for _, c := range s.Computers(cmd) {
			out = append(out, "computer_guid="+c)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

// request asks for an instance and says what came of it.
func request(ctx context.Context, s *session.Session, title, url string, o *requestOptions) error {
	if o.state != "" && !slices.Contains([]string{proto.Started, proto.Stopped, proto.Destroyed}, o.state) {
		return fault.Invalid("", "--state %s: started, stopped or destroyed", o.state)
	}
	if o.form != "" && o.form != parameter.XML && o.form != parameter.JSON {
		return fault.Invalid("", "--force-serialisation %s: xml or json-in-xml", o.form)
	}
	q := &proto.Request{Title: title, Type: o.kind, State: o.state, Shared: o.shared}
	var err error
	if q.Filter, err = parameter.Pairs(o.node); err != nil {
		return fault.Invalid("", "--node: %w", err)
	}
	master, err := s.Master()
	if err != nil {
		return err
	}
	if q.Release, err = s.Release(ctx, url); err != nil {
		return err
	}
	if err := prepare(ctx, s, q, o); err != nil {
		return err
	}
	s.Log.Say("Requesting %s as an instance of %s ...", title, q.Release)
	v := requestView{Title: title, Release: q.Release, Type: cmp.Or(o.kind, "default"), Shared: o.shared}
	n, err := master.Request(ctx, q)
	switch {
	case errors.Is(err, client.ErrNotReady):
		s.Log.Warn("The instance is requested and not ready yet. Give the same command again in a while.")
		if s.App.JSON {
			if err := s.App.PrintJSON(v); err != nil {
				return err
			}
		}
		return term.Exit(session.ExitNotYet)
	case errors.Is(err, client.ErrNotFound):
		return noPlace(s, err)
	case err != nil:
		return err
	}
	v.Ready, v.State, v.Computer, v.Partition = true, n.State, n.Computer, n.Partition
	if v.State == "" && n.Computer != "" { // a shared one is as its host is
		host, err := master.Partition(ctx, n.Computer, n.Partition)
		if err != nil {
			s.Log.Note("the state of the host %s of %s: %v", n.Partition, n.Computer, err)
		} else {
			v.State = host.State
		}
	}
	v.State = cmp.Or(v.State, proto.Started)
	if v.Connection, err = texts(n.Connection); err != nil {
		return err
	}
	if s.App.JSON {
		return s.App.PrintJSON(v)
	}
	s.Log.Say("Instance requested.\nState is : %s.", v.State)
	s.Log.Say("Connection parameters of instance are:")
	s.Log.Say("%s", shownParameters(n.Connection))
	s.Log.Say("You can rerun the command to get up-to-date information.")
	return nil
}

// The length of the line in which SlapOS's own command shows parameters; longer ones have a line
// each.
const parametersWidth = 80

// shownParameters are parameters as SlapOS's own command shows them.
func shownParameters(d proto.Dictionary) string {
	text, err := proto.Text(d)
	if err != nil {
		return err.Error()
	}
	if len(text) <= parametersWidth {
		return text
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(d)) {
		one, err := proto.Text(proto.Dictionary{name: d[name]})
		if err != nil {
			return err.Error()
		}
		lines = append(lines, strings.TrimSuffix(strings.TrimPrefix(one, "{"), "}"))
	}
	return "{" + strings.Join(lines, ",\n ") + "}"
}
