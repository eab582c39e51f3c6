package servercmd

import (
	"cmp"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/client/logins"
	"github.com/hostler-project/hostler/compute/fault"
)

// LoginView is what `login --json` and `login --status --json` print of a controller.
type LoginView struct {
	Controller string     `json:"controller"`
	Name       string     `json:"name"`
	By         string     `json:"by"`
	Since      time.Time  `json:"since,omitzero"`
	Expires    *time.Time `json:"expires"`
	Current    bool       `json:"current"`
	Error      string     `json:"error,omitempty"`
}

// CodeView is the first line of `login --json`, with the code to type.
type CodeView struct {
	Code    string    `json:"code"`
	Address string    `json:"address"`
	Direct  string    `json:"direct,omitempty"`
	Expires time.Time `json:"expires"`
}

// viewLogin describes a login.
func viewLogin(address string, l logins.Login, current bool) LoginView {
	by := "token"
	switch {
	case l.Token == "":
		by = "certificate"
	case l.Expires != nil:
		by = "sign-in"
	}
	return LoginView{Controller: address, Name: l.Name, By: by, Since: l.Since, Expires: l.Expires, Current: current}
}

// which returns a controller's address: the typed one, else that of --controller, else that of the
// controller that commands use.
func which(a *cli.App, typed string, all logins.All) (string, error) {
	switch where := cmp.Or(typed, a.Flags.Controller, os.Getenv("HOSTLER_CONTROLLER"), all.Current); {
	case where == "":
		return "", fault.Invalid("hostler login https://HOST:PORT", "no controller is named, and you are signed in to none")
	case strings.HasPrefix(where, "unix:") || strings.HasPrefix(where, "/"):
		return "", fault.Invalid("", "%s: nobody signs in by a socket: the controller sees by itself who you are", where)
	default:
		return logins.Address(where)
	}
}

// completeLogins offers the controllers that the user has signed in to.
func completeLogins(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	all, _ := cli.ReadLogins()
	return all.Addresses(), cobra.ShellCompDirectiveNoFileComp
}
