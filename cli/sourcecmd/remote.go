package sourcecmd

import (
	"context"
	"fmt"
	"slices"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/inventory"
)

// elsewhere reports whether commands use a controller with another configuration, whose sources
// count then. It opens nothing.
func elsewhere(a *cli.App, ctx context.Context) (bool, error) {
	err := a.FindController(ctx)
	return a.Elsewhere(), err
}

// farSources returns the sources of such a controller, as far as it lists them.
func farSources(a *cli.App, ctx context.Context) ([]inventory.SourceStatus, error) {
	all, err := a.Remote.Status(ctx)
	return slices.DeleteFunc(all, func(s inventory.SourceStatus) bool { return s.Orphaned }), err
}

// farSource returns one of these sources.
func farSource(a *cli.App, ctx context.Context, name string) (inventory.SourceStatus, error) {
	all, err := farSources(a, ctx)
	if err != nil {
		return inventory.SourceStatus{}, err
	}
	one, err := leasecmd.Choose(all, []string{name})
	if err != nil {
		return inventory.SourceStatus{}, err
	}
	return one[0], nil
}

// showFar prints what a controller says of one of its sources.
func showFar(a *cli.App, ctx context.Context, name string) error {
	s, err := farSource(a, ctx, name)
	if err != nil {
		return err
	}
	v := sourceDetail{
		configuredView: configuredView{Name: s.Name, Type: s.Type, Shadowed: []string{}, Error: term.TextOf(s.Broken)},
		Reserve:        s.Reserve, Spare: s.Spare, Max: s.Maximum, Concurrency: s.Concurrency, Sources: s.Children,
		Keys: map[string]string{}, Hooks: map[string]string{},
	}
	if a.JSON {
		return a.PrintJSON(v)
	}
	lines := [][2]string{{"source:", s.Name}, {"type:", s.Type}, {"file:", "the controller's"}}
	if v.Error != "" {
		lines = append(lines, [2]string{"error:", v.Error})
	}
	for _, line := range lines {
		if err := term.Printf(a.Out, "%-9s %s\n", line[0], term.Line(line[1])); err != nil {
			return err
		}
	}
	for _, n := range []struct {
		key   string
		value int
	}{{"reserve", s.Reserve}, {"spare", s.Spare}, {"maximum", s.Maximum}, {"concurrency", s.Concurrency}} {
		if n.value == 0 {
			continue
		}
		if err := term.Printf(a.Out, "  %s = %s\n", n.key, fmt.Sprint(n.value)); err != nil {
			return err
		}
	}
	return nil
}
