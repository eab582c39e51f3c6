package sourcecmd

import (
	"bufio"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/text/visible"
)

// trustView is a root in `trust show --json`.
type trustView struct {
	Root    string      `json:"root"`
	Digest  string      `json:"digest"`
	Trusted bool        `json:"trusted"`
	Items   []trustItem `json:"items"`
	Gone    []string    `json:"gone"`
	Risks   []riskView  `json:"risks"`
}

// trustItem is one thing that needs approval or has it.
type trustItem struct {
	Name    string      `json:"name"`
	State   string      `json:"state"`
	Source  string      `json:"source,omitempty"`
	File    string      `json:"file"`
	Line    int         `json:"line,omitempty"`
	Effect  string      `json:"effect"`
	Says    []string    `json:"says"`
	Before  []string    `json:"before"`
	Files   []trustFile `json:"files"`
	Reasons []riskView  `json:"reasons"`
}

// trustFile is a file that the approval of a thing holds for.
type trustFile struct {
	Path  string `json:"path"`
	State string `json:"state"`
	Lines int    `json:"lines,omitempty"`
	Diff  string `json:"diff,omitempty"`
}

// riskView is a reason for which something needs trust.
type riskView struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Source string `json:"source,omitempty"`
	Why    string `json:"why"`
}

// approvalView is an approval in `trust list --json`.
type approvalView struct {
	Root  string    `json:"root"`
	Time  time.Time `json:"time"`
	Items []string  `json:"items"`
}

func NewTrust(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Say what a tree's configuration may do on this machine",
		Long: `A directory .hostler or .crcache may come with a tree of somebody else's. Sandboxes with limits work from there unasked. All else waits until you have
approved it: what runs commands on this machine or reads your files, spends your credentials, sends something to another host, or takes a name that
this machine has already. docs/trust.md has the table.

Without a subcommand: show what waits, as a difference to what this machine has without the tree, and to what you approved before. The approval holds
for the content as it is: of what changes you are asked again.`,
		Example: "  hostler trust\n  hostler trust approve\n  hostler trust revoke .hostler",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.Host.Configuration()
			if err != nil {
				return err
			}
			return errors.Join(trustShow(a, cfg.NeedsTrust(), ""), sayUnjudged(a, cfg, ""))
		},
	}
	sub := func(use, short, example string, run func(dangers []config.Danger, root string) error) *cobra.Command {
		c := &cobra.Command{
			Use: use, Short: short, Example: example, Args: cobra.MaximumNArgs(1),
			RunE: func(_ *cobra.Command, args []string) error {
				cfg, err := a.Host.Configuration()
				if err != nil {
					return err
				}
				root := cli.First(args)
				if root != "" {
					if root, err = filepath.Abs(root); err != nil {
						return err
					}
				}
				return errors.Join(run(cfg.NeedsTrust(), root), sayUnjudged(a, cfg, root))
			},
		}
		cmd.AddCommand(c)
		return c
	}
	var yes bool
	sub("show [ROOT]", "Show what needs approval, and why", "  hostler trust show", func(dangers []config.Danger,
		root string) error {
		return trustShow(a, dangers, root)
	})
	approve := sub("approve [ROOT]", "Approve a root as its content is now",
		"  hostler trust approve .hostler\n  hostler trust approve --yes",
		func(dangers []config.Danger, root string) error { return trustApprove(a, dangers, root, yes) })
	approve.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask: for where nobody sits at a terminal")
	sub("revoke [ROOT]", "Take an approval back", "  hostler trust revoke .hostler", func(dangers []config.Danger,
		root string) error {
		return trustRevoke(a, dangers, root)
	})
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List what you have approved", Example: "  hostler trust list", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return trustList(a) },
	})
	return cmd
}

