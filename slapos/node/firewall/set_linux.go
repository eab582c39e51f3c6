package firewall

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// rulesFile has the rules of a partition that were made, a JSON list of texts.
const rulesFile = ".slapos-firewalld-rules"

const (
	maxRules = 1 << 20
	limit    = time.Minute // of one command
)

// A Master knows the addresses of an instance's tree; *client.Client is one.
type Master interface {
	TreeAddresses(ctx context.Context, computer, partition string) ([]proto.Address, error)
}

// Firewall makes and removes the rules of partitions.
type Firewall struct {
	Master     Master
	Command    []string // nil: firewall-cmd
	Reload     []string // the command by which the rules come into force; nil: Command --reload
	Authorized []string // addresses and networks from where one may always speak to a partition
	Log        func(line string)
}

// Set brings the rules of a partition up to date, by its directory. It runs nothing for a partition
// without guarded addresses, now and before.
func (f *Firewall) Set(ctx context.Context, p *proto.Partition, dir string) error {
	var wanted []string
	if addresses, restricted := restricted(p); addresses {
		var tree []proto.Address
		if restricted {
			var err error
			// The micro-master does not know trees' addresses.
			if tree, err = f.Master.TreeAddresses(ctx, p.Computer, p.ID); err != nil && !errors.Is(err, client.ErrNotFound) {
				return err
			}
			if len(tree) == 0 {
				tree = p.Addresses
			}
		}
		var err error
		if wanted, err = rulesOf(p, tree, f.Authorized); err != nil {
			return err
		}
	}
	return f.apply(ctx, p, dir, wanted)
}

// Clear removes the rules of a partition.
func (f *Firewall) Clear(ctx context.Context, p *proto.Partition, dir string) error {
	return f.apply(ctx, p, dir, nil)
}

// apply adds the missing rules of a partition and removes the obsolete ones. The note of rules in
// the partition's directory is written before the first step and after the last one.
func (f *Firewall) apply(ctx context.Context, p *proto.Partition, dir string, wanted []string) error {
	d, err := home.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	fail := func(err error) error {
		return &compute.Error{Op: "firewall.Set", ID: compute.ID(p.ID), Kind: compute.ErrFailed, Err: err}
	}
	had, err := known(d, addressesOf(p))
	if err != nil {
		return fail(err)
	}
	if len(wanted)+len(had) == 0 {
		return nil
	}
	// New rules are noted before they are made: a rule that is not noted is never removed.
	if all := append(slices.Clone(had), without(wanted, had)...); len(all) > len(had) {
		if err := note(d, all); err != nil {
			return fail(err)
		}
	}
	changed := false
	for _, rule := range wanted {
		there, err := f.query(ctx, rule)
		if err != nil {
			return fail(err)
		}
		if !there {
			changed = true
			if err := f.run(ctx, f.direct("--add-rule", rule)); err != nil {
				return fail(err)
			}
		}
	}
	for _, rule := range without(had, wanted) {
		there, err := f.query(ctx, rule)
		if err != nil {
			return fail(err)
		}
		if there {
			changed = true
			if err := f.run(ctx, f.direct("--remove-rule", rule)); err != nil {
				return fail(err)
			}
		}
	}
	if changed {
		reload := f.Reload
		if len(reload) == 0 {
			reload = append(slices.Clone(f.command()), "--reload")
		}
		if err := f.run(ctx, reload); err != nil {
			return fail(err)
		}
		if f.Log != nil {
			f.Log(fmt.Sprintf("%s: its firewall has %d rules", p.ID, len(wanted)))
		}
	}
	if len(wanted) == 0 {
		err = d.Remove(rulesFile)
	} else if !slices.Equal(had, wanted) {
		err = note(d, wanted)
	}
	if err != nil {
		return fail(err)
	}
	return nil
}

// without are those of all that are not in some.
func without(all, some []string) (rest []string) {
	for _, one := range all {
		if !slices.Contains(some, one) {
			rest = append(rest, one)
		}
	}
	return rest
}

// form is a rule as we make them.
var form = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(
		`^filter (?:INPUT|FORWARD) (?:0|800|900|1000) (?:-s [0-9./]+ )?-d ([0-9.]+) (?:-m state --state ESTABLISHED,RELATED )?-j (?:ACCEPT|REJECT)$`,
	)
})

// known reads which rules there should be. The directory's owner may have forged the file: then
// only rules for the partition's own addresses count.
func known(d *home.Dir, own []string) ([]string, error) {
	data, ours, err := d.ReadOur(rulesFile, maxRules)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("%s is no list of rules: %w", rulesFile, err)
	}
	var rules []string
	for _, line := range list {
		_, rule, _ := strings.Cut(line, " ipv4 ")
		if m := form().FindStringSubmatch(rule); m != nil && (ours || slices.Contains(own, m[1])) {
			rules = append(rules, rule)
		}
	}
	return rules, nil
}

// note writes which rules there are.
func note(d *home.Dir, rules []string) error {
	lines := make([]string, len(rules))
	for i, rule := range rules {
		lines[i] = "--permanent --direct --add-rule ipv4 " + rule
	}
	data, err := json.Marshal(lines)
	if err != nil {
		return err
	}
	return d.WriteOur(rulesFile, data, 0o644)
}

func (f *Firewall) command() []string {
	if len(f.Command) == 0 {
		return []string{"firewall-cmd"}
	}
	return f.Command
}

// direct is a command about a rule.
func (f *Firewall) direct(verb, rule string) []string {
	return append(append(slices.Clone(f.command()), "--permanent", "--direct", verb, "ipv4"), strings.Fields(rule)...)
}

// query asks whether a rule is there: firewalld says no by exit status 1.
func (f *Firewall) query(ctx context.Context, rule string) (bool, error) {
	err := f.run(ctx, f.direct("--query-rule", rule))
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return false, nil
	}
	return err == nil, err
}

// run runs a command.
func (f *Firewall) run(ctx context.Context, argv []string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return fmt.Errorf("firewall_cmd in [firewall]: %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	var out bytes.Buffer
	env := []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	if err := runas.Run(
		ctx, runas.Command{Argv: append([]string{path}, argv[1:]...), Dir: "/", Env: env, Output: &out, Limit: limit},
	); err != nil {
		return fmt.Errorf("%s: %w: %.1000s", strings.Join(argv, " "), err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}
