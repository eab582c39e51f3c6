package slaposcmd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/enrol"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/text/visible"
)

// slaposConfiguredView is `slapos configure client --json`.
type slaposConfiguredView struct {
	Config      string `json:"config"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

// registeredView is `slapos node register --json`.
type registeredView struct {
	Computer string `json:"computer"`
	Config   string `json:"config"`
	Moved    string `json:"moved,omitempty"`
}

func newSlaposConfigure(s *Slapos) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "configure",
		Short:   "Make the configuration of the commands",
		Example: "  hostler slapos configure client --master-url https://slap.example.com --master-url-web https://slapos.example.com",
		Args:    cobra.ArbitraryArgs,
		RunE:    s.group,
	}
	var master, token, ca string
	web := enrol.Web{}
	client := &cobra.Command{
		Use:   "client",
		Short: "Get a certificate from the master, and write the file that the commands read",
		Long: `Get a certificate with a token, which the master's web page gives, and write the configuration (--cfg, or where the other commands look for it) with client.crt and client.key beside it. The
token is read from standard input, where it is not given; --token shows it to others on this machine. What is there already is left alone.`,
		Example: "  hostler slapos configure client --master-url https://slap.example.com --master-url-web https://slapos.example.com <token.txt",
		Args:    cobra.NoArgs,
		RunE: s.do(func(ctx context.Context, _ []string) error {
			web.Token = token
			return s.configureClient(ctx, master, ca, &web)
		}),
	}
	f := client.Flags()
	f.StringVar(&master, "master-url", "", "the master is at `URL`")
	f.StringVar(&web.URL, "master-url-web", "", "its web side is at `URL`")
	f.StringVar(&token, "token", "", "the `TOKEN` that the web page gave; read from standard input unless it is said")
	f.StringVar(
		&ca, "master-ca-file", "",
		"the authority in `FILE` signs what the master and its web side show; those of this machine unless it is said",
	)
	_ = client.MarkFlagFilename("master-ca-file")
	_ = client.MarkFlagRequired("master-url")
	_ = client.MarkFlagRequired("master-url-web")
	cmd.AddCommand(client, newSlaposConfigureLocal(s))
	return cmd
}

// configureClient asks for a certificate and writes the client's files. It first checks that they
// can be written, as a token works once.
func (s *Slapos) configureClient(ctx context.Context, master, ca string, web *enrol.Web) error {
	path, err := s.path()
	if err != nil {
		return err
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	v := slaposConfiguredView{path, filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key")}
	if err := oneLine(master); err != nil {
		return fault.Invalid("", "--master-url: %w", err)
	}
	if ca, web.HTTP, err = trusting(ca); err != nil {
		return err
	}
	for _, file := range []string{v.Config, v.Certificate, v.Key} {
		if _, err := os.Lstat(file); err == nil {
			return fault.Conflict("move it away first; --cfg FILE names another", "%s is there already", file)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	probe, err := os.CreateTemp(dir, ".hostler-*")
	if err != nil {
		return err
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
	if web.Token == "" {
		if web.Token, err = s.A.ReadToken(); err != nil {
			return err
		}
	}
	pair, err := web.Person(ctx)
	if err != nil {
		return enrolError(err)
	}
	text := fmt.Sprintf(
		"[slapos]\nmaster_url = %s\n%s\n[slapconsole]\ncert_file = %s\nkey_file = %s\n# alias =\n#   NAME URL\n",
		percent(master), caLine(ca), percent(v.Certificate), percent(v.Key),
	)
	for _, file := range []struct{ path, text string }{{v.Key, pair.Key}, {v.Certificate, pair.Certificate}, {v.Config, text}} {
		if err := writeNew(file.path, file.text); err != nil {
			return err
		}
	}
	s.Say("%s is written, with the certificate %s and its key %s.", v.Config, v.Certificate, v.Key)
	if s.A.JSON {
		return s.A.PrintJSON(v)
	}
	return nil
}

// trusting returns the absolute path of a file with authorities, and an HTTP client that trusts
// them; "" and nil for the machine's own.
func trusting(ca string) (string, *http.Client, error) {
	if ca == "" {
		return "", nil, nil
	}
	if err := oneLine(ca); err != nil {
		return "", nil, fault.Invalid("", "--master-ca-file: %w", err)
	}
	ca, err := filepath.Abs(ca)
	if err != nil {
		return "", nil, err
	}
	text, err := os.ReadFile(ca)
	roots := x509.NewCertPool()
	if err == nil && !roots.AppendCertsFromPEM(text) {
		err = errors.New("there is no certificate in PEM in it")
	}
	if err != nil {
		return "", nil, fault.Invalid("ca.crt in the master's ca_directory is one", "--master-ca-file %s: %w", ca, err)
	}
	return ca, enrol.Client(&tls.Config{RootCAs: roots}), nil
}

// caLine returns the configuration's line with the authorities.
func caLine(ca string) string {
	if ca == "" {
		return ""
	}
	return "master_ca_file = " + percent(ca) + "\n"
}

// oneLine refuses a text of more than one line.
func oneLine(text string) error {
	if text == "" || strings.ContainsAny(text, "\n\r\x00") {
		return fmt.Errorf("%q cannot stand in a configuration file", text)
	}
	return nil
}

// percent escapes a value for a configuration file.
func percent(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// enrolError gives an error of enrol its kind.
func enrolError(err error) error {
	e := &compute.Error{Kind: compute.ErrFailed, Err: err}
	if errors.Is(err, enrol.ErrDenied) {
		e.Kind, e.Hint = compute.ErrDenied, "a token is good for once, and not for long: the master's web page gives another"
	}
	return e
}

// writeNew writes a file for the user alone, where none is yet.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// registering has the options of `slapos node register`.
type registering struct {
	web                                       enrol.Web
	master, network, software, instances, nic string
	ca                                        string // a file
	partitions                                int
	tap, dry, byLogin                         bool
}

func newSlaposNode(s *Slapos) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Be a computer of a master: have on this machine what is wanted there",
		Long: `Make this machine a computer of a master, and have on it what the master wants. These commands read --cfg FILE, else $SLAPOS_CONFIGURATION, else /etc/opt/slapos/slapos.cfg. Alone it is
hostler slapos node status.

Exit status: 0 done, 1 failed, 2 usage, 3 some program does not run, 10 another process does just that already; each command says more.`,
		Example: "  hostler slapos node register \"build machine\" --interface-name eth0 --master-url https://slap.example.com --master-url-web https://slapos.example.com\n  hostler slapos node status",
		Args:    cobra.ArbitraryArgs,
	}
	bare := s.nodeStatusCommand()
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return s.group(cmd, args)
		}
		bare.SetContext(cmd.Context())
		return bare.RunE(bare, nil)
	}
	o := registering{partitions: 10}
	register := &cobra.Command{
		Use:   "register NAME",
		Short: "Register this machine at a master, and write its slapos.cfg",
		Long: `Register this machine under a name at a master, which gives it a reference and a certificate, and write slapos.cfg and ssl/ in /etc/opt/slapos (or the directory of --cfg FILE). A directory that is
there already is moved to one with .old behind its name.

A token of the master's web page (hostler slapos computer token prints one) or a name and password say who asks. Token and password are read from standard input where they are not given;
--token and --password show them to others on this machine.`,
		Example: "  hostler slapos node register build1 --interface-name eth0 --master-url https://slap.example.com --master-url-web https://slapos.example.com <token.txt",
		Args:    cobra.ExactArgs(1),
		RunE:    s.do(func(ctx context.Context, args []string) error { return s.register(ctx, args[0], &o) }),
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
	cmd.AddCommand(register)
	cmd.AddCommand(newSlaposNodeInstance(s), newSlaposNodeSoftware(s), newSlaposNodePrune(s), newSlaposLayImage(s))
	cmd.AddCommand(newSlaposNodeSupervisor(s)...)
	cmd.AddCommand(newSlaposNodePromise(s), newSlaposNodeForward(s))
	cmd.AddCommand(newSlaposNodeFormat(s), newSlaposNodeBoot(s), newSlaposNodeBang(s))
	cmd.AddCommand(newSlaposNodeReport(s), newSlaposNodeCollect(s))
	return cmd
}

// The place of a node's configuration.
const slaposNodeFile = "/etc/opt/slapos/slapos.cfg"

// register registers a computer and writes its files.
func (s *Slapos) register(ctx context.Context, name string, o *registering) error {
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
	path := s.file
	if path == "" {
		path = slaposNodeFile
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	if o.dry {
		return term.Printf(s.A.Out, "%s", visible.Block(o.config(filepath.Dir(path), "COMP-…")))
	}
	if o.web.URL == "" {
		return fault.Invalid("", "--master-url-web: say where the master's web side is")
	}
	if err := s.credentials(o); err != nil {
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
		s.Warn("What was in %s is in %s.", filepath.Dir(path), v.Moved)
	}
	s.Say("This machine is %s. %s is written.", id, path)
	if s.A.JSON {
		return s.A.PrintJSON(v)
	}
	return nil
}

// credentials reads the password or the token, unless the options give it.
func (s *Slapos) credentials(o *registering) (err error) {
	switch {
	case o.byLogin && o.web.Login == "":
		return fault.Invalid("", "--login: say the name with which you sign in")
	case o.web.Login != "":
		if o.web.Password == "" {
			o.web.Password, err = s.A.ReadToken()
		}
	case o.web.Token == "":
		o.web.Token, err = s.A.ReadToken()
	}
	return err
}

// config returns the slapos.cfg of a computer in a directory.
func (o *registering) config(dir, id string) string {
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

// writeNode writes a node's files beside the directory, and moves them into place when all are
// written. Old files are moved to a name that it returns. The master's authorities in the file ca
// are copied too.
func writeNode(dir, file, config string, pair *proto.Certificate, ca string) (moved string, err error) {
	var authorities []byte
	if ca != "" {
		if authorities, err = os.ReadFile(ca); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	made, err := os.MkdirTemp(filepath.Dir(dir), ".slapos-")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(made)
		}
	}()
	ssl := filepath.Join(made, "ssl")
	pki := filepath.Join(ssl, "partition_pki")
	// A partition's user finds its own key by name, but cannot list the directory (as with SlapOS's
	// own register).
	if err := errors.Join(os.MkdirAll(pki, 0o700), os.Chmod(ssl, 0o711), os.Chmod(pki, 0o711), writeNew(filepath.Join(ssl, "key"),
		pair.Key),
		writeNew(
			filepath.Join(ssl, "certificate"), pair.Certificate,
		), writeNew(filepath.Join(made, file), config), os.Chmod(made, 0o755)); err != nil {
		return "", err
	}
	if ca != "" {
		if err := writeNew(filepath.Join(ssl, "ca.crt"), string(authorities)); err != nil {
			return "", err
		}
	}
	for n := 0; ; n++ {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			break
		}
		to := dir + ".old"
		if n > 0 {
			to = fmt.Sprintf("%s.old.%d", dir, n)
		}
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		if err := os.Rename(dir, to); err != nil {
			return "", err
		}
		moved = to
	}
	return moved, os.Rename(made, dir)
}