// sayUnjudged names the broken sources of a tree, which cannot be judged: those of one root, or all
// for "".
func sayUnjudged(a *cli.App, cfg *config.Config, root string) error {
	var out error
	for _, s := range cfg.Sources {
		if s.Tree && s.Err != nil && !errors.Is(s.Err, config.ErrUntrusted) && (root == "" || s.Root == root) {
			out = errors.Join(
				out,
				term.Printf(a.Err, "%s: not judged, as it is broken and cannot be used: %s\n", a.Program, term.Line(term.ErrorText(s.Err))),
			)
		}
	}
	return out
}

func trustStore() (config.TrustStore, error) {
	dir, err := host.StateDir()
	return config.TrustStore{Dir: filepath.Join(dir, "trust")}, err
}

func trustShow(a *cli.App, dangers []config.Danger, root string) error {
	if root != "" {
		d, err := danger(dangers, root)
		if err != nil {
			return err
		}
		dangers = []config.Danger{d}
	}
	views := []trustView{}
	for _, d := range dangers {
		views = append(views, viewTrust(d))
	}
	if a.JSON {
		return a.PrintJSON(views)
	}
	for _, v := range views {
		if err := term.Printf(a.Out, "%s", visible.Shown(v.text())); err != nil {
			return err
		}
	}
	if len(views) == 0 && !a.Quiet {
		return term.Printf(a.Out, "nothing here needs approval\n")
	}
	return nil
}

func trustApprove(a *cli.App, dangers []config.Danger, root string, yes bool) error {
	d, err := danger(dangers, root)
	if err != nil {
		return err
	}
	if !yes && !d.Trusted {
		if !term.IsTerminal(a.In) {
			return fault.Invalid(
				"hostler trust shows what it would do; if you agree: hostler trust approve --yes",
				"%s: nobody is there to be asked", term.Line(d.Root),
			)
		}
		if err := term.Printf(a.Out, "%s", visible.Shown(viewTrust(d).text())); err != nil {
			return err
		}
		if !agrees(a, "Approve this as it is now? [y/N] ") {
			return term.Exit(1)
		}
	}
	store, err := trustStore()
	if err != nil {
		return err
	}
	if err := store.Approve(d); err != nil {
		return host.ConfigError(err)
	}
	if a.Quiet {
		return nil
	}
	return term.Printf(a.Out, "%s: approved as it is now (%s)\n", term.Line(d.Root), time.Now().Format(time.DateTime))
}

// agrees asks the user at the terminal. Any answer but yes means no.
func agrees(a *cli.App, question string) bool {
	if err := term.Printf(a.Err, "%s", question); err != nil {
		return false
	}
	line, _ := bufio.NewReader(a.In).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

func trustRevoke(a *cli.App, dangers []config.Danger, root string) error {
	store, err := trustStore()
	if err != nil {
		return err
	}
	if root == "" {
		d, err := danger(dangers, "")
		if err != nil {
			return err
		}
		root = d.Root
	}
	all, _ := store.List() // an unreadable store has no approvals
	if err := store.Revoke(root); err != nil || a.Quiet {
		return host.ConfigError(err)
	}
	for _, was := range all {
		if was.Root == filepath.Clean(root) {
			return term.Printf(a.Out, "%s: approved no more\n", term.Line(root))
		}
	}
	return term.Printf(a.Out, "%s: was not approved, and is not\n", term.Line(root))
}

func trustList(a *cli.App) error {
	store, err := trustStore()
	if err != nil {
		return err
	}
	all, err := store.List()
	if err != nil {
		a.Log.Warn("an approval", "err", err)
	}
	views, rows := []approvalView{}, [][]string{}
	for _, was := range all {
		v := approvalView{was.Root, was.Time, []string{}}
		for _, it := range was.Items {
			v.Items = append(v.Items, it.Name)
		}
		views = append(views, v)
		rows = append(rows, []string{term.Line(v.Root), v.Time.Local().Format(time.DateTime), term.Line(strings.Join(v.Items, ", "))})
	}
	if a.JSON {
		return a.PrintJSON(views)
	}
	return a.Table([]string{"root", "approved", "what"}, rows)
}
