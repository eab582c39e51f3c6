package runcmd

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/compute/fault"
)

// manyFlags say on how many instances a command runs at once.
type manyFlags struct {
	on, shards, parallel int
	failFast             bool
	shard                string // I/N
}

// mostAtOnce is the largest accepted number.
const mostAtOnce = 1000

// flags declares the options about several runs at once.
func (m *manyFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&m.on, "on", 0, "run COMMAND on `N` instances of the source at once, all or none")
	f.IntVar(
		&m.shards, "shards", 0,
		"run COMMAND in `N` parts, each on an instance of its own; {{index}} and {{total}} in its words say which",
	)
	f.IntVar(&m.parallel, "max-parallel", 0, "no more than `N` of --shards at once")
	f.BoolVar(&m.failFast, "fail-fast", false, "with --on and --shards: the first that fails ends the others")
	f.StringVar(&m.shard, "shard", "", "run part `I/N` of --shards N alone")
}

// checkZero refuses 0, which would look like an option that was not given.
func (m *manyFlags) checkZero(cmd *cobra.Command) error {
	for _, name := range []string{"on", "shards", "max-parallel"} {
		if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "0" {
			return fault.Invalid("", "--%s 0: not from 1 to %d", name, mostAtOnce)
		}
	}
	return nil
}

// wanted reports whether there are to be several runs.
func (m *manyFlags) wanted() bool {
	return m.on != 0 || m.shards != 0 || m.parallel != 0 || m.failFast || m.shard != ""
}

// check refuses options that do not go together. It returns how many parts there are, and which one
// runs alone, if any.
func (m *manyFlags) check(o *runOptions, words []string) (total, only int, err error) {
	asked := 0
	for _, is := range []bool{m.on != 0, m.shards != 0, m.shard != ""} {
		if is {
			asked++
		}
	}
	switch {
	case asked == 0:
		return 0, 0, fault.Invalid("", "--max-parallel and --fail-fast go with --shards N or --on N")
	case asked > 1:
		return 0, 0, fault.Invalid("", "--on, --shards and --shard: one of them")
	case m.parallel < 0 || m.parallel > 0 && m.shards == 0:
		return 0, 0, fault.Invalid("", "--max-parallel %d: it is a number above 0, and goes with --shards", m.parallel)
	case len(words) == 0:
		return 0, 0, fault.Invalid("", "several runs at once want a COMMAND")
	case o.tty, o.detach, o.stdin != "" && o.stdin != "none":
		return 0, 0, fault.Invalid("", "several runs at once take no -t, --detach and --stdin: they have no terminal and no input")
	case len(o.artifacts.get) > 0:
		return 0, 0, fault.Invalid("--artifact brings each one's into its own record", "--get: several runs would write to the same file")
	case o.acquire.Name != "":
		return 0, 0, fault.Invalid("", "--name %s: a name is for one instance", o.acquire.Name)
	}
	if m.shard != "" {
		i, n, ok := strings.Cut(m.shard, "/")
		only, err1 := strconv.Atoi(i)
		total, err2 := strconv.Atoi(n)
		if !ok || err1 != nil || err2 != nil || only < 1 || only > total || total > mostAtOnce {
			return 0, 0, fault.Invalid("--shard 2/4", "--shard %q: not a part I/N, I from 1 to N", m.shard)
		}
		return total, only, nil
	}
	if total = max(m.on, m.shards); total < 1 || min(m.on, m.shards) < 0 || total > mostAtOnce {
		return 0, 0, fault.Invalid("", "%d at once: not from 1 to %d", cmp.Or(m.on, m.shards), mostAtOnce)
	}
	return total, 0, nil
}
