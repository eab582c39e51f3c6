package slaposcmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
	"github.com/hostler-project/hostler/slapos/proto/hypermedia"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
)

// serviceListedView is a service in `slapos service list --json`.
type serviceListedView struct {
	Title   string `json:"title"`
	Release string `json:"release"`
}

// serviceView is `slapos service info --json`.
type serviceView struct {
	Title      string            `json:"title"`
	Release    string            `json:"release"`
	Type       string            `json:"type"`
	Shared     bool              `json:"shared"`
	State      string            `json:"state"`
	Parameters map[string]string `json:"parameters"`
	Connection map[string]string `json:"connection"`
	Status     string            `json:"status"`
	Reason     string            `json:"reason,omitempty"`
	Error      string            `json:"error,omitempty"`
	News       []string          `json:"news,omitempty"`
}

// oldServiceView is the same as SlapOS's own command prints it.
type oldServiceView struct {
	Release    string            `json:"software-url"`
	Type       string            `json:"software-type"`
	Shared     bool              `json:"shared"`
	State      string            `json:"requested-state"`
	Parameters map[string]string `json:"instance-parameters"`
	Connection map[string]string `json:"connection-parameters"`
	Status     string            `json:"status"`
	Reason     string            `json:"allocation-error,omitempty"` // not SlapOS's, like the next
	Error      string            `json:"error,omitempty"`
	News       *[]string         `json:"news,omitempty"`
}

func newSlaposService(s *Slapos) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "service",
		Short:   "Look at the instances that were asked for",
		Example: "  hostler slapos service list\n  hostler slapos service info mydemo",
		Args:    cobra.ArbitraryArgs,
		RunE:    s.group,
	}
	var news bool
	info := &cobra.Command{
		Use:   "info TITLE",
		Short: "Show an instance that was asked for: parameters, what it tells of itself, status",
		Long: `Show an instance that was asked for, by its title, as JSON. Its status is what its node last reported: green (it runs), red (it does not, or there is no place for it, or its software cannot be had, and why), none (nothing was reported), or unsupported, where the
master does not tell.

Exit status: 2 where the master knows no such title.`,
		Example: "  hostler slapos service info mydemo --news",
		Args:    cobra.ExactArgs(1),
		RunE:    s.do(func(ctx context.Context, args []string) error { return s.serviceInfo(ctx, args[0], news) }),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (out cli.Candidates, _ cobra.ShellCompDirective) {
			if len(args) == 0 {
				out = s.services(cmd)
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
	}
	info.Flags().BoolVar(&news, "news", false, "with what its node last said")
	cmd.AddCommand(info, &cobra.Command{
		Use:     "list",
		Short:   "List the instances that were asked for, with their software",
		Example: "  hostler slapos service list",
		Args:    cobra.NoArgs,
		RunE:    s.do(func(ctx context.Context, _ []string) error { return s.serviceList(ctx) }),
	})
	return cmd
}

// group is what a command does that has others below it.
func (s *Slapos) group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	s.A.Tell(cli.UnknownCommand(cmd, args[0]))
	return term.Exit(slaposUnknown)
}

// notKnown says that the master knows no such thing.
func (s *Slapos) notKnown(what, name, hint string) error {
	return s.notThere(hint, "the master knows no %s %q", what, name)
}

// notThere says that there is none of what was asked for.
func (s *Slapos) notThere(hint, format string, args ...any) error {
	s.fail(&compute.Error{Kind: compute.ErrNotFound, Err: fmt.Errorf(format, args...), Hint: hint})
	return term.Exit(slaposNotYet)
}

// The kinds of things in the hypermedia API.
const (
	treeKind     = "Instance Tree"
	computerKind = "Compute Node"
)

func (s *Slapos) serviceList(ctx context.Context) error {
	master, err := s.master()
	if err != nil {
		return err
	}
	all, err := master.Hypermedia().Search(ctx, hypermedia.Query{Kind: treeKind}, "title", "url_string")
	if err != nil {
		return err
	}
	views, old := make([]serviceListedView, len(all)), map[string]string{}
	for i, tree := range all {
		views[i] = serviceListedView{field(tree, "title"), field(tree, "url_string")}
		old[views[i].Title] = views[i].Release
	}
	if s.A.JSON {
		return s.A.PrintJSON(views)
	}
	return s.A.PrintJSON(old)
}

