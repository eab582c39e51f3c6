package servercmd

import (
	"cmp"
	"context"
	"os"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client/logins"
	"github.com/hostler-project/hostler/compute/fault"
)

// loginStatus asks each controller whether it still knows the user.
func loginStatus(a *cli.App, ctx context.Context, typed string) error {
	all, err := cli.ReadLogins()
	if err != nil {
		return err
	}
	some, asked := all.Addresses(), all.Current
	if typed != "" {
		if asked, err = which(a, typed, all); err != nil {
			return err
		}
		if _, ok := all.Controllers[asked]; !ok {
			return fault.Denied("hostler login "+asked, "you are not signed in to %s", asked)
		}
		some = []string{asked}
	}
	named, err := a.Named()
	if err != nil {
		return err
	}
	if typed != "" || named.Signed {
		named.Where = "" // ask with the stored login
	}
	if named.Where != "" {
		some, asked = []string{named.Where}, named.Where
	}
	if len(some) == 0 {
		return fault.Denied("hostler login https://HOST:PORT", "you are signed in to no controller")
	}
	views, rows, bad := []LoginView{}, [][]string{}, false
	for _, address := range some {
		l := all.Controllers[address]
		t := logins.Target{Where: address, Login: l, Known: true}
		t.CA = cmp.Or(a.Flags.Ca, os.Getenv("HOSTLER_CA"), t.CA)
		view := viewLogin(address, l, address == all.Current)
		if named.Where != "" {
			t = named
			view = viewTarget(&named)
		}
		short, cancel := context.WithTimeout(ctx, 20*time.Second)
		c, self, err := t.Ask(short)
		cancel()
		if err != nil {
			view.Error, bad = term.ErrorText(err), bad || address == asked
		} else {
			view.Name, view.Expires = self.Name, cmp.Or(self.Expires, view.Expires)
			_ = c.Close()
		}
		views = append(views, view)
		until := "-"
		if view.Expires != nil {
			until = view.Expires.Local().Format(time.DateTime)
		}
		rows = append(rows, []string{address, view.Name, view.By, until, map[bool]string{true: "yes"}[view.Current], view.Error})
	}
	if a.JSON {
		err = a.PrintJSON(views)
	} else {
		err = a.Table([]string{"controller", "name", "by", "until", "current", "note"}, rows)
	}
	if err == nil && bad {
		err = term.Exit(7)
	}
	return err
}

// viewTarget describes a named controller, with or without a login.
func viewTarget(t *logins.Target) LoginView {
	v := viewLogin(t.Where, t.Login, true)
	switch {
	case t.Env:
		v.By = "token"
	case !strings.Contains(t.Where, "://"):
		v.By = "socket"
	case t.Token == "" && t.Cert == "":
		v.By = ""
	}
	return v
}
