package deploycmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/imagecmd"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/text/units"
)

// ttlMadeUp is how long a node with a made-up name lives by default.
const ttlMadeUp = 24 * time.Hour

// deployOptions are the options of deploy.
type deployOptions struct {
	leasecmd.AcquireFlags
	name, prefix string
	leasecmd.Choice
	bundles, vars, matrix []string
	count, parallel       int
	allOrNothing          bool
	onFailure             string
	description, report   string
	userID, secretKey     string
	logs, as, via         string

	old bool // called as deploy-node
}

func NewDeploy(a *cli.App) *cobra.Command {
	var o deployOptions
	cmd := &cobra.Command{
		Use:   "deploy [NAME]",
		Short: "Make a node: a computer under a name, with bundles put on it",
		Long: `Make a node of a source: take an instance under NAME, or a made-up name, put bundles on it, and leave it there. It is a lease like others: status shows it, run and
shell take its name, list lists it, and destroy, release or its ttl end it. A made-up name has a ttl of 24 hours; one that is given none.

Bundles are those of [deploy] in hostler.conf, those for the image, and those of -b, in this order. The name is printed the moment there is something under it; what scripts
print comes on standard error, each line with the node's name where there are several, and is kept in a file. A script that fails fails its node.`,
		Example: `  hostler deploy web-1 -s lab -b nginx -t port=8080
  hostler deploy -s lab --count 20 --all-or-nothing --junit nodes.xml
  hostler deploy t -s lab -b app --matrix image=debian-12,debian-13 --matrix port=80,8080
  hostler deploy --ttl 2h --on-failure destroy -d node.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if o.name != "" && o.name != args[0] {
					return fault.Invalid("", "--name %s and %s: one name is enough", o.name, args[0])
				}
				o.name = args[0]
			}
			return deployNodes(a, cmd.Context(), &o)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.WithSource(cmd)
	f := cmd.Flags()
	o.AcquireFlags.Common(a, f)
	f.StringVarP(&a.Flags.Source, "provider", "p", "", "as --source")
	_ = f.MarkHidden("provider")
	f.StringVarP(&o.name, "name", "n", "", "give the node a `NAME`; with --count NAME-1, NAME-2, ...")
	f.StringVarP(&o.prefix, "prefix", "x", "", "begin a made-up name with `TEXT`")
	f.StringArrayVarP(&o.bundles, "bundle", "b", nil, "put the bundle `NAME` on it too; may be repeated")
	f.StringArrayVarP(
		&o.vars, "var", "t", nil,
		"set the variable `KEY=VALUE` of templates, VALUE or env:, file:, command:, keyring: with where it is; may be repeated",
	)
	o.Choice.Flags(a, cmd, "i")
	f.Lookup("image").Usage += "; or an alias of [deploy]"
	f.IntVar(&o.count, "count", 1, "make `N` nodes; with --matrix, of each kind")
	f.StringArrayVar(
		&o.matrix, "matrix", nil,
		"make nodes of each of several: `KEY=VALUE,VALUE` of image, flavor, location or a variable; with several --matrix, of each combination",
	)
	f.IntVar(&o.parallel, "parallel", 0, "work on `N` nodes at a time (64)")
	f.BoolVar(&o.allOrNothing, "all-or-nothing", false, "when one fails, destroy all of them")
	f.StringVar(&o.onFailure, "on-failure", "", "`WHAT` becomes of a node that fails: keep, destroy or ask (keep)")
	f.StringVarP(&o.description, "description-file", "d", "", "write a description of the node to `FILE` as JSON; of several, a list")
	f.StringVar(&o.report, "junit", "", "write the results of the scripts to `FILE` as JUnit's XML")
	f.StringVar(&o.logs, "logs", "", "keep what scripts print in `DIR`")
	f.StringVar(&o.as, "as", "", "set up as `WHOM`: root, by sudo if need be, or self, the user whom commands have (root)")
	f.StringVar(&o.via, "via", "", "`WAY` of bundles onto it: ssh, user-data, or auto: at its first boot, where that can be (ssh)")
	f.StringVarP(&o.userID, "userid", "u", "", "the user `ID` for the provider, where the source takes it from env:"+envUserID)
	f.StringVarP(
		&o.secretKey, "secret-key", "k", "",
		"the secret `KEY` for the provider, where the source takes it from env:"+envSecretKey+"; all users of this machine see it",
	)
	for _, name := range []string{"description-file", "junit"} {
		_ = cmd.MarkFlagFilename(name)
	}
	_ = cmd.MarkFlagDirname("logs")
	_ = cmd.RegisterFlagCompletionFunc("bundle", a.CompleteBundles)
	_ = cmd.RegisterFlagCompletionFunc("as", cobra.FixedCompletions([]string{"root", "self"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("via", cobra.FixedCompletions(deploy.Vias, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("on-failure", cobra.FixedCompletions(deploy.Policies, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// Environment variables through which a source finds the credentials that were given to deploy.
const (
	envUserID    = "HOSTLER_DEPLOY_USERID"
	envSecretKey = "HOSTLER_DEPLOY_SECRET_KEY"
)

// deployTable reads a further section of deploy's configuration, by keys as written.
func deployTable(a *cli.App, name string) (map[string]string, error) {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, v := range cfg.Sections["deploy."+name] {
		out[v.Key] = v.Text
	}
	return out, nil
}

// deploying is one run of deploy.
type deploying struct {
	app      *cli.App
	opt      *deployOptions
	settings deploy.Settings
	engine   cli.Engine
	owner    string
	names    []string
	madeUp   bool
	source   string
	vars     []bundle.Var        // for all nodes
	all      []*variant          // the kinds of nodes to make
	by       map[string]*variant // the variant of each name
	warned   map[string]bool     // warnings about bundles that were printed
	looked   map[string]string   // the values of references
	show     *shown
	via      string
	booting  sync.Map // names of nodes that user data sets up
}

// deployNodes makes nodes.
func deployNodes(a *cli.App, ctx context.Context, o *deployOptions) error {
	d := &deploying{app: a, opt: o}
	if err := d.prepare(ctx); err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	nodes, err := d.run(ctx)
	a.Ring(context.WithoutCancel(ctx))
	err = errors.Join(err, d.reports(nodes))
	if s := a.Signal(); s != "" && errors.Is(err, context.Canceled) {
		return &term.Interruption{Signal: s, Became: became(nodes)}
	}
	return err
}

// prepare checks everything before anything is made.
func (d *deploying) prepare(ctx context.Context) (err error) {
	a, o := d.app, d.opt
	if d.settings, err = deploySettings(a); err != nil {
		return err
	}
	if o.count < 1 {
		return fault.Invalid("", "--count %d: there must be one node at least", o.count)
	}
	policy := cmp.Or(o.onFailure, d.settings.OnFailure, string(deploy.Keep))
	if !slices.Contains(deploy.Policies, policy) {
		return fault.Invalid("", "--on-failure %s: none of %s", policy, strings.Join(deploy.Policies, ", "))
	}
	o.onFailure = policy
	if as := d.as(); !slices.Contains([]string{"", "root", "self"}, as) {
		return fault.Invalid("", "--as %s: neither root nor self", as)
	}
	if d.via = cmp.Or(o.via, d.settings.Via, deploy.ViaSSH); !slices.Contains(deploy.Vias, d.via) {
		return fault.Invalid("", "--via %s: none of %s", d.via, strings.Join(deploy.Vias, ", "))
	}
	if d.via != deploy.ViaSSH && d.as() == "self" {
		return fault.Invalid("--via ssh, or --as root", "--as self and --via %s: what is done at the first boot is done as root", d.via)
	}
	if err := d.credentials(ctx); err != nil {
		return err
	}
	if d.source, err = d.chooseSource(); err != nil {
		return err
	}
	if err := d.matrix(); err != nil {
		return err
	}
	if err := d.name(); err != nil {
		return err
	}
	if err := d.variables(ctx); err != nil {
		return err
	}
	if err := d.choose(); err != nil {
		return err
	}
	if d.engine, err = a.Engine(ctx); err != nil {
		return err
	}
	if !a.IsSource(d.source) {
		return a.Unread(d.source, noSource(a, ctx, d.source))
	}
	d.owner = a.Owner()
	for _, name := range d.names {
		if err := leasecmd.CheckName(a, ctx, d.engine, name); err != nil {
			return err
		}
		if i, l, err := d.engine.Resolve(ctx, name); err == nil && l != nil && l.Name == name {
			return fault.Conflict("hostler destroy "+name+", or take another name", "%s: there is a node of this name: %s", name, i.ID)
		}
	}
	for _, v := range d.all {
		if err := d.planBundles(ctx, v); err != nil {
			return err
		}
		if d.via == deploy.ViaUserData && v.plan != nil {
			// check the user data before anything is made
			if _, err := d.userData(v, d.names[0]); err != nil {
				return err
			}
		}
	}
	d.show, err = d.open()
	return err
}

// as returns the user who puts bundles on nodes: "root", "self", or "" for root.
func (d *deploying) as() string { return cmp.Or(d.opt.as, d.settings.As) }

// chooseSource returns the source of -s, of [deploy] or the default of all commands.
func (d *deploying) chooseSource() (string, error) {
	if d.app.Flags.Source == "" && d.settings.Source != "" {
		return d.settings.Source, nil
	}
	if d.opt.old && d.app.Flags.Source == "" {
		return "", fault.Invalid("-p NAME, or [deploy] source in hostler.conf", "no provider is named")
	}
	return d.app.SourceName()
}

// variables reads those of the configuration, then those of the command line. References among the
// latter are looked up now, others when a bundle uses them.
func (d *deploying) variables(ctx context.Context) error {
	standing, err := deployTable(d.app, "vars")
	if err != nil {
		return err
	}
	given, err := imagecmd.Subvars(d.app, d.opt.vars)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(standing)) {
		d.vars = append(d.vars, bundle.Var{Name: key, Value: standing[key], Standing: true})
	}
	d.vars = append(d.vars, oldVars(d.app)...)
	for _, v := range given {
		// deploy-node took values literally, and needed no bundle to use them
		v.Literal, v.Standing = d.opt.old, d.opt.old
		if d.vars = append(d.vars, v); !v.Literal {
			if _, _, err := d.secret(ctx, v.Value); err != nil {
				return host.ConfigError(fmt.Errorf("-t %s: %w", term.Line(v.Name), err))
			}
		}
	}
	for _, v := range d.all { // like those of -t
		for _, x := range v.vars {
			if _, _, err := d.secret(ctx, x.Value); err != nil {
				return host.ConfigError(fmt.Errorf("--matrix %s: %w", term.Line(x.Name), err))
			}
		}
	}
	return nil
}

// secret looks up a reference once, and notes that its value must not be shown.
func (d *deploying) secret(ctx context.Context, ref string) (value string, ok bool, err error) {
	if value, ok := d.looked[ref]; ok {
		return value, true, nil
	}
	value, ok, err = host.BundleSecret(ctx, ref)
	if ok && err == nil {
		d.hide(ref, value)
	}
	return value, ok, err
}

func (d *deploying) hide(ref, value string) {
	if d.looked == nil {
		d.looked = map[string]string{}
	}
	d.looked[ref] = value
}

// credentials puts the provider's credentials where a source's references find them. They are in no
// process' arguments.
func (d *deploying) credentials(ctx context.Context) error {
	o := d.opt
	if o.secretKey != "" {
		_ = term.Printf(
			d.app.Err,
			"%s: -k: all users of this machine can see it among this command's arguments; write a reference into the source's configuration\n",
			d.app.Program,
		)
		d.hide("-k", o.secretKey)
	}
	for _, c := range []struct{ env, given, ref, key string }{
		{envUserID, o.userID, d.settings.UserID, "userid"},
		{envSecretKey, o.secretKey, d.settings.SecretKey, "secret-key"},
	} {
		value := c.given
		if value == "" && c.ref != "" {
			if value = c.ref; config.IsReference(c.ref) {
				var err error
				if value, _, err = d.secret(ctx, c.ref); err != nil {
					return host.ConfigError(fmt.Errorf("[deploy] %s: %w", c.key, err))
				}
			} else if c.env == envSecretKey {
				return fault.Invalid(
					"env:NAME, file:PATH, command:WORDS or keyring:NAME",
					"[deploy] %s: it is a secret, so it is a reference", c.key,
				)
			}
		}
		if value != "" {
			if err := os.Setenv(c.env, value); err != nil {
				return fault.Invalid("", "%s: %v", c.key, err)
			}
		}
	}
	return nil
}

// request returns the request for each node of a variant.
func (d *deploying) request(v *variant) (compute.Request, error) {
	req, err := d.opt.AcquireFlags.Request(d.app, d.source)
	if err != nil {
		return req, err
	}
	req.Image, req.Flavor, req.Location = v.image, v.flavor, v.location
	req.Idle = -1 // a node stays until it is destroyed or its ttl has passed
	source, _ := d.app.Source(d.source)
	switch {
	case d.opt.old:
		req.TTL, req.Wait = -1, 0
	case d.opt.Ttl.Given:
	case !d.madeUp:
		req.TTL = -1
	case d.settings.TTL != "":
		if req.TTL, err = nodeTTL(d.settings.TTL); err != nil {
			return req, err
		}
	case source.TTL == 0:
		req.TTL = ttlMadeUp
	}
	if s := d.settings; req.Cores == 0 {
		req.Cores = s.Cores
	}
	req.Memory, req.Disk = cmp.Or(req.Memory, d.settings.Memory), cmp.Or(req.Disk, d.settings.Disk)
	labels := map[string]string{}
	maps.Copy(labels, req.Labels)
	var names []string
	if v.plan != nil {
		for _, b := range v.plan.Bundles() {
			names = append(names, b.Name)
		}
	}
	for key, value := range map[string]string{"bundles": strings.Join(names, ","), "image": v.image, "flavor": v.flavor} {
		if _, taken := labels[key]; value != "" && !taken {
			labels[key] = value
		}
	}
	req.Labels = labels
	return req, nil
}

// nodeTTL reads [deploy] ttl.
func nodeTTL(text string) (time.Duration, error) {
	if text == "none" {
		return -1, nil
	}
	d, err := units.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fault.Invalid("90m, 2d or none", "[deploy] ttl = %s: not a time", text)
	}
	return d, nil
}

// became describes what exists after an interrupt.
func became(nodes []*deploy.Node) string {
	by := map[deploy.State][]string{}
	for _, n := range nodes {
		by[n.State] = append(by[n.State], n.Name)
	}
	var parts []string
	for _, s := range []struct {
		state deploy.State
		text  string
	}{{deploy.Done, "ready"}, {deploy.Failed, "kept, and not all is on it"}, {deploy.Destroyed, "destroyed"}} {
		if names := by[s.state]; len(names) > 0 {
			parts = append(parts, strings.Join(names, ", ")+": "+s.text)
		}
	}
	if len(parts) == 0 {
		return "nothing is made"
	}
	return strings.Join(parts, "; ")
}
