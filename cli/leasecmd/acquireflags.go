package leasecmd

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/inventory"
)

// AcquireFlags are the flags of acquire, which run, shell, watch and deploy have too: what to take
// and for how long.
type AcquireFlags struct {
	Ttl, idle, Wait term.DurationFlag
	memory, disk    term.SizeFlag
	cores           term.CoresFlag
	gpus, priority  int
	maxPrice        float64
	Labels          []string
	Name, Purpose   string
	made            Choice      // what to make it of
	Start           string      // the directory that commands start in; "": the current one
	key             string      // of acquire; "": none
	priced          func() bool // --max-price was given
	first           func() int  // the default priority, by who asks
}

// Declare declares all of them.
func (o *AcquireFlags) Declare(a *cli.App, cmd *cobra.Command) {
	a.WithSource(cmd)
	f := cmd.Flags()
	o.Common(a, f)
	f.Var(&o.idle, "idle", "the lease ends when unused for so long (0: it does not)")
	f.StringVar(&o.Name, "name", "", "give the lease a `NAME`")
	o.made.Flags(a, cmd, "")
}

// Common declares the options that deploy has too.
func (o *AcquireFlags) Common(a *cli.App, f *pflag.FlagSet) {
	f.Var(&o.cores, "cores", "at least `N` processors; book so many (1; 0.5 is half a one) where the source shares its instances")
	f.Var(&o.memory, "memory", "at least so much memory, or book it: 512M, 4G")
	f.Var(&o.disk, "disk", "at least so much disk, or book it")
	f.IntVar(&o.gpus, "gpus", 0, "at least `N` GPUs, or book them")
	f.Float64Var(
		&o.maxPrice, "max-price", 0,
		"take nothing that costs more than `PRICE` for an hour, in the money of the sources' prices, or whose price nobody knows",
	)
	f.Var(&o.Ttl, "ttl", "the lease ends after so long: 90m, 2d (0: it does not)")
	f.Var(&o.Wait, "wait", "wait in the queue for so long (0: not at all)")
	f.IntVar(
		&o.priority, "priority", 0,
		"go before requests in the queue with less than `N`, -100 to 100 (unless it is said 10 at a terminal, else 0)",
	)
	o.priced = func() bool { return f.Changed("max-price") }
	o.first = func() int {
		// with a key, the request must be the same with and without a terminal
		if f.Changed("priority") || o.key != "" || !term.IsTerminal(a.Err) {
			return o.priority
		}
		return inventory.PersonPriority
	}
	f.StringVar(&o.Purpose, "purpose", "", "say what for, in `WORDS` that status and events show")
	f.StringArrayVarP(&o.Labels, "label", "l", nil, "keep `KEY=VALUE` with the lease; may be repeated")
}
