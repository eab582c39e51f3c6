package deploycmd

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/host"
)

// planBundles finds a variant's bundles: for every node, for the image, and the requested ones. It
// finds all errors in them before anything is made.
func (d *deploying) planBundles(ctx context.Context, v *variant) error {
	forImage, err := deployTable(d.app, "image-bundles")
	if err != nil {
		return err
	}
	names := slices.Clone(d.settings.Bundles)
	for name := range strings.SplitSeq(cmp.Or(forImage[v.alias], forImage[v.image]), ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	names = append(names, d.opt.bundles...)
	keys, err := d.ownKey()
	if err != nil {
		return err
	}
	more, err := oldKeys(d.app)
	if err != nil {
		return err
	}
	keys = append(keys, more...)
	if len(names)+len(keys) == 0 {
		return nil
	}
	set, err := d.app.Host.Bundles()
	if err != nil {
		return err
	}
	oldBundles(d.app, set)
	v.plan, err = set.Plan(ctx, names, bundle.PlanOptions{Vars: v.vars, Keys: keys, Secret: d.secret})
	if err != nil {
		return err
	}
	for _, w := range v.plan.Warnings {
		if d.warned[w] {
			continue
		}
		if d.warned == nil {
			d.warned = map[string]bool{}
		}
		d.warned[w] = true
		_ = term.Printf(d.app.Err, "%s: %s\n", d.app.Program, term.Line(w))
	}
	return nil
}

// ownKey returns the public half of the key of [deploy]. deploy-node took the user's first key if
// none was configured.
func (d *deploying) ownKey() ([]string, error) {
	file := d.settings.Key
	home, err := host.Home()
	if err != nil {
		return nil, err
	}
	if file == "" && d.opt.old {
		for _, name := range []string{"id_rsa.pub", "id_ed25519.pub"} {
			if _, err := os.Stat(filepath.Join(home, ".ssh", name)); err == nil {
				file = filepath.Join(home, ".ssh", name)
				break
			}
		}
	}
	if file == "" {
		return nil, nil
	}
	if rest, ok := strings.CutPrefix(file, "~/"); ok {
		file = filepath.Join(home, rest)
	}
	if !strings.HasSuffix(file, ".pub") {
		file += ".pub"
	}
	keys, err := keysOf(file)
	if err != nil {
		return nil, fault.Invalid("ssh-keygen -y makes the public half of a key", "[deploy] key: %s: %v", file, err)
	}
	return keys, nil
}

// keysOf reads the lines of a file of public keys.
func keysOf(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		if e := (*fs.PathError)(nil); errors.As(err, &e) {
			err = e.Err
		}
		return nil, err
	}
	var keys []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			keys = append(keys, line)
		}
	}
	return keys, nil
}

// apply puts the bundles on a node.
func (d *deploying) apply(ctx context.Context, conn compute.Conn, n *deploy.Node) error {
	v := d.by[n.Name]
	if v.plan == nil {
		return nil
	}
	_, booting := d.booting.Load(n.Name)
	out, err := d.show.writer(n)
	if err != nil {
		return err
	}
	facts := host.BundleFacts(&n.Instance)
	facts["name"] = n.Name
	result, err := bundle.Apply(ctx, conn, v.plan, bundle.ApplyOptions{
		Facts: facts, As: d.as(), Continue: d.opt.old, Due: !booting, LockWait: bootWait(booting),
		Reconnect: func(ctx context.Context) (compute.Conn, error) {
			return host.ConnectPatiently(ctx, func() (compute.Conn, error) { return d.connect(ctx, n) })
		},
		Output: func(*bundle.Step) (stdout, stderr io.Writer) { return out, out },
		Notify: func(o bundle.Outcome) {
			if o.Action == bundle.Running {
				out.say(o.Step.Title())
			}
		},
	})
	if result != nil {
		n.Steps = steps(result)
	}
	n.Bundles = v.bundles()
	if d.opt.old && result != nil &&
		slices.ContainsFunc(result.Outcomes, func(o bundle.Outcome) bool { return o.Exit != 0 && o.Err == err }) {
		err = nil // the old command reports it by its exit status
	}
	return errors.Join(err, out.Close())
}

// steps converts the outcome of a plan, without steps that are not for this node.
func steps(r *bundle.Result) (out []deploy.Step) {
	for _, o := range r.Outcomes {
		if o.Action == bundle.Skipped {
			continue
		}
		s := deploy.Step{
			Name: o.Step.Name, Script: o.Step.Kind == bundle.KindScript, Status: o.Exit, Took: o.Took,
			Output: o.Stdout + o.Stderr,
		}
		s.Same = o.Action == bundle.Same || o.Action == bundle.Pending
		if s.Script && !s.Same {
			s.Text = o.Step.Text
		}
		if s.Script && o.Err != nil && s.Status == 0 {
			s.Status = statusOfNone // it was killed, or took too long
		}
		out = append(out, s)
	}
	return out
}

// statusOfNone stands for a script that has no exit status of its own.
const statusOfNone = 1
