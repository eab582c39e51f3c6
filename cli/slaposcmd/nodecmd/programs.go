package nodecmd

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/slapos/node/service"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

// programView is one of the list that `slapos node status --json` prints.
type programView struct {
	Group    string    `json:"group"`
	Name     string    `json:"name"`
	State    string    `json:"state"`
	PID      int       `json:"pid,omitempty"`
	Since    time.Time `json:"since"`
	Exit     string    `json:"exit,omitempty"`
	Error    string    `json:"error,omitempty"`
	Restarts int       `json:"restarts,omitempty"`
	Log      string    `json:"log,omitempty"`
}

const programNames = "\n\nA program is named GROUP:NAME, as slappart0:server-on-watch; GROUP:* and GROUP are all of a group, all is all there are. The supervisor is started where it does not run."

// programCommand makes a command that does something with programs by their names.
func programCommand(
	s *session.Session, verb, short, done string, f func(*supervise.Client, context.Context, ...string) error,
) *cobra.Command {
	cmd := newNodeCommand(s, &cobra.Command{
		Use: verb + " NAME...", Short: short, Long: short + "." + programNames,
		Example: "  hostler slapos node " + verb + " slappart0:*", Args: cobra.MinimumNArgs(1),
	}, service.NoPass, func(ctx context.Context, n *service.Node, args []string) error {
		c, err := n.Supervisor(ctx)
		if err != nil {
			return err
		}
		if err := f(c, ctx, args...); err != nil {
			return err
		}
		programs, err := c.Status(ctx, args...)
		if err != nil {
			return err
		}
		if s.App.JSON {
			return s.App.PrintJSON(programViews(programs))
		}
		for _, p := range programs {
			what := done
			if p.Error != "" && done == "started" {
				what = "ERROR (" + p.Error + ")"
			}
			if err := term.Printf(s.App.Out, "%s: %s\n", term.Line(p.FullName()), term.Line(what)); err != nil {
				return err
			}
		}
		return nil
	})
	cmd.ValidArgsFunction = completePrograms(s)
	return cmd
}

func programViews(programs []supervise.Status) []programView {
	views := make([]programView, len(programs))
	for i, p := range programs {
		views[i] = programView{p.Group, p.Name, string(p.State), p.PID, p.Since, p.Exit, p.Error, p.Restarts, p.Log}
	}
	return views
}

// printPrograms prints lines as supervisorctl does.
func printPrograms(w io.Writer, programs []supervise.Status, now time.Time) error {
	width := 32
	for _, p := range programs {
		width = max(width, len(term.Line(p.FullName())))
	}
	for _, p := range programs {
		about := p.Since.Local().Format("Jan 02 03:04 PM")
		switch p.State {
		case supervise.Running:
			up := now.Sub(p.Since).Round(time.Second)
			about = fmt.Sprintf("pid %d, uptime %d:%02d:%02d", p.PID, int(up.Hours()), int(up.Minutes())%60, int(up.Seconds())%60)
			if days := int(up.Hours()) / 24; days > 0 {
				about = fmt.Sprintf(
					"pid %d, uptime %d days, %d:%02d:%02d", p.PID, days, int(up.Hours())%24, int(up.Minutes())%60,
					int(up.Seconds())%60,
				)
			}
		case supervise.Backoff:
			about = "Exited too quickly: " + p.Exit
		case supervise.Fatal:
			about = p.Error
		}
		if err := term.Printf(w, "%-*s %-9s %s\n", width, term.Line(p.FullName()), p.State, term.Line(about)); err != nil {
			return err
		}
	}
	return nil
}

// completePrograms are the names of the node's programs, for the shell.
func completePrograms(s *session.Session) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) (cli.Candidates, cobra.ShellCompDirective) {
		if s.App.Begin(cmd) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		f, err := s.NodeFile("")
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		set, err := f.Node()
		if err != nil || set.InstanceRoot == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), session.Patience)
		defer cancel()
		c := supervise.NewClient(set.InstanceRoot + "/sv.sock")
		defer c.Close()
		programs, _ := c.Status(ctx)
		var out cli.Candidates
		for _, p := range programs {
			out = append(out, cobra.CompletionWithDesc(p.FullName(), string(p.State)))
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}
