package slaposcmd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/slapos/node/format"
	partition "github.com/hostler-project/hostler/slapos/node/home"
	slapclient "github.com/hostler-project/hostler/slapos/proto/client"
)

// slaposNotPosted is the exit status of a format that the master could not be told of.
const slaposNotPosted = 2

// formatDelay bounds the random wait before a format, so that the machines of a fleet do not all
// format at once.
const formatDelay = time.Hour

// slaposFormattedView is `slapos node format --json`.
type slaposFormattedView struct {
	Computer   string   `json:"computer"`
	Partitions []string `json:"partitions"`
	Steps      []string `json:"steps"`
	Dry        bool     `json:"dry_run"`
	Posted     bool     `json:"posted"`
}

// formatting has the options of `slapos node format`.
type formatting struct {
	state, json, in, out string
	users, network       string // True, False, or "" for what the file says
	now, dry, console    bool

	steps []string
}

func newSlaposNodeFormat(s *Slapos) *cobra.Command {
	o := &formatting{}
	cmd := s.newNodeCommand(&cobra.Command{
		Use:   "format",
		Short: "Make this machine a computer: its partitions' users, directories and addresses",
		Long: `Make what slapos.cfg says in [slapformat] and [slapos]: partitions with a user, a directory, addresses and interfaces each, and tell the master. What is there is left as it is, and nothing is
ever taken away. A definition file may say what would else be chosen. It waits up to an hour before, unless --now. docs/slapos-format.md has the options of the file.

Exit status: 0 done, 1 failed, 2 done, and the master could not be told; 10 another does it already.`,
		Example: "  hostler slapos node format --now\n  hostler slapos node format --dry-run",
		Args:    cobra.NoArgs,
	}, passNone, func(ctx context.Context, n *NodeCommand, _ []string) error { return n.formatCommand(ctx, o) })
	f := cmd.Flags()
	o.flags(f)
	f.BoolVar(&o.now, "now", false, "do not wait before")
	f.BoolVarP(&o.dry, "dry-run", "n", false, "print what would be done, and do, write and tell nothing")
	f.BoolVarP(&o.console, "console", "c", false, "print each step as it is done")
	for _, name := range []string{"computer-xml", "computer-json", "input-definition-file", "output-definition-file"} {
		_ = cmd.MarkFlagFilename(name)
	}
	for _, name := range []string{"alter-user", "alter-network"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions([]string{"True", "False"}, cobra.ShellCompDirectiveNoFileComp))
	}
	return cmd
}

func (o *formatting) flags(f *pflag.FlagSet) {
	f.StringVarP(&o.state, "computer-xml", "x", "", "what was made is recorded in `FILE`")
	f.StringVar(&o.json, "computer-json", "", "and as JSON in `FILE`")
	f.StringVarP(&o.in, "input-definition-file", "i", "", "`FILE` says what would else be chosen")
	f.StringVarP(&o.out, "output-definition-file", "o", "", "write such a one to `FILE`")
	f.StringVar(&o.users, "alter-user", "", "make users: True or False (`BOOL`)")
	f.StringVar(&o.network, "alter-network", "", "make interfaces, addresses and routes: True or False (`BOOL`)")
}

