package usercmd

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/proto/client"
	"github.com/hostler-project/hostler/slapos/proto/hypermedia"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
)

// computerView is a computer in `slapos computer list --json`.
type computerView struct {
	Computer string `json:"computer"`
	Title    string `json:"title"`
}

// computerDetailView is `slapos computer info --json`.
type computerDetailView struct {
	Computer  string                 `json:"computer"`
	Title     string                 `json:"title"`
	Software  []computerSoftwareView `json:"software,omitempty"`
	Instances []computerInstanceView `json:"instances,omitempty"`
	Told      time.Time              `json:"told,omitzero"`
	Programs  []computerProgramView  `json:"programs,omitempty"`
	Promises  []computerPromiseView  `json:"promises,omitempty"`
}

// computerProgramView is a program in it, as its node told last.
type computerProgramView struct {
	Partition string    `json:"partition"`
	Name      string    `json:"name"`
	State     string    `json:"state"`
	PID       int       `json:"pid,omitempty"`
	Started   time.Time `json:"started,omitzero"`
	CPU       float64   `json:"cpu"`
	Memory    int64     `json:"memory"`
}

// computerPromiseView is a promise in it.
type computerPromiseView struct {
	Partition string    `json:"partition"`
	Name      string    `json:"name"`
	Failed    bool      `json:"failed"`
	Text      string    `json:"text,omitempty"`
	At        time.Time `json:"at,omitzero"`
}

// computerSoftwareView is software in it.
type computerSoftwareView struct {
	Release string `json:"release"`
	State   string `json:"state"` // the wanted state
	Error   string `json:"error,omitempty"`
}

// computerInstanceView is an instance in it.
type computerInstanceView struct {
	Partition string `json:"partition"`
	Title     string `json:"title"`
	State     string `json:"state"`
	Release   string `json:"release"`
	Error     string `json:"error,omitempty"`
}

// tokenView is `slapos computer token --json`.
type tokenView struct {
	Token string `json:"token"`
}

func NewComputer(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "computer",
		Short:   "Look at the computers of a master, and have a token for a new one",
		Example: "  hostler slapos computer list\n  hostler slapos computer info COMP-1",
		Args:    cobra.ArbitraryArgs,
		RunE:    s.Group,
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "list",
		Short:   "List the computers: reference and title",
		Example: "  hostler slapos computer list",
		Args:    cobra.NoArgs,
		RunE:    s.RunE(func(ctx context.Context, _ []string) error { return computerList(ctx, s) }),
	}, &cobra.Command{
		Use:   "info REF",
		Short: "Show a computer, with its software and instances where the master tells",
		Long: `Show a computer by its reference, with the software and the instances that are wanted there, and what its node last said is wrong with them; of a node of ours, and from a master of ours, also the programs that run on it and what their promises came to.

Exit status: 2 where the master knows no such computer.`,
		Example:           "  hostler slapos computer info COMP-1",
		Args:              cobra.ExactArgs(1),
		RunE:              s.RunE(func(ctx context.Context, args []string) error { return computerInfo(ctx, s, args[0]) }),
		ValidArgsFunction: oneComputer(s),
	}, &cobra.Command{
		Use:   "token [REF]",
		Short: "Print a token with which one computer can be registered",
		Long: `Print a token with which one computer can be registered (hostler slapos node register): a new one, or the computer of that reference, which is yours
already and is to have another certificate; only masters of ours give those. It is a secret, good once and within a day.`,
		Example:           "  hostler slapos computer token\n  hostler slapos computer token COMP-1",
		Args:              cobra.MaximumNArgs(1),
		RunE:              s.RunE(func(ctx context.Context, args []string) error { return computerToken(ctx, s, args) }),
		ValidArgsFunction: oneComputer(s),
	})
	return cmd
}

