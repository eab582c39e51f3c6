package metalcmd

import (
	"cmp"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/host"
)

// simulation are the options of simulate.
type simulation struct {
	strategies []string
	reserve    int
	spare      int
	maximum    int
	cold       int
	idle       term.DurationFlag
	window     term.DurationFlag
	hitRate    float64
	price      float64
	budget     float64
	create     term.DurationFlag
	clean      term.DurationFlag
	start      term.DurationFlag
	jitter     float64
	oneUse     bool
	seed       uint64
	svg        string
}

// readTrace reads the arrivals of a file, or of standard input.
func readTrace(a *cli.App, file string) ([]director.Arrival, error) {
	in, name := a.In, "standard input"
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, &compute.Error{Kind: compute.ErrInvalid, Err: err}
		}
		defer f.Close()
		in, name = f, file
	}
	arrivals, err := director.ReadTrace(in)
	if err != nil {
		return nil, &compute.Error{
			Kind: compute.ErrInvalid, Err: fmt.Errorf("%s: %w", name, err),
			Hint: "hostler help director simulate says how a trace is written",
		}
	}
	return arrivals, nil
}

// setup describes the source of a trace by its configuration and the options.
func (o simulation) setup(cmd *cobra.Command, s *config.Source, strategy string) director.Setup {
	own := *s
	given := cmd.Flags().Changed
	for flag, set := range map[string]func(){
		"reserve": func() { own.Reserve = o.reserve }, "spare": func() { own.Spare = o.spare },
		"maximum": func() { own.Maximum = o.maximum },
		"cold":    func() { own.Cold = o.cold }, "idle": func() { own.Idle = &o.idle.Value },
		"window":   func() { own.Window = &o.window.Value },
		"hit-rate": func() { own.HitRate = o.hitRate }, "price": func() { own.Price = o.price }, "budget": func() { own.Budget = o.budget },
	} {
		if given(flag) {
			set()
		}
	}
	if own.Idle == nil && strategy == "demand" {
		own.Idle = new(time.Duration)
		*own.Idle = config.DemandIdle
	}
	create := time.Minute
	if o.create.Given {
		create = o.create.Value
	}
	start := create / 10
	if o.start.Given {
		start = o.start.Value
	}
	return director.Setup{
		Source: plan.SourceState{
			Name: s.Name, Reserve: own.Reserve, Spare: own.Spare, Maximum: own.Maximum, ColdMost: own.Cold,
			Idle: host.Deref(own.Idle),
		},
		Policy: director.Policy{Strategy: controller.StrategyOf(strategy, &own), Price: own.Price, Budget: own.Budget},
		Model: director.Model{
			Create: create, Jitter: o.jitter, Clean: o.clean.Value, Start: start, OneUse: o.oneUse || own.Reuse == "no",
			Seed: o.seed,
		},
		Window: cmp.Or(host.Deref(own.Window), host.DemandWindow),
	}
}
