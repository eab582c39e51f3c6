package servercmd

import (
	"cmp"
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client/logins"
	"github.com/hostler-project/hostler/compute/fault"
)

// loginOptions are those of hostler login.
type loginOptions struct {
	withToken bool
	cert, key string
	status    bool
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
	t := logins.Target{Where: address}
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
	if err := cli.ChangeLogins(func(l *logins.All) { l.Controllers[address], l.Current = t.Login, address }); err != nil {
		return err
	}
	if old.Token != "" && old.Token != t.Token {
		was := logins.Target{Where: address, Login: old}
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