// oneComputer completes a single reference.
func oneComputer(s *session.Session) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) (out cli.Candidates, _ cobra.ShellCompDirective) {
		if len(args) == 0 {
			out = s.Computers(cmd)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

func computerList(ctx context.Context, s *session.Session) error {
	master, err := s.Master()
	if err != nil {
		return err
	}
	all, err := master.Hypermedia().Search(ctx, hypermedia.Query{Kind: session.ComputerKind}, "title", "reference")
	if err != nil {
		return err
	}
	views := make([]computerView, len(all))
	for i, c := range all {
		views[i] = computerView{field(c, "reference"), field(c, "title")}
	}
	if s.App.JSON {
		return s.App.PrintJSON(views)
	}
	if err := term.Printf(s.App.Out, "List of Computers:\n"); err != nil {
		return err
	}
	for _, v := range views {
		if err := term.Printf(s.App.Out, "%s %s\n", term.Line(v.Computer), term.Line(v.Title)); err != nil {
			return err
		}
	}
	return nil
}

func computerInfo(ctx context.Context, s *session.Session, reference string) error {
	got, err := findForm(ctx, s, session.ComputerKind, "reference", reference)
	if err != nil {
		return err
	}
	if got == nil {
		return s.NotKnown("computer", reference, "hostler slapos computer list shows all")
	}
	v := computerDetailView{Computer: field(got, "reference"), Title: field(got, "title")}
	var software, instances jsonapi.Listing
	of := &jsonapi.Call{Computer: reference}
	for name, to := range map[string]*jsonapi.Listing{
		"slapos.allDocs.v0.compute_node_software_installation_list": &software,
		"slapos.allDocs.v0.compute_node_instance_list":              &instances,
	} {
		if err := s.Client.Call(ctx, name, of, to); ctx.Err() != nil {
			return err
		} else if err != nil {
			s.Log.Note("%s", term.ErrorText(err)) // a master without the method
		}
	}
	for _, r := range software.Results {
		v.Software = append(v.Software, computerSoftwareView{r.Release, r.State, trouble(r.Trouble)})
	}
	for _, i := range instances.Results {
		v.Instances = append(v.Instances, computerInstanceView{i.Partition, i.Title, i.State, i.Release, trouble(i.Trouble)})
	}
	if err := computerRuns(ctx, s, &v); err != nil {
		return err
	}
	if s.App.JSON {
		return s.App.PrintJSON(v)
	}
	if err := term.Printf(s.App.Out, "Reference: %s\nTitle: %s\n", term.Line(v.Computer), term.Line(v.Title)); err != nil {
		return err
	}
	for _, r := range v.Software {
		if err := term.Printf(s.App.Out, "Software: %s %s%s\n", term.Line(r.Release), r.State, failing(r.Error)); err != nil {
			return err
		}
	}
	for _, i := range v.Instances {
		if err := term.Printf(
			s.App.Out, "Partition: %s %s %s %s%s\n", term.Line(i.Partition), i.State, term.Line(i.Release),
			term.Line(i.Title), failing(i.Error),
		); err != nil {
			return err
		}
	}
	for _, p := range v.Programs {
		if err := term.Printf(s.App.Out, "Program: %s %s %s\n", term.Line(p.Partition), term.Line(p.Name), term.Line(p.State)); err != nil {
			return err
		}
	}
	for _, p := range v.Promises {
		how := "kept"
		if p.Failed {
			how = "failed: " + term.Line(p.Text)
		}
		if err := term.Printf(s.App.Out, "Promise: %s %s %s\n", term.Line(p.Partition), term.Line(p.Name), how); err != nil {
			return err
		}
	}
	return nil
}

// computerFailures adds why software is missing, by the node's last report, if the master tells
// that for each release.
func computerFailures(ctx context.Context, s *session.Session, v *computerDetailView) error {
	for i := range v.Software {
		if v.Software[i].Error != "" {
			continue
		}
		told, err := s.Client.Status(ctx, v.Computer, "", v.Software[i].Release)
		if ctx.Err() != nil {
			return err
		} else if err != nil {
			s.Log.Note("%s", term.ErrorText(err)) // a master without the method
			return nil
		}
		text, _ := told["text"].(string)
		if text, failed := strings.CutPrefix(text, "#error "); failed && !strings.HasPrefix(text, "no data") {
			v.Software[i].Error = text
		}
	}
	return nil
}

// failing formats an error to follow the wanted state.
func failing(err string) string {
	if err == "" {
		return ""
	}
	return ", failed: " + term.Line(strings.Join(strings.Fields(err), " "))
}

// computerRuns adds the node's last report of what runs, if the master is a hostler and allows it.
func computerRuns(ctx context.Context, s *session.Session, v *computerDetailView) error {
	told, at, err := s.Client.NodeReport(ctx, v.Computer)
	if ctx.Err() != nil {
		return err
	} else if err != nil {
		s.Log.Note("%s", term.ErrorText(err))
		return computerFailures(ctx, s, v)
	}
	v.Told = at
	for _, of := range told.Partitions {
		for _, p := range of.Processes {
			v.Programs = append(v.Programs, computerProgramView{of.ID, p.Name, p.State, p.PID, p.Started, p.CPU, p.Memory})
		}
		for _, p := range of.Promises {
			v.Promises = append(v.Promises, computerPromiseView{of.ID, p.Name, p.Failed, p.Text, p.At})
		}
	}
	return nil
}

func computerToken(ctx context.Context, s *session.Session, of []string) error {
	master, err := s.Master()
	if err != nil {
		return err
	}
	token, err := master.Hypermedia().ComputerTokenFor(ctx, strings.Join(of, ""))
	if errors.Is(err, client.ErrNotFound) && len(of) > 0 {
		return &compute.Error{
			Kind: compute.ErrFailed, Err: errors.New("this master gives no tokens for computers that there are already"),
			Hint: "its administrator, or generateComputerCertificate, gives another certificate",
		}
	}
	if errors.Is(err, client.ErrNotFound) {
		return &compute.Error{
			Kind: compute.ErrFailed, Err: errors.New("this master gives no tokens"),
			Hint: "a computer of a master without certificates needs none: it is there once its node has said what it is",
		}
	} else if err != nil {
		return err
	}
	if s.App.JSON {
		return s.App.PrintJSON(tokenView{token})
	}
	return term.Printf(s.App.Out, "%s\n", term.Line(token))
}