// formatCommand is `slapos node format`, with its exit statuses.
func (n *NodeCommand) formatCommand(ctx context.Context, o *formatting) error {
	f, err := n.formatter(o)
	if err == nil && !o.dry && !o.now {
		pause := rand.N(formatDelay)
		n.Say("Sleeping for %d seconds...", int(pause.Seconds()))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	var c *format.Computer
	if err == nil {
		c, err = n.format(ctx, f, o)
	}
	if err != nil && !errors.Is(err, format.ErrNotPosted) {
		var told term.Exit
		if ctx.Err() != nil || errors.As(err, &told) {
			return err
		}
		n.fail(n.hinted(err))
		return term.Exit(1)
	}
	if n.A.JSON {
		v := slaposFormattedView{
			Computer: c.Reference, Partitions: []string{}, Steps: append([]string{}, o.steps...), Dry: o.dry,
			Posted: err == nil && !o.dry,
		}
		for i := range c.Partitions {
			v.Partitions = append(v.Partitions, c.Partitions[i].Reference)
		}
		if err := n.A.PrintJSON(v); err != nil {
			return err
		}
	}
	if err != nil {
		n.fail(n.hinted(err))
		return term.Exit(slaposNotPosted)
	}
	return nil
}

// formatter returns a formatter by the options and the file. Options override the file.
func (n *NodeCommand) formatter(o *formatting) (*format.Formatter, error) {
	opt, err := format.ReadOptions(n.File)
	if err != nil {
		return nil, fault.Invalid("", "%w", err)
	}
	in, err := format.Input(n.File)
	if err != nil {
		return nil, fault.Invalid("", "%w", err)
	}
	opt.Computer, opt.InstanceRoot, opt.SoftwareRoot, opt.Certificates = n.Node.Computer, n.Node.InstanceRoot, n.Node.SoftwareRoot,
		n.Node.Certificates
	for from, to := range map[*string]*string{&o.state: &opt.State, &o.json: &opt.JSON, &o.in: &in, &o.out: &opt.DefinitionOut} {
		if *from == "" {
			continue
		}
		if *to, err = filepath.Abs(*from); err != nil {
			return nil, err
		}
	}
	for name, of := range map[string]struct {
		text string
		to   *bool
	}{"alter-user": {o.users, &opt.AlterUser}, "alter-network": {o.network, &opt.AlterNetwork}} {
		if of.text == "" {
			continue
		}
		if *of.to, err = format.ParseBool(of.text); err != nil {
			return nil, fault.Invalid("", "--%s %w", name, err)
		}
	}
	opt.Version, opt.Platform = slaposRelease+" (hostler "+version.Read().Version+")", slaposPlatform()
	if err := n.isNode(); err != nil {
		return nil, err
	}
	if n.Node.RootCheck && os.Geteuid() != 0 {
		return nil, &compute.Error{
			Kind: compute.ErrDenied, Err: errors.New("this is for root: it makes users and interfaces"),
			Hint: "root_check = false in [slapos], with alter_user and alter_network False, makes what you may",
		}
	}
	f := &format.Formatter{Options: *opt, Dry: o.dry}
	if in != "" {
		if f.Definition, err = format.ReadDefinition(in); err != nil {
			return nil, fault.Invalid("", "%w", err)
		}
	}
	f.Say = func(step string) {
		o.steps = append(o.steps, step)
		if (o.dry || o.console) && !n.A.JSON {
			_ = term.Printf(n.A.Out, "%s\n", term.Line(step))
		} else {
			n.Say("%s", step)
		}
	}
	return f, f.Check()
}

// slaposRelease is the release of SlapOS that this node is compatible with.
const slaposRelease = "1.24.0"

// format formats alone and tells the master. If only telling fails, the error is
// format.ErrNotPosted.
func (n *NodeCommand) format(ctx context.Context, f *format.Formatter, o *formatting) (*format.Computer, error) {
	if o.dry {
		return f.Run(ctx)
	}
	end, err := n.alone(f.State + ".pid")
	if err != nil {
		return nil, err
	}
	defer end()
	c, err := f.Run(ctx)
	if err != nil {
		return nil, err
	}
	n.Say("%s has %d partitions.", c.Reference, len(c.Partitions))
	if err := n.post(ctx, c); err != nil {
		return c, fmt.Errorf("%w: %w", format.ErrNotPosted, err)
	}
	n.Say("Posted to %s", n.Node.Master)
	return c, nil
}

func (n *NodeCommand) post(ctx context.Context, c *format.Computer) error {
	client, err := n.asked()
	if err != nil {
		return err
	}
	return client.Configure(ctx, c.Dictionary())
}

// asked returns a client of the node's master.
func (n *NodeCommand) asked() (_ *slapclient.Client, err error) {
	if n.Node.Master == "" || n.Node.Computer == "" {
		return nil, fault.Invalid("", "the section [slapos] of %s lacks master_url or computer_id", n.Path)
	}
	if n.client == nil {
		n.client, err = n.newClient()
	}
	return n.client, err
}

func newSlaposNodeBang(s *Slapos) *cobra.Command {
	var message string
	cmd := s.newNodeCommand(&cobra.Command{
		Use:     "bang",
		Short:   "Have all instances of this computer be processed again",
		Long:    `Tell the master that something happened to this computer: its nodes process all of its instances at their next pass.`,
		Example: "  hostler slapos node bang -m \"new disk\"",
		Args:    cobra.NoArgs,
	}, passNone, func(ctx context.Context, n *NodeCommand, _ []string) error { return n.bang(ctx, message) })
	cmd.Flags().StringVarP(&message, "message", "m", "", "the `TEXT` that says what happened")
	return cmd
}

func (n *NodeCommand) bang(ctx context.Context, message string) error {
	client, err := n.asked()
	if err != nil {
		return err
	}
	n.Say("Banging to '%s'", n.Node.Master)
	if err := client.Bang(ctx, n.Node.Computer, "", message); err != nil {
		return err
	}
	n.Say("Bang with message '%s'", message)
	return nil
}

func newSlaposNodeBoot(s *Slapos) *cobra.Command {
	message := "Reboot"
	cmd := s.newNodeCommand(&cobra.Command{
		Use:   "boot",
		Short: "Bring this computer back after the machine was started",
		Long: `Wait until the interface has a global address of IPv6, format, tell the master that the machine was started, and have the next pass process every instance. Each is tried until it succeeds. It is for
what starts services with the machine.`,
		Example: "  hostler slapos node boot",
		Args:    cobra.NoArgs,
	}, passNone, func(ctx context.Context, n *NodeCommand, _ []string) error { return n.boot(ctx, message) })
	cmd.Flags().StringVarP(&message, "message", "m", message, "the `TEXT` that says to the master what happened")
	return cmd
}

// boot is `slapos node boot`. Errors that time cannot fix, such as a bad file, end it at once.
func (n *NodeCommand) boot(ctx context.Context, message string) error {
	o := &formatting{}
	f, err := n.formatter(o)
	if err != nil {
		return err
	}
	if _, err := n.asked(); err != nil {
		return err
	}
	var c *format.Computer
	b := &format.Boot{ReadyPause: 5 * time.Second, FormatPause: 15 * time.Second, Say: func(text string) { n.Warn("%s", text) },
		Ready:  f.Ready,
		Format: func(ctx context.Context) (err error) { c, err = n.format(ctx, f, o); return err },
		Answers: func(ctx context.Context) bool {
			_, err := n.client.Computer(ctx, n.Node.Computer)
			return err == nil || !errors.Is(err, slapclient.ErrUnreachable)
		},
		Bang:   func(ctx context.Context) error { return n.bang(ctx, message) },
		Forget: func(context.Context) error { return forgetTimestamps(c) },
	}
	return b.Run(ctx)
}

// forgetTimestamps removes the marks of processed partitions.
func forgetTimestamps(c *format.Computer) error {
	var errs []error
	for i := range c.Partitions {
		d, err := partition.Open(c.Partitions[i].Path)
		if err == nil {
			err = errors.Join(d.Remove(".timestamp"), d.Close())
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// releaseKey returns the value of a key of /etc/os-release.
func releaseKey(text, key string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			return strings.Trim(value, `"'`)
		}
	}
	return ""
}
