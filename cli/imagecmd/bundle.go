package imagecmd

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/host"
)

// bundleView is a bundle in `bundle list` and `bundle show --json`.
type bundleView struct {
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	File        string            `json:"file"`
	Digest      string            `json:"digest,omitempty"`
	Include     []string          `json:"include"`
	Args        map[string]string `json:"args"`
	Files       []string          `json:"files"`
	Scripts     []string          `json:"scripts"`
	Pubkeys     []string          `json:"pubkeys"`
	Shadows     []string          `json:"shadows"`
	Error       string            `json:"error,omitempty"`
}

// appliedView is what `bundle apply --json` prints.
type appliedView struct {
	Instance string     `json:"instance"`
	Changed  int        `json:"changed"`
	DryRun   bool       `json:"dry_run"`
	Steps    []stepView `json:"steps"`
	Error    string     `json:"error,omitempty"`
}

// stepView is a step of it.
type stepView struct {
	Kind    string  `json:"kind"`
	Bundle  string  `json:"bundle,omitempty"`
	Name    string  `json:"name"`
	Action  string  `json:"action"`
	Why     string  `json:"why,omitempty"`
	Exit    int     `json:"exit"`
	Seconds float64 `json:"seconds"`
	Stdout  string  `json:"stdout,omitempty"`
	Stderr  string  `json:"stderr,omitempty"`
	Diff    string  `json:"diff,omitempty"`
	Error   string  `json:"error,omitempty"`
}

func NewBundle(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Put named sets of files, scripts and keys on instances",
		Long: `A bundle is a directory bundles/NAME in the configuration: bundle.conf, and files, scripts and pubkeys beside it. It makes a computer fit for a
purpose: by this command, or by each set-up of a source that lists it (bundles = NAME). docs/bundles.md says more.`,
		Example: "  hostler bundle list\n  hostler bundle apply web --on build-3 --dry-run --diff",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List the bundles that are configured", Example: "  hostler bundle list", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return bundleList(a) },
	}, &cobra.Command{
		Use: "show BUNDLE", Short: "Show what a bundle holds", Example: "  hostler bundle show web",
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.CompleteBundles,
		RunE: func(_ *cobra.Command, args []string) error { return bundleShow(a, args[0]) },
	}, newBundleRender(a), newBundleApply(a))
	return cmd
}

func viewBundle(a *cli.App, b *config.Bundle, d *bundle.Definition) bundleView {
	v := bundleView{
		Name: b.Name, Description: d.Description, File: b.File, Digest: d.Digest, Include: []string{},
		Args: map[string]string{}, Files: []string{}, Scripts: []string{},
		Pubkeys: term.Listed(d.Pubkeys), Shadows: term.Listed(b.Shadowed), Error: term.TextOf(d.Err),
	}
	for _, i := range d.Include {
		v.Include = append(v.Include, i.Name)
	}
	for _, arg := range d.Args {
		v.Args[arg.Name] = config.Shown(arg.Name, arg.Value)
	}
	for _, f := range d.Files {
		v.Files = append(v.Files, f.Path)
	}
	for _, s := range d.Scripts {
		v.Scripts = append(v.Scripts, s.Name)
	}
	return v
}

func bundleList(a *cli.App) error {
	set, err := a.Host.Bundles()
	if err != nil {
		return err
	}
	views, rows := []bundleView{}, [][]string{}
	for _, b := range a.Host.Config().Bundles {
		v := viewBundle(a, b, set[b.Name])
		views = append(views, v)
		rows = append(
			rows,
			[]string{b.Name, fmt.Sprint(len(v.Files)), fmt.Sprint(len(v.Scripts)), term.Line(v.Description), term.Line(v.Error)},
		)
	}
	if a.JSON {
		return a.PrintJSON(views)
	}
	return term.Table(a.Out, []string{"bundle", "files", "scripts", "description", "error"}, rows)
}