// form is the one thing that a search by a field finds; nil: there is none.
func (s *Slapos) form(ctx context.Context, kind, by, value string) (map[string]any, error) {
	master, err := s.master()
	if err != nil {
		return nil, err
	}
	found, err := master.Hypermedia().Search(ctx, hypermedia.Query{Kind: kind, Field: by, Value: value}, by, "relative_url")
	if err != nil || len(found) == 0 {
		return nil, err
	}
	form, err := master.Hypermedia().Form(ctx, field(found[0], "relative_url"))
	if errors.Is(err, client.ErrNotFound) {
		return nil, nil // gone in between
	} else if err != nil {
		return nil, err
	}
	return form.Values(), nil
}

// field is a text of what the hypermedia API answers.
func field(of map[string]any, name string) string {
	text, _ := of[name].(string)
	return text
}

func (s *Slapos) serviceInfo(ctx context.Context, title string, news bool) error {
	got, err := s.form(ctx, treeKind, "title", title)
	if err != nil {
		return err
	}
	if got == nil {
		return s.notKnown("service", title, "hostler slapos service list shows all")
	}
	v := serviceView{Title: title, Release: field(got, "url_string"), Type: field(got, "source_reference"), State: field(got, "slap_state")}
	switch shared := got["root_slave"].(type) {
	case bool:
		v.Shared = shared
	case float64:
		v.Shared = shared != 0
	}
	parameters, err := proto.ParseParameters(field(got, "text_content"))
	if err != nil {
		return fmt.Errorf("parameters of %s: %w", title, err)
	}
	if v.Parameters, err = texts(parameters); err != nil {
		return err
	}
	if v.Connection, err = connectionOf(got["connection_parameter_list"]); err != nil {
		return fmt.Errorf("connection parameters of %s: %w", title, err)
	}
	var told string
	if v.Reason = field(got, "allocation_error"); v.Reason != "" { // only a hostler master has it
		v.Status, told = "red", "#error no place: "+v.Reason
	} else if v.Status, told, err = s.serviceStatus(ctx, title); err != nil {
		return err
	}
	if v.Reason == "" && v.Status == "red" {
		v.Error = trouble(told)
	}
	if news && told != "" {
		v.News = []string{told}
	}
	if s.A.JSON {
		return s.A.PrintJSON(v)
	}
	old := oldServiceView{v.Release, v.Type, v.Shared, v.State, v.Parameters, v.Connection, v.Status, v.Reason, v.Error, nil}
	if news {
		if old.News = &v.News; v.News == nil {
			old.News = &[]string{}
		}
	}
	return s.A.PrintJSON(old)
}

// connectionOf reads connection parameters as a form has them: a document <instance>, or a list of
// keys and values.
func connectionOf(v any) (map[string]string, error) {
	if text, ok := v.(string); ok {
		d, err := proto.ParseParameters(text)
		if err != nil {
			return nil, err
		}
		return texts(d)
	}
	out := map[string]string{}
	list, _ := v.([]any)
	for _, pair := range list {
		if pair, ok := pair.(map[string]any); ok {
			out[field(pair, "connection_key")] = field(pair, "connection_value")
		}
	}
	return out, nil
}

// trouble is an error that a master tells, without the word before it.
func trouble(told string) string { return strings.TrimSpace(strings.TrimPrefix(told, "#error")) }

// serviceStatus is what was last heard of an instance, in a word and in the master's own.
func (s *Slapos) serviceStatus(ctx context.Context, title string) (word, told string, err error) {
	var tree jsonapi.Document
	err = s.client.Call(ctx, "slapos.get.v0.instance_tree", &jsonapi.Call{Title: title}, &tree)
	if err != nil {
		if ctx.Err() != nil {
			return "", "", err
		}
		s.Note("the status of %s: %s", title, term.ErrorText(err)) // a master without the method
		return "unsupported", "", nil
	}
	switch told = tree.AccessStatus; {
	case strings.HasPrefix(told, "#error no data"):
		return "none", told, nil
	case strings.HasPrefix(told, "#error"):
		return "red", told, nil
	case strings.HasPrefix(told, "#access"):
		return "green", told, nil
	}
	return "unsupported", told, nil
}
