package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/config"
)

// trustView is a root in `trust show --json`.
type trustView struct {
	Root    string     `json:"root"`
	Digest  string     `json:"digest"`
	Trusted bool       `json:"trusted"`
	Risks   []riskView `json:"risks"`
}

// riskView is something in it that needs trust.
type riskView struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Source string `json:"source,omitempty"`
	Why    string `json:"why"`
}

func newTrust(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Say that a tree's configuration may run code on this machine",
		Long: `A directory .hostler or .crcache may come with a tree of somebody else's. What in it would run code on this machine or send something of yours away
(hooks, commands, chroots, outside executables, what takes the place of local, sandbox or the default source) does not work until you have
approved it. The approval holds for the content as it is: when that changes, you are asked again.`,
		Example: "  hostler trust show\n  hostler trust approve\n  hostler trust revoke .hostler",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	sub := func(use, short, example string, run func(dangers []config.Danger, root string) error) {
		cmd.AddCommand(&cobra.Command{
			Use: use, Short: short, Example: example, Args: cobra.MaximumNArgs(1),
			RunE: func(_ *cobra.Command, args []string) error {
				cfg, err := a.configuration()
				if err != nil {
					return err
				}
				root := first(args)
				if root != "" {
					if root, err = filepath.Abs(root); err != nil {
						return err
					}
				}
				return run(cfg.NeedsTrust(), root)
			},
		})
	}
	sub("show [ROOT]", "Show what needs approval, and why", "  hostler trust show", a.trustShow)
	sub("approve [ROOT]", "Approve a root as its content is now", "  hostler trust approve .hostler", a.trustApprove)
	sub("revoke [ROOT]", "Take an approval back", "  hostler trust revoke .hostler", a.trustRevoke)
	return cmd
}

func trustStore() (config.TrustStore, error) {
	dir, err := stateDir()
	return config.TrustStore{Dir: filepath.Join(dir, "trust")}, err
}

func (a *app) trustShow(dangers []config.Danger, root string) error {
	if root != "" {
		d, err := danger(dangers, root)
		if err != nil {
			return err
		}
		dangers = []config.Danger{d}
	}
	views := []trustView{}
	for _, d := range dangers {
		v := trustView{d.Root, d.Digest, d.Trusted, []riskView{}}
		for _, r := range d.Risks {
			v.Risks = append(v.Risks, riskView(r))
		}
		views = append(views, v)
	}
	if a.flags.json {
		return a.printJSON(views)
	}
	for _, v := range views {
		word := "waits for approval"
		if v.Trusted {
			word = "approved"
		}
		if err := fprintf(a.out, "%s: %s\n", v.Root, word); err != nil {
			return err
		}
		for _, r := range v.Risks {
			place := r.File
			if r.Line > 0 {
				place = fmt.Sprintf("%s:%d", r.File, r.Line)
			}
			if err := fprintf(a.out, "  %s: %s\n", place, printable(r.Why)); err != nil {
				return err
			}
		}
	}
	if len(views) == 0 && !a.flags.quiet {
		return fprintf(a.out, "nothing here needs approval\n")
	}
	return nil
}

func (a *app) trustApprove(dangers []config.Danger, root string) error {
	d, err := danger(dangers, root)
	if err != nil {
		return err
	}
	store, err := trustStore()
	if err != nil {
		return err
	}
	if err := store.Approve(d.Root, d.Digest); err != nil {
		return configError(err)
	}
	if a.flags.quiet {
		return nil
	}
	return fprintf(a.out, "%s: approved as it is now (%s)\n", d.Root, time.Now().Format(time.DateTime))
}

func (a *app) trustRevoke(dangers []config.Danger, root string) error {
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
	if err := store.Revoke(root); err != nil || a.flags.quiet {
		return configError(err)
	}
	for _, d := range dangers {
		if d.Root == root && d.Trusted {
			return fprintf(a.out, "%s: approved no more\n", root)
		}
	}
	return fprintf(a.out, "%s: was not approved, and is not\n", root)
}