func bundleShow(a *cli.App, name string) error {
	set, err := a.Host.Bundles()
	if err != nil {
		return err
	}
	b, err := a.Host.Config().Bundle(name)
	if err != nil {
		return &compute.Error{Kind: compute.ErrNotFound, Err: err}
	}
	v := viewBundle(a, b, set[name])
	if a.JSON {
		return a.PrintJSON(v)
	}
	var args []string
	for _, arg := range set[name].Args {
		args = append(args, arg.Name+" = "+v.Args[arg.Name])
	}
	for _, line := range [][]string{{"bundle", v.Name}, {"description", v.Description}, {"file", v.File},
		{"digest", v.Digest}, {"error", v.Error},
		append([]string{"shadows"}, v.Shadows...), append([]string{"include"}, v.Include...), append([]string{"argument"}, args...),
		append([]string{"key"}, v.Pubkeys...), append([]string{"file"}, v.Files...), append([]string{"script"}, v.Scripts...)} {
		for _, value := range line[1:] {
			if value == "" {
				continue
			}
			if err := term.Printf(a.Out, "%-12s %s\n", line[0]+":", term.Line(value)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Subvars parses -t K=V. Of two with one name, the later counts, with a warning.
func Subvars(a *cli.App, words []string) (out []bundle.Var, err error) {
	given, repeated, err := deploy.ParseVars(words)
	if err != nil {
		return nil, err
	}
	for _, name := range repeated {
		_ = term.Printf(a.Err, "%s: -t %s is given more than once; the last one counts\n", a.Program, term.Line(name))
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		out = append(out, bundle.Var{Name: name, Value: given[name]})
	}
	return out, nil
}

// planBundles joins bundles, and warns of what is odd.
func planBundles(a *cli.App, ctx context.Context, names, vars []string) (*bundle.Plan, error) {
	set, err := a.Host.Bundles()
	if err != nil {
		return nil, err
	}
	v, err := Subvars(a, vars)
	if err != nil {
		return nil, err
	}
	p, err := set.Plan(ctx, names, bundle.PlanOptions{Vars: v, Secret: host.BundleSecret})
	if err != nil {
		return nil, err
	}
	for _, w := range p.Warnings {
		if !a.Quiet {
			_ = term.Printf(a.Err, "%s: warning: %s\n", a.Program, term.Line(w))
		}
	}
	return p, nil
}

func newBundleRender(a *cli.App) *cobra.Command {
	var vars, facts []string
	var boot, secrets bool
	cmd := &cobra.Command{
		Use:   "render BUNDLE/SCRIPT|BUNDLE",
		Short: "Print a script as it would be run, its variables in place",
		Long: `Print a script of a bundle as it would be run, or a file that is a template as it would be written: BUNDLE/SCRIPT, BUNDLE/PATH; of a BUNDLE alone, all of them.
What is wrong in it is said with its line. Secrets are shown as ***.

With --user-data, print the bundle as user data for cloud-init: a computer that boots with it is set up by it. It is for one computer alone.`,
		Example: "  hostler bundle render web/nginx.sh -t port=8080 --fact address=10.0.0.7\n  hostler bundle render web --user-data --fact name=web-1",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: a.CompleteBundles,
		RunE: func(cmd *cobra.Command, args []string) error {
			if boot {
				return bundleUserData(a, cmd.Context(), args[0], vars, facts, secrets)
			}
			if secrets {
				return fault.Invalid("", "--secrets is for --user-data; elsewhere they are not shown")
			}
			return bundleRender(a, cmd.Context(), args[0], vars, facts)
		},
	}
	cmd.Flags().StringArrayVarP(
		&vars, "var", "t", nil,
		"give a variable a value: `NAME=VALUE`; VALUE may be env:NAME, file:PATH or command:WORDS",
	)
	cmd.Flags().StringArrayVar(&facts, "fact", nil, "take this for a fact of the computer: `NAME=VALUE`")
	cmd.Flags().BoolVar(&boot, "user-data", false, "print user data for cloud-init")
	cmd.Flags().BoolVar(&secrets, "secrets", false, "let secrets into user data, where all on the computer can read them")
	return cmd
}

// The bytes of user data that clouds accept.
const (
	userDataEC2       = 16384
	userDataOpenStack = 65535
)

// bundleUserData prints a bundle for cloud-init.
func bundleUserData(a *cli.App, ctx context.Context, name string, vars, facts []string, secrets bool) error {
	known, err := renderFacts(facts)
	if err != nil {
		return err
	}
	p, err := planBundles(a, ctx, []string{name}, vars)
	if err != nil {
		return err
	}
	data, err := p.UserData(known, secrets)
	if err != nil {
		return err
	}
	if n := len(data); n > userDataEC2 && !a.Quiet {
		which := "EC2 takes 16384"
		if n > userDataOpenStack {
			which += ", OpenStack 65535"
		}
		_ = term.Printf(a.Err, "%s: warning: %d bytes: %s; cloud-init reads it compressed by gzip too\n", a.Program, n, which)
	}
	_, err = a.Out.Write(data)
	return err
}

// renderFacts reads --fact.
func renderFacts(facts []string) (bundle.Facts, error) {
	known := bundle.Facts{"os": "linux"}
	for _, f := range facts {
		k, v, ok := strings.Cut(f, "=")
		if !ok || !slices.Contains(bundle.FactNames, k) && !strings.HasPrefix(k, "fact.") && !strings.HasPrefix(k, "tool.") {
			return nil, fault.Invalid(
				"--fact NAME=VALUE, where NAME is one of "+strings.Join(bundle.FactNames, ", "),
				"--fact %s: there is no such fact", f,
			)
		}
		known[k] = v
	}
	return known, nil
}

func bundleRender(a *cli.App, ctx context.Context, name string, vars, facts []string) error {
	known, err := renderFacts(facts)
	if err != nil {
		return err
	}
	b, rest, one := strings.Cut(name, "/")
	p, err := planBundles(a, ctx, []string{b}, vars)
	if err != nil {
		return err
	}
	steps, err := p.Render(known)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range steps {
		if s.Kind == bundle.KindKey || s.Kind == bundle.KindFile && s.Text == "" || one && s.Bundle != b {
			continue
		}
		names = append(names, s.Name)
		if one && s.Name != rest && s.Name != "/"+rest {
			continue
		}
		if !one {
			if err := term.Printf(a.Out, "== %s\n", term.Line(s.Title())); err != nil {
				return err
			}
		}
		if err := a.WriteContent(p.Mask(s.Text)); err != nil || one {
			return err
		}
	}
	if one {
		return &compute.Error{
			Kind: compute.ErrNotFound,
			Err:  fmt.Errorf("bundle %s has no script or template %q: it has %s", b, rest, strings.Join(names, ", ")),
		}
	}
	return nil
}

// applying has the request of `bundle apply`.
type applying struct {
	bundles []string
	on      string
	vars    []string
	opt     bundle.ApplyOptions
	anyones bool
}

func newBundleApply(a *cli.App) *cobra.Command {
	var r applying
	cmd := &cobra.Command{
		Use:   "apply BUNDLE... --on INSTANCE|LEASE",
		Short: "Bring an instance to what bundles say",
		Long: `Bring an instance that you have acquired to what bundles say: keys, then files, then scripts in order. Only what is not as it should be is done: a record on the
instance says which scripts have run, and files are compared. After one that failed, the next apply goes on at the step that failed. It stops at the first
failure unless --continue is given. What scripts print goes to standard error.`,
		Example: "  hostler bundle apply web --on build-3\n  hostler bundle apply web dev --on build-3 --dry-run --diff -t port=8080",
		Args:    cobra.MinimumNArgs(1), ValidArgsFunction: a.CompleteBundles,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.bundles = args
			if r.on == "" {
				return fault.Invalid("say on which instance: --on INSTANCE", "bundle apply needs --on")
			}
			if !slices.Contains([]string{"root", "self"}, r.opt.As) {
				return fault.Invalid("--as root, or --as self", "--as %s: is neither root nor self", r.opt.As)
			}
			return bundleApply(a, cmd.Context(), r)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.on, "on", "", "the instance, by its name or its lease's: `NAME`")
	_ = cmd.RegisterFlagCompletionFunc("on", a.CompleteLeased)
	f.StringArrayVarP(&r.vars, "var", "t", nil, "give a variable a value: `NAME=VALUE`; VALUE may be env:NAME, file:PATH or command:WORDS")
	f.BoolVarP(&r.opt.DryRun, "dry-run", "n", false, "only say what would be done")
	f.BoolVar(&r.opt.Diff, "diff", false, "show what changes in files")
	f.BoolVar(&r.opt.Continue, "continue", false, "go on after a script that failed")
	f.StringVar(&r.opt.As, "as", "root", "as `WHOM`: root, by sudo if need be, or self, who logs in there")
	_ = cmd.RegisterFlagCompletionFunc("as", cobra.FixedCompletions([]string{"root", "self"}, cobra.ShellCompDirectiveNoFileComp))
	f.BoolVar(&r.anyones, "any", false, "use the instance whoever has the lease; for administrators")
	return cmd
}

func bundleApply(a *cli.App, ctx context.Context, r applying) error {
	p, err := planBundles(a, ctx, r.bundles, r.vars)
	if err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	c, conn, err := leasecmd.Reach(a, ctx, r.on, r.anyones)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	i := c.Instance
	r.opt.Facts = host.BundleFacts(&i)
	if c.Lease.Labels[deploy.Label] != "" {
		r.opt.Facts["name"] = c.Lease.Name // deploy set it up with this name
	}
	r.opt.Reconnect = func(ctx context.Context) (compute.Conn, error) {
		return host.ConnectPatiently(ctx, func() (compute.Conn, error) {
			conn, _, err := c.Connect(ctx)
			return conn, err
		})
	}
	output, _ := term.Displayed(a.Err)
	r.opt.Output = func(*bundle.Step) (stdout, stderr io.Writer) { return output, output }
	if !a.JSON && !a.Quiet {
		r.opt.Notify = func(o bundle.Outcome) {
			if o.Action == bundle.Running && o.Step.Kind == bundle.KindScript {
				_ = term.Printf(a.Err, "== %s\n", term.Line(o.Step.Title()))
			}
		}
	}
	res, err := bundle.Apply(ctx, conn, p, r.opt)
	err = a.Interrupted(err, "what was done stays, and the next apply goes on after it")
	if e := applied(a, string(i.ID), res, r, err); e != nil {
		return e
	}
	return err
}

// applied prints the outcome of the steps.
func applied(a *cli.App, instance string, res *bundle.Result, r applying, err error) error {
	v := appliedView{Instance: instance, Changed: res.Changed(), DryRun: r.opt.DryRun, Steps: []stepView{}, Error: term.TextOf(err)}
	for _, o := range res.Outcomes {
		v.Steps = append(v.Steps, stepView{
			o.Step.Kind, o.Step.Bundle, o.Step.Name, o.Action, o.Why, o.Exit, o.Took.Seconds(), o.Stdout, o.Stderr, o.Diff,
			term.TextOf(o.Err),
		})
	}
	if a.JSON {
		return a.PrintJSON(v)
	}
	var rows [][]string
	same := 0
	for _, s := range v.Steps {
		if s.Action == bundle.Same || s.Action == bundle.Skipped {
			same++
			continue
		}
		rows = append(rows, []string{s.Action, s.Kind, s.Bundle, term.Line(s.Name), term.Line(s.Why)})
	}
	if len(rows) > 0 {
		if err := term.Table(a.Out, []string{"", "step", "bundle", "name", "why"}, rows); err != nil {
			return err
		}
	}
	for _, s := range v.Steps {
		if s.Diff != "" {
			if err := a.WriteContent(s.Diff); err != nil {
				return err
			}
		}
	}
	if a.Quiet || len(v.Steps) == 0 {
		return nil
	}
	return term.Printf(a.Out, "%d steps, %d of them were as they should be\n", len(v.Steps), same)
}
