package servercmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client/device"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
)

// loginOptions are those of hostler login.
type loginOptions struct {
	withToken bool
	cert, key string
	status    bool
}

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

func NewLogin(a *cli.App) *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use:   "login [URL]",
		Short: "Sign in to a controller, which commands ask from then on",
		Long: `Sign in to the controller at URL, or again to the one that commands ask now. It shows an address and a code to type there, in a browser on any machine, and waits until
that is done. What it gets is kept in logins.json in the state directory, which only you can read; commands that are told of no other controller ask this one.
Where the controller knows no provider to sign in with, bring a token, --with-token, or a certificate, --cert and --key.`,
		Example: "  hostler login https://hostler.example.org:7070\n  cat token | hostler login --with-token hostler.example.org\n  hostler login --status",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.status {
				return loginStatus(a, cmd.Context(), cli.First(args))
			}
			return login(a, cmd.Context(), cli.First(args), o)
		},
		ValidArgsFunction: completeLogins,
	}
	f := cmd.Flags()
	f.BoolVar(&o.withToken, "with-token", false, "read a token from standard input, in place of signing in")
	f.StringVar(&o.cert, "cert", "", "show the certificate in `FILE`, in place of signing in")
	f.StringVar(&o.key, "key", "", "and its key in `FILE`")
	f.BoolVar(&o.status, "status", false, "print who you are, and where; exit status 7 if the login has ended")
	_ = cmd.MarkFlagFilename("cert")
	_ = cmd.MarkFlagFilename("key")
	return cmd
}

func NewLogout(a *cli.App) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "logout [URL]",
		Short:   "Sign out from a controller",
		Long:    "Sign out from the controller at URL, or from the one that commands ask now: what was kept of it is removed, and what signing in has made is good for nothing any more.",
		Example: "  hostler logout\n  hostler logout --all",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return logout(a, cmd.Context(), cli.First(args), all)
		},
		ValidArgsFunction: completeLogins,
	}
	cmd.Flags().BoolVar(&all, "all", false, "from all")
	return cmd
}

// completeLogins offers the controllers that the user has signed in to.
func completeLogins(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	all, _ := cli.ReadLogins()
	return all.Addresses(), cobra.ShellCompDirectiveNoFileComp
}

// which returns a controller's address: the typed one, else that of --controller, else that of the
// controller that commands use.
func which(a *cli.App, typed string, all cli.Logins) (string, error) {
	switch where := cmp.Or(typed, a.Flags.Controller, os.Getenv("HOSTLER_CONTROLLER"), all.Current); {
	case where == "":
		return "", fault.Invalid("hostler login https://HOST:PORT", "no controller is named, and you are signed in to none")
	case strings.HasPrefix(where, "unix:") || strings.HasPrefix(where, "/"):
		return "", fault.Invalid("", "%s: nobody signs in by a socket: the controller sees by itself who you are", where)
	default:
		return cli.ControllerAddress(where)
	}
}

// login signs in.
func login(a *cli.App, ctx context.Context, typed string, o loginOptions) error {
	all, err := cli.ReadLogins()
	if err != nil {
		return err
	}
	address, err := which(a, typed, all)
	if err != nil {
		return err
	}
	old := all.Controllers[address]
	t := cli.Target{Where: address}
	t.Since = time.Now().Round(time.Second)
	if t.CA, err = cli.Absolute(cmp.Or(a.Flags.Ca, os.Getenv("HOSTLER_CA"), old.CA)); err != nil {
		return err
	}
	if t.Cert, err = cli.Absolute(cmp.Or(o.cert, os.Getenv("HOSTLER_CERT"))); err != nil {
		return err
	}
	if t.Key, err = cli.Absolute(cmp.Or(o.key, os.Getenv("HOSTLER_KEY"))); err != nil {
		return err
	}
	switch {
	case o.withToken && o.cert != "":
		return fault.Invalid("", "--with-token and --cert are two ways to be known: one is enough")
	case o.withToken:
		if t.Token, err = a.ReadToken(); err != nil {
			return err
		}
	case t.Cert == "":
		got, err := signIn(a, ctx, &t)
		if err != nil {
			return err
		}
		t.Token, t.Expires = got.Token, &got.Expires
	}
	c, err := t.Dial()
	if err != nil {
		return err
	}
	defer c.Close()
	self, err := c.Self(ctx)
	if err != nil {
		return err
	}
	t.Name = self.Name
	if err := cli.ChangeLogins(func(l *cli.Logins) { l.Controllers[address], l.Current = t.Login, address }); err != nil {
		return err
	}
	if old.Token != "" && old.Token != t.Token {
		was := cli.Target{Where: address, Login: old}
		was.CA, was.Cert, was.Key = t.CA, t.Cert, t.Key
		signOut(a, ctx, &was) // no one has it any more; on failure it expires by itself
	}
	view := viewLogin(address, t.Login, true)
	if a.JSON {
		return a.PrintLine(view)
	}
	until := ""
	if t.Expires != nil {
		until = ", until " + t.Expires.Local().Format(time.DateTime)
	}
	return term.Printf(a.Out, "You are %s at %s%s.\n", t.Name, address, until)
}

