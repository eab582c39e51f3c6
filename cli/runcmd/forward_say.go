package runcmd

import (
	"net"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/remote"
)

// sayListening prints what is forwarded, once it is, on standard output. A script that gave port 0
// reads the port there.
func sayListening(a *cli.App, spec remote.ForwardSpec) func(net.Addr) {
	return func(at net.Addr) {
		switch {
		case a.Quiet:
		case a.JSON:
			_ = a.PrintLine(forwardView{spec.Reverse, at.String(), spec.Dial})
		case spec.Reverse:
			_ = term.Printf(a.Out, "%s there -> %s here\n", at, spec.Dial)
		default:
			_ = term.Printf(a.Out, "%s here -> %s there\n", at, spec.Dial)
		}
	}
}

// sayRefused reports a connection that leads nowhere, as its client sees only that it ends.
func sayRefused(a *cli.App, spec remote.ForwardSpec) func(error) {
	where := map[bool]string{true: "here", false: "there"}[spec.Reverse]
	return func(err error) {
		if !a.Quiet {
			_ = term.Printf(
				a.Err, "%s: a connection came, and %s %s cannot be reached: %s\n", a.Program, spec.Dial, where,
				term.ErrorText(err),
			)
		}
	}
}

// forwardView is a line of `forward --json`: it listens now.
type forwardView struct {
	Reverse bool   `json:"reverse"`
	Listen  string `json:"listen"`
	Dial    string `json:"dial"`
}
