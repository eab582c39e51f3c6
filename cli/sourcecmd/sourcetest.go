package sourcecmd

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/check"
)

// sourceTest has a source make an instance, try it and discard it.
func sourceTest(a *cli.App, ctx context.Context, name string) error {
	far, err := elsewhere(a, ctx)
	if err == nil && far {
		_, err = farSource(a, ctx, name)
	} else if err == nil {
		_, err = a.Configured(name)
	}
	if err != nil {
		return err
	}
	a.Host.Now = true
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	if s, err := a.Configured(name); err == nil && !far && !a.Quiet {
		a.WarnOfHooks(name)
		for _, line := range check.Oddities(s) {
			_ = term.Printf(a.Err, "%s: warning: %s\n", a.Program, line)
		}
	}
	res, err := engine.Test(ctx, name)
	if err == nil {
		err = leasecmd.AtRest(a, ctx, engine, slices.Compact([]compute.ID{res.Instance, res.Leaf}))
	}
	err = a.Interrupted(err, "what was made for it is discarded")
	v := testView{
		Source: name, Instance: string(res.Instance), OK: err == nil,
		Create: res.Create.Seconds(), Connect: res.Connect.Seconds(), Run: res.Run.Seconds(), Discard: res.Destroy.Seconds(),
	}
	if err != nil {
		v.Error = term.ErrorText(err)
	}
	if a.JSON {
		if e := a.PrintJSON(v); e != nil {
			return e
		}
		return err
	}
	if err != nil && res.Instance == "" {
		return err // nothing was timed
	}
	var rows [][]string
	for _, p := range []struct {
		name string
		took time.Duration
	}{{"create", res.Create}, {"connect", res.Connect}, {"run", res.Run}, {"discard", res.Destroy}} {
		rows = append(rows, []string{p.name, fmt.Sprintf("%.3f", p.took.Seconds())})
	}
	if e := term.Table(a.Out, []string{"phase", "seconds"}, rows); e != nil {
		return e
	}
	return err
}

// testView is what `source test --json` prints; seconds.
type testView struct {
	Source   string  `json:"source"`
	Instance string  `json:"instance,omitempty"`
	OK       bool    `json:"ok"`
	Create   float64 `json:"create"`
	Connect  float64 `json:"connect"`
	Run      float64 `json:"run"`
	Discard  float64 `json:"discard"`
	Error    string  `json:"error,omitempty"`
}
