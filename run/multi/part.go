package multi

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/run"
	"github.com/hostler-project/hostler/run/status"
)

// State says how far a part has come.
type State string

// The states of a part.
const (
	Passed      State = "passed"
	Failed      State = "failed"
	Cancelled   State = "cancelled"   // another one had failed
	Interrupted State = "interrupted" // the user ended all: it was running, and did not end well
	NotBegun    State = "not-begun"
)

// Part is one of several runs.
type Part struct {
	Index  int    // from 1
	Label  string // before what it writes
	State  State
	Took   time.Duration
	Err    error
	Runner *run.Runner

	out, errs *lineWriter
	close     func()
}

// Exit is the exit status of a part.
func (p *Part) Exit() int { return status.OfRun(p.Err) }

// Name is a part's name for people.
func (p *Part) Name() string { return strings.Trim(p.Label, "| ") }

// Shard is what part index of total runs does: the words of its command, the variables that say
// which part it is, and the options by which it is recorded, so that it can be run again by itself.
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
	o = alone(o)
	o.Record.As.Flags = append(o.Record.As.Flags, fmt.Sprintf("--shard=%d/%d", index, total))
	o.Record.As.Shard, o.Record.As.Shards = index, total
	return o
}

// alone is one run of several, by itself.
func alone(o run.Options) run.Options {
	o.Stdin, o.Typed, o.Terminal = nil, false, nil
	o.Record.As.Flags = slices.DeleteFunc(slices.Clone(o.Record.As.Flags), func(word string) bool {
		name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		return slices.Contains([]string{"on", "shards", "shard", "max-parallel", "fail-fast", "report"}, name)
	})
	return o
}