// signIn signs the user in at the provider.
func signIn(a *cli.App, ctx context.Context, t *cli.Target) (api.Session, error) {
	c, err := t.Dial()
	if err != nil {
		return api.Session{}, err
	}
	defer c.Close()
	how, err := c.SignIn().How(ctx)
	if err != nil {
		return api.Session{}, err
	}
	if how.Issuer == "" {
		return api.Session{}, fault.Invalid("ask its administrators for a token (hostler token create), and: hostler login --with-token "+t.Where,
			"%s knows no provider that one could sign in with", t.Where)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if transport.TLSClientConfig, err = cli.ClientTLS(t.CA, "", ""); err != nil {
		return api.Session{}, err
	}
	// the provider may have the same private authority, or one of the machine's
	if t.CA != "" {
		if err := cli.TrustAlso(transport.TLSClientConfig, t.CA); err != nil {
			return api.Session{}, err
		}
	}
	defer transport.CloseIdleConnections()
	flow, err := device.Begin(ctx, device.Options{Issuer: how.Issuer, ClientID: how.ClientID, Scopes: how.Scopes, Transport: transport})
	if err != nil {
		return api.Session{}, err
	}
	if a.JSON {
		err = a.PrintLine(CodeView{flow.Code, flow.Address, flow.Direct, flow.Expires})
	} else {
		err = term.Printf(
			a.Err, "To sign in to %s, open\n\n    %s\n\nin a browser, on any machine, and type the code\n\n    %s\n\n",
			t.Where, term.Line(flow.Address), term.Line(flow.Code),
		)
		if err == nil && flow.Direct != "" {
			err = term.Printf(a.Err, "or open %s\n\n", term.Line(flow.Direct))
		}
	}
	if err != nil {
		return api.Session{}, err
	}
	got, err := flow.Wait(ctx)
	if err != nil {
		return api.Session{}, err
	}
	return c.SignIn().Exchange(ctx, api.Proof{IDToken: got.ID, AccessToken: got.Access, Verifier: got.Verifier})
}

// signOut ends the session at the controller.
func signOut(a *cli.App, ctx context.Context, t *cli.Target) (revoked bool, err error) {
	if t.Expires != nil && time.Now().After(*t.Expires) {
		return true, nil
	}
	c, err := t.Dial()
	if err != nil {
		return false, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	revoked, err = c.SignIn().End(ctx)
	if errors.Is(err, compute.ErrDenied) {
		return true, nil // it is no longer valid there
	}
	return revoked, err
}

// logout signs out.
func logout(a *cli.App, ctx context.Context, typed string, every bool) error {
	all, err := cli.ReadLogins()
	if err != nil {
		return err
	}
	some := all.Addresses()
	if !every {
		address, err := which(a, typed, all)
		if err != nil {
			return err
		}
		if _, ok := all.Controllers[address]; !ok {
			return &compute.Error{
				Kind: compute.ErrNotFound, Err: fmt.Errorf("%s: you are not signed in there", address),
				Hint: term.DidYouMean(address, some, ""),
			}
		}
		some = []string{address}
	}
	for _, address := range some {
		if err := cli.ChangeLogins(func(l *cli.Logins) {
			delete(l.Controllers, address)
			if l.Current == address {
				l.Current = ""
			}
		}); err != nil {
			return err
		}
		t := cli.Target{Where: address, Login: all.Controllers[address]}
		if t.Token == "" {
			continue
		}
		revoked, err := signOut(a, ctx, &t)
		switch {
		case err != nil:
			err = term.Printf(
				a.Err, "hostler: %s: what was kept here is removed; there it may go on to be good until it ends: %s\n",
				address, term.ErrorText(err),
			)
		case !revoked && !a.Quiet:
			err = term.Printf(
				a.Err,
				"hostler: %s: the token is removed here, and is good until it ends or is revoked there: hostler token revoke\n",
				address,
			)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// viewLogin describes a login.
func viewLogin(address string, l cli.Login, current bool) LoginView {
	by := "token"
	switch {
	case l.Token == "":
		by = "certificate"
	case l.Expires != nil:
		by = "sign-in"
	}
	return LoginView{Controller: address, Name: l.Name, By: by, Since: l.Since, Expires: l.Expires, Current: current}
}

// viewTarget describes a named controller, with or without a login.
func viewTarget(t *cli.Target) LoginView {
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
		t := cli.Target{Where: address, Login: l, Known: true}
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
