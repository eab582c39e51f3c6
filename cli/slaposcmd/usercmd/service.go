package usercmd

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/slapos/proto/hypermedia"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
)

// serviceListedView is a service in `slapos service list --json`.
type serviceListedView struct {
	Title   string `json:"title"`
	Release string `json:"release"`
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

// serviceList prints the services that the master shows to this user.
func serviceList(ctx context.Context, s *session.Session) error {
	master, err := s.Master()
	if err != nil {
		return err
	}
	all, err := master.Hypermedia().Search(ctx, hypermedia.Query{Kind: hypermedia.QueryTrees}, "title", "url_string")
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

// findForm returns the fields of the one thing that a search by a field finds; nil if there is
// none.
func findForm(ctx context.Context, s *session.Session, kind, by, value string) (map[string]any, error) {
	master, err := s.Master()
	if err != nil {
		return nil, err
	}
	return master.Hypermedia().Find(ctx, kind, by, value)
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
