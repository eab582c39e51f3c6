package usercmd

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/parameter"
	"github.com/hostler-project/hostler/slapos/proto"
)

// requestOptions is what a command line of `slapos request` says.
type requestOptions struct {
	node, pairs         []string
	file, form          string
	kind, state         string
	shared, uncheckable bool
}

// flags declares the options.
func (o *requestOptions) flags(s *session.Session, cmd *cobra.Command) {
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
}

// check refuses words that are none of those to choose from.
func (o *requestOptions) check() error {
	if o.state != "" && !slices.Contains([]string{proto.Started, proto.Stopped, proto.Destroyed}, o.state) {
		return fault.Invalid("", "--state %s: started, stopped or destroyed", o.state)
	}
	if o.form != "" && o.form != parameter.XML && o.form != parameter.JSON {
		return fault.Invalid("", "--force-serialisation %s: xml or json-in-xml", o.form)
	}
	return nil
}
