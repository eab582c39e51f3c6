package multi

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute/exitstatus"
	"github.com/hostler-project/hostler/run"
)

// State says how far a part has come.
type State string

// The states of a part.
const (
	Passed      State = "passed"
	Failed      State = "failed"
	Cancelled   State = "cancelled"   // ended because another part failed
	Interrupted State = "interrupted" // the user ended all while this part was running
	NotBegun    State = "not-begun"
)

// Part is one of several runs.
type Part struct {
	Index  int    // from 1
	Label  string // goes before each line of output
	State  State
	Took   time.Duration
	Err    error
	Runner *run.Runner

	out, errs *lineWriter
	close     func()
}

// Exit returns the exit status of a part.
func (p *Part) Exit() int { return exitstatus.OfRun(p.Err) }

// Name returns a part's name for the user.
func (p *Part) Name() string { return strings.Trim(p.Label, "| ") }

// Shard returns the options of part index of total: its arguments, the variables that tell which
// part it is, and its record, so that it can be rerun alone.
func Shard(o run.Options, index, total int) run.Options {
	i, n := strconv.Itoa(index), strconv.Itoa(total)
	words := strings.NewReplacer("{{index}}", i, "{{total}}", n)
	o.Args = slices.Clone(o.Args)
	for k, w := range o.Args {
		o.Args[k] = words.Replace(w)
	}
	own := maps.Clone(o.Env.Own)
	if own == nil {
		own = map[string]string{}
	}
	own["HOSTLER_SHARD"], own["HOSTLER_SHARDS"] = i, n
	o.Env.Own = own
	o = singleOptions(o)
	o.Record.As.Flags = append(o.Record.As.Flags, fmt.Sprintf("--shard=%d/%d", index, total))
	o.Record.As.Shard, o.Record.As.Shards = index, total
	return o
}

// singleOptions returns the options of one run of several, to run by itself.
func singleOptions(o run.Options) run.Options {
	o.Stdin, o.Typed, o.Terminal = nil, false, nil
	o.Record.As.Flags = slices.DeleteFunc(slices.Clone(o.Record.As.Flags), func(word string) bool {
		name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		return slices.Contains([]string{"on", "shards", "shard", "max-parallel", "fail-fast", "report"}, name)
	})
	return o
}
