package cli

import (
	"slices"

	"github.com/spf13/cobra"
)

// CompleteBundles offers the bundles.
func (a *App) CompleteBundles(cmd *cobra.Command, _ []string, _ string) (Candidates, cobra.ShellCompDirective) {
	_ = a.Begin(cmd)
	set, err := a.Host.Bundles()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out Candidates
	for name, d := range set {
		out = append(out, cobra.CompletionWithDesc(name, d.Description))
	}
	slices.Sort(out)
	return out, cobra.ShellCompDirectiveNoFileComp
}

// CompleteImages offers the local images.
func (a *App) CompleteImages(cmd *cobra.Command, _ []string, _ string) (out Candidates, _ cobra.ShellCompDirective) {
	_ = a.Begin(cmd)
	if s, err := a.Host.Images(); err == nil {
		all, _ := s.List()
		for _, img := range all {
			if img.Name != "" {
				out = append(out, cobra.CompletionWithDesc(img.Name, img.Platform.String()))
			}
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// CompleteProjects offers the configured projects.
func CompleteProjects(a *App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) (out Candidates, _ cobra.ShellCompDirective) {
		if a.Begin(cmd) == nil {
			if cfg, err := a.Host.Configuration(); err == nil {
				for _, p := range cfg.Projects {
					out = append(out, p.Name)
				}
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}
