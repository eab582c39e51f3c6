package usercmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
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

func NewService(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "service",
		Short:   "Look at the instances that were asked for",
		Example: "  hostler slapos service list\n  hostler slapos service info mydemo",
		Args:    cobra.ArbitraryArgs,
		RunE:    s.Group,
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
		RunE:    s.RunE(func(ctx context.Context, args []string) error { return serviceInfo(ctx, s, args[0], news) }),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (out cli.Candidates, _ cobra.ShellCompDirective) {
			if len(args) == 0 {
				out = s.Services(cmd)
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
		RunE:    s.RunE(func(ctx context.Context, _ []string) error { return serviceList(ctx, s) }),
	})
	return cmd
}

func serviceList(ctx context.Context, s *session.Session) error {
	master, err := s.Master()
	if err != nil {
		return err
	}
	all, err := master.Hypermedia().Search(ctx, hypermedia.Query{Kind: session.TreeKind}, "title", "url_string")
	if err != nil {
		return err
	}
	views, old := make([]serviceListedView, len(all)), map[string]string{}
	for i, tree := range all {
		views[i] = serviceListedView{field(tree, "title"), field(tree, "url_string")}
		old[views[i].Title] = views[i].Release
	}
	if s.App.JSON {
		return s.App.PrintJSON(views)
	}
	return s.App.PrintJSON(old)
}

// form is the one thing that a search by a field finds; nil: there is none.
func findForm(ctx context.Context, s *session.Session, kind, by, value string) (map[string]any, error) {
	master, err := s.Master()
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

func serviceInfo(ctx context.Context, s *session.Session, title string, news bool) error {
	got, err := findForm(ctx, s, session.TreeKind, "title", title)
	if err != nil {
		return err
	}
	if got == nil {
		return s.NotKnown("service", title, "hostler slapos service list shows all")
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
	} else if v.Status, told, err = serviceStatus(ctx, s, title); err != nil {
		return err
	}
	if v.Reason == "" && v.Status == "red" {
		v.Error = trouble(told)
	}
	if news && told != "" {
		v.News = []string{told}
	}
	if s.App.JSON {
		return s.App.PrintJSON(v)
	}
	old := oldServiceView{v.Release, v.Type, v.Shared, v.State, v.Parameters, v.Connection, v.Status, v.Reason, v.Error, nil}
	if news {
		if old.News = &v.News; v.News == nil {
			old.News = &[]string{}
		}
	}
	return s.App.PrintJSON(old)
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
func serviceStatus(ctx context.Context, s *session.Session, title string) (word, told string, err error) {
	var tree jsonapi.Document
	err = s.Client.Call(ctx, "slapos.get.v0.instance_tree", &jsonapi.Call{Title: title}, &tree)
	if err != nil {
		if ctx.Err() != nil {
			return "", "", err
		}
		// a master without the method
		s.Log.Note("the status of %s: %s", title, term.ErrorText(err))
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
