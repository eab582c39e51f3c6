package main

import (
	"bytes"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/text/visible"
)

func newCompletion(a *app) *cobra.Command {
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
		RunE:      func(cmd *cobra.Command, args []string) error { return a.completionScript(cmd.Root(), args[0]) },
	}
}

// completionScript prints the script by which a shell completes the command line of the program
// that a tree of commands is.
func (a *app) completionScript(root *cobra.Command, shell string) error {
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

// bashWords finds the words of the command line where the package bash-completion, which does it
// better, is not installed.
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

// What may be completed is read from configuration and state as they are. Completion changes
// nothing and says nothing of errors: a shell's prompt is no place for them.

type candidates = []cobra.Completion

func (a *app) completeSources(cmd *cobra.Command, _ []string, _ string) (candidates, cobra.ShellCompDirective) {
	if a.begin(cmd) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.sourceCandidates(), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) sourceCandidates() (out candidates) {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return nil
	}
	for _, s := range cfg.Sources {
		out = append(out, cobra.CompletionWithDesc(s.Name, "source, "+s.Type))
	}
	return out
}

// completeLeased offers what the caller has leased: instances, and leases by name.
func (a *app) completeLeased(cmd *cobra.Command, _ []string, _ string) (candidates, cobra.ShellCompDirective) {
	_ = a.begin(cmd)
	return a.leasedCandidates(cmd), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) leasedCandidates(cmd *cobra.Command) (out candidates) {
	engine, err := a.engine(cmd.Context())
	if err != nil {
		return nil
	}
	leases, err := engine.Leases(cmd.Context(), compute.LeaseQuery{Owner: a.owner()})
	if err != nil {
		return nil
	}
	for _, l := range leases {
		out = append(out, cobra.CompletionWithDesc(handle(l), "leased"))
		if l.Name != "" && l.Share == nil {
			out = append(out, cobra.CompletionWithDesc(l.Name, "lease of "+string(l.Instance)))
		}
	}
	slices.Sort(out)
	return out
}

// completeInstances offers all instances.
func (a *app) completeInstances(cmd *cobra.Command, _ []string, _ string) (out candidates, _ cobra.ShellCompDirective) {
	_ = a.begin(cmd)
	if engine, err := a.engine(cmd.Context()); err == nil {
		all, _ := engine.Instances(cmd.Context(), compute.InstanceQuery{})
		for _, i := range all {
			out = append(out, cobra.CompletionWithDesc(string(i.ID), string(i.State)))
		}
	}
	slices.Sort(out)
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeTargets offers what run takes as its NAME; after that, the words are the command's own.
func (a *app) completeTargets(cmd *cobra.Command, args []string, _ string) (candidates, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	_ = a.begin(cmd)
	return append(a.leasedCandidates(cmd), a.sourceCandidates()...), cobra.ShellCompDirectiveNoFileComp
}
