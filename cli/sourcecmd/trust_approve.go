package sourcecmd

import (
	"bufio"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/text/visible"
)

// trustApprove approves a root of a tree as it is, after it has shown what that would do.
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

// approvalView is an approval in `trust list --json`.
type approvalView struct {
	Root  string    `json:"root"`
	Time  time.Time `json:"time"`
	Items []string  `json:"items"`
}
