package metalcmd

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/host"
)

// replay replays the arrivals of each source against each strategy that is compared.
func (o simulation) replay(
	a *cli.App, cmd *cobra.Command, arrivals []director.Arrival,
) (views []simulationView, charts []director.Chart, err error) {
	bySource := map[string][]director.Arrival{}
	for _, arrival := range arrivals {
		bySource[arrival.Source] = append(bySource[arrival.Source], arrival)
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return nil, nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(bySource)) {
		source, err := cfg.Source(name)
		if err != nil {
			source = &config.Source{Name: name}
		} else if source.Err != nil {
			return nil, nil, host.ConfigError(source.Err)
		}
		names := o.strategies
		switch {
		case len(names) > 0:
		case source.Strategy == "":
			names = []string{"reserve", "demand"}
		default:
			names = []string{source.Strategy}
		}
		for _, strategy := range names {
			if strategy == "schedule" && len(source.Schedule) == 0 {
				return nil, nil, fault.Invalid(
					"write them into a section [schedule] of its source.conf",
					"source %s has no windows for strategy schedule", name,
				)
			}
			setup := o.setup(cmd, source, strategy)
			out := director.Replay(setup, bySource[name])
			v := viewOutcome(name, strategy, setup.Policy.Price, out)
			views = append(views, v)
			charts = append(charts, director.Chart{Title: name + ", strategy " + strategy, Caption: v.caption(), Outcome: out})
		}
	}
	return views, charts, nil
}
