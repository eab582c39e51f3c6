package configurecmd

import (
	"cmp"
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/configure"
	"github.com/hostler-project/hostler/slapos/enrol"
	"github.com/hostler-project/hostler/text/visible"
)

// registeredView is `slapos node register --json`.
type registeredView struct {
	Computer string `json:"computer"`
	Config   string `json:"config"`
	Moved    string `json:"moved,omitempty"`
}

// registerOptions has the options of `slapos node register`.
type registerOptions struct {
	web enrol.Web
	configure.Node
	dry, byLogin bool
}

// NewRegister returns the command that makes this machine a computer of a master.
func NewRegister(s *session.Session) *cobra.Command {
	o := registerOptions{Node: configure.Node{Partitions: 10}}
	register := &cobra.Command{
		Use:   "register NAME",
		Short: "Register this machine at a master, and write its slapos.cfg",
		Long: `Register this machine under a name at a master, which gives it a reference and a certificate, and write slapos.cfg and ssl/ in /etc/opt/slapos (or the directory of --cfg FILE). A directory that is
there already is moved to one with .old behind its name.

A token of the master's web page (hostler slapos computer token prints one) or a name and password say who asks. Token and password are read from standard input where they are not given;
--token and --password show them to others on this machine.`,
		Example: "  hostler slapos node register build1 --interface-name eth0 --master-url https://slap.example.com --master-url-web https://slapos.example.com <token.txt",
		Args:    cobra.ExactArgs(1),
		RunE:    s.RunE(func(ctx context.Context, args []string) error { return register(ctx, s, args[0], &o) }),
	}
	f := register.Flags()
	f.StringVar(&o.Interface, "interface-name", "", "the partitions' addresses are on the interface `NAME`")
	f.StringVar(&o.Master, "master-url", "", "the master is at `URL`")
	f.StringVar(&o.web.URL, "master-url-web", "", "its web side is at `URL`")
	f.IntVar(&o.Partitions, "partition-number", o.Partitions, "how many partitions: `N`")
	f.StringVar(&o.Network, "ipv4-local-network", "10.0.0.0/16", "the partitions' IPv4 addresses are in `NET`")
	f.StringVar(&o.Software, "software-root", "/opt/slapgrid", "software goes to `DIR`")
	f.StringVar(&o.Instances, "instance-root", "/srv/slapgrid", "instances go to `DIR`")
	f.BoolVar(&o.byLogin, "login-auth", false, "say who asks by name and password")
	f.StringVar(&o.web.Login, "login", "", "the `NAME` with which you sign in to the web page")
	f.StringVar(&o.web.Password, "password", "", "the `PASSWORD` to it; read from standard input unless it is said")
	f.StringVar(&o.web.Token, "token", "", "the `TOKEN` that the web page gave; read from standard input unless it is said")
	f.StringVar(
		&o.CA, "master-ca-file", "",
		"the authority in `FILE` signs what the master and its web side show; those of this machine unless it is said",
	)
	f.BoolVarP(&o.Tap, "create-tap", "t", false, "make a network interface for each partition")
	f.BoolVarP(&o.dry, "dry-run", "n", false, "print the slapos.cfg, and ask and write nothing")
	_ = register.MarkFlagRequired("master-url")
	_ = register.MarkFlagFilename("master-ca-file")
	_ = register.MarkFlagDirname("software-root")
	_ = register.MarkFlagDirname("instance-root")
	register.MarkFlagsMutuallyExclusive("token", "login")
	return register
}

// register registers a computer and writes its files.
func register(ctx context.Context, s *session.Session, name string, o *registerOptions) error {
	for option, text := range map[string]string{
		"--interface-name": o.Interface + ".", "--master-url": o.Master, "--ipv4-local-network": o.Network,
		"--software-root": o.Software, "--instance-root": o.Instances,
	} {
		if err := configure.OneLine(text); err != nil {
			return fault.Invalid("", "%s: %w", option, err)
		}
	}
	if o.Partitions < 1 {
		return fault.Invalid("", "--partition-number %d: at least 1", o.Partitions)
	}
	var err error
	if o.CA, o.web.HTTP, err = trusting(o.CA); err != nil {
		return err
	}
	path, err := filepath.Abs(cmp.Or(s.File, session.DefaultNodeFile))
	if err != nil {
		return err
	}
	if o.dry {
		return term.Printf(s.App.Out, "%s", visible.Block(o.Text(filepath.Dir(path), "COMP-…")))
	}
	if o.web.URL == "" {
		return fault.Invalid("", "--master-url-web: say where the master's web side is")
	}
	if err := credentials(s, o); err != nil {
		return err
	}
	pair, id, err := o.web.Computer(ctx, name)
	if err != nil {
		return enrolError(err)
	}
	v := registeredView{Computer: id, Config: path}
	if v.Moved, err = configure.WriteNode(filepath.Dir(path), filepath.Base(path), o.Text(filepath.Dir(path), id), pair, o.CA); err != nil {
		return err
	}
	if v.Moved != "" {
		s.Log.Warn("What was in %s is in %s.", filepath.Dir(path), v.Moved)
	}
	s.Log.Say("This machine is %s. %s is written.", id, path)
	if s.App.JSON {
		return s.App.PrintJSON(v)
	}
	return nil
}
