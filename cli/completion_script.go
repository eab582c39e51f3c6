package cli

import (
	"bytes"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/text/visible"
)

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
