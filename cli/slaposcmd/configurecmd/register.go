package configurecmd

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
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
	web                                       enrol.Web
	master, network, software, instances, nic string
	ca                                        string // a file
	partitions                                int
	tap, dry, byLogin                         bool
}

// NewRegister returns the command that makes this machine a computer of a master.
func NewRegister(s *session.Session) *cobra.Command {
	o := registerOptions{partitions: 10}
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
	f.StringVar(&o.nic, "interface-name", "", "the partitions' addresses are on the interface `NAME`")
	f.StringVar(&o.master, "master-url", "", "the master is at `URL`")
	f.StringVar(&o.web.URL, "master-url-web", "", "its web side is at `URL`")
	f.IntVar(&o.partitions, "partition-number", o.partitions, "how many partitions: `N`")
	f.StringVar(&o.network, "ipv4-local-network", "10.0.0.0/16", "the partitions' IPv4 addresses are in `NET`")
	f.StringVar(&o.software, "software-root", "/opt/slapgrid", "software goes to `DIR`")
	f.StringVar(&o.instances, "instance-root", "/srv/slapgrid", "instances go to `DIR`")
	f.BoolVar(&o.byLogin, "login-auth", false, "say who asks by name and password")
	f.StringVar(&o.web.Login, "login", "", "the `NAME` with which you sign in to the web page")
	f.StringVar(&o.web.Password, "password", "", "the `PASSWORD` to it; read from standard input unless it is said")
	f.StringVar(&o.web.Token, "token", "", "the `TOKEN` that the web page gave; read from standard input unless it is said")
	f.StringVar(
		&o.ca, "master-ca-file", "",
		"the authority in `FILE` signs what the master and its web side show; those of this machine unless it is said",
	)
	f.BoolVarP(&o.tap, "create-tap", "t", false, "make a network interface for each partition")
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
		"--interface-name": o.nic + ".", "--master-url": o.master, "--ipv4-local-network": o.network,
		"--software-root": o.software, "--instance-root": o.instances,
	} {
		if err := oneLine(text); err != nil {
			return fault.Invalid("", "%s: %w", option, err)
		}
	}
	if o.partitions < 1 {
		return fault.Invalid("", "--partition-number %d: at least 1", o.partitions)
	}
	var err error
	if o.ca, o.web.HTTP, err = trusting(o.ca); err != nil {
		return err
	}
	path := s.File
	if path == "" {
		path = session.DefaultNodeFile
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	if o.dry {
		return term.Printf(s.App.Out, "%s", visible.Block(o.config(filepath.Dir(path), "COMP-…")))
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
	if v.Moved, err = writeNode(filepath.Dir(path), filepath.Base(path), o.config(filepath.Dir(path), id), pair, o.ca); err != nil {
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

// credentials reads the password or the token, unless the options give it.
func credentials(s *session.Session, o *registerOptions) (err error) {
	switch {
	case o.byLogin && o.web.Login == "":
		return fault.Invalid("", "--login: say the name with which you sign in")
	case o.web.Login != "":
		if o.web.Password == "" {
			o.web.Password, err = s.App.ReadToken()
		}
	case o.web.Token == "":
		o.web.Token, err = s.App.ReadToken()
	}
	return err
}

// config returns the slapos.cfg of a computer in a directory.
func (o *registerOptions) config(dir, id string) string {
	ssl, ca := filepath.Join(dir, "ssl"), ""
	if o.ca != "" {
		ca = filepath.Join(ssl, "ca.crt")
	}
	return fmt.Sprintf(`[slapos]
software_root = %s
instance_root = %s
master_url = %s
computer_id = %s
key_file = %s
cert_file = %s
certificate_repository_path = %s
%s
[slapformat]
computer_xml = /opt/slapos/slapos.xml
partition_amount = %d
partition_base_name = slappart
user_base_name = slapuser
tap_base_name = slaptap
interface_name = %s
ipv4_local_network = %s
create_tap = %t
`, percent(o.software), percent(o.instances), percent(o.master), id, percent(ssl+"/key"), percent(ssl+"/certificate"), percent(ssl+"/partition_pki"), caLine(ca),
		o.partitions, percent(o.nic), percent(o.network), o.tap)
}
