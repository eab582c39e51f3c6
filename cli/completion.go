package cli

import (
	"bytes"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/text/visible"
)

func NewCompletion(a *App) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print the shell's completion script: commands, options, and the names of sources, instances and leases",
		Long: `Print a script that makes the shell complete hostler's command line: commands, options, and the names of sources, instances and leases as they are
at that moment.

  bash        hostler completion bash >/etc/bash_completion.d/hostler     (or ~/.local/share/bash-completion/completions/hostler)
  zsh         hostler completion zsh >"${fpath[1]}/_hostler"
  fish        hostler completion fish >~/.config/fish/completions/hostler.fish
  powershell  hostler completion powershell | Out-String | Invoke-Expression`,
		Example:   "  source <(hostler completion bash)",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: shells,
		RunE:      func(cmd *cobra.Command, args []string) error { return a.CompletionScript(cmd.Root(), args[0]) },
	}
}

// CompletionScript prints the script with which a shell completes the command line of a tree of
// commands.
func (a *App) CompletionScript(root *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		var script bytes.Buffer
		if err := root.GenBashCompletionV2(&script, true); err != nil {
			return err
		}
		return term.Printf(
			a.Out, "%s%s",
			visible.Shown(strings.ReplaceAll(
				script.String(), "_get_comp_words_by_ref \"$@\" cur prev words cword", "__hostler_words \"$@\"",
			)),
			visible.Shown(bashWords),
		)
	case "zsh":
		return root.GenZshCompletion(a.Out)
	case "fish":
		return root.GenFishCompletion(a.Out, true)
	default:
		return root.GenPowerShellCompletionWithDesc(a.Out)
	}
}

// bashWords finds the words of a command line in bash. The package bash-completion does it better,
// if it is installed.
const bashWords = `
__hostler_words()
{
    if declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
        _get_comp_words_by_ref "$@" cur prev words cword
        return
    fi
    local IFS=$' \t\n' line="${COMP_LINE:0:COMP_POINT}"
    read -r -a words <<<"$line"
    if [[ -z $line || $line == *[[:space:]] ]]; then
        words+=("")
    fi
    cword=$((${#words[@]} - 1))
    cur=${words[cword]}
    prev=
    if ((cword > 0)); then
        prev=${words[cword - 1]}
    fi
}
`

// Candidates come from the configuration and the state as they are. Completion changes nothing and
// reports no errors, since it runs at a shell's prompt.

type Candidates = []cobra.Completion

func (a *App) CompleteSources(cmd *cobra.Command, _ []string, _ string) (Candidates, cobra.ShellCompDirective) {
	if a.Begin(cmd) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return sourceCandidates(a), cobra.ShellCompDirectiveNoFileComp
}

func sourceCandidates(a *App) (out Candidates) {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return nil
	}
	for _, s := range cfg.Sources {
		out = append(out, cobra.CompletionWithDesc(s.Name, "source, "+s.Type))
	}
	return out
}

// CompleteLeased offers the caller's instances and leases by name.
func (a *App) CompleteLeased(cmd *cobra.Command, _ []string, _ string) (Candidates, cobra.ShellCompDirective) {
	_ = a.Begin(cmd)
	return a.LeasedCandidates(cmd), cobra.ShellCompDirectiveNoFileComp
}

func (a *App) LeasedCandidates(cmd *cobra.Command) (out Candidates) {
	engine, err := a.Engine(cmd.Context())
	if err != nil {
		return nil
	}
	leases, err := engine.Leases(cmd.Context(), compute.LeaseQuery{Owner: a.Owner()})
	if err != nil {
		return nil
	}
	for _, l := range leases {
		out = append(out, cobra.CompletionWithDesc(l.Handle(), "leased"))
		if l.Name != "" && l.Share == nil {
			out = append(out, cobra.CompletionWithDesc(l.Name, "lease of "+string(l.Instance)))
		}
	}
	slices.Sort(out)
	return out
}

// CompleteInstances offers all instances.
func (a *App) CompleteInstances(cmd *cobra.Command, _ []string, _ string) (out Candidates, _ cobra.ShellCompDirective) {
	_ = a.Begin(cmd)
	if engine, err := a.Engine(cmd.Context()); err == nil {
		all, _ := engine.Instances(cmd.Context(), compute.InstanceQuery{})
		for _, i := range all {
			out = append(out, cobra.CompletionWithDesc(string(i.ID), string(i.State)))
		}
	}
	slices.Sort(out)
	return out, cobra.ShellCompDirectiveNoFileComp
}

// CompleteTargets offers candidates for run's NAME. The words after it belong to the command.
func (a *App) CompleteTargets(cmd *cobra.Command, args []string, _ string) (Candidates, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	_ = a.Begin(cmd)
	return append(a.LeasedCandidates(cmd), sourceCandidates(a)...), cobra.ShellCompDirectiveNoFileComp
}

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
