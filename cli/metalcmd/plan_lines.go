package metalcmd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
)

// mostPlanned is how long a line of a fleet may be, in bytes: some million nodes.
const mostPlanned = 512 << 20

var errLongLine = errors.New("it is too long")

// readLine reads a line with its end, of at most so many bytes. The result is valid until the next
// call.
func readLine(r *bufio.Reader, most int) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > most {
			return nil, errLongLine
		}
		if line == nil && !errors.Is(err, bufio.ErrBufferFull) {
			return part, err
		}
		if line = append(line, part...); !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// lineError says in which line something was wrong.
func lineError(name string, number int, err error) error {
	hint := compute.Hint(err)
	var unknown *strategy.UnknownKey
	if errors.As(err, &unknown) {
		hint = term.DidYouMean(unknown.Key, strategy.FormKeys(), "")
	}
	if hint == "" && errors.Is(err, compute.ErrInvalid) {
		hint = "docs/director-metal.md has the form, one object a line"
	}
	at := &compute.Error{Hint: hint, Kind: term.KindOf(err)}
	// its kind is said once
	if e, ok := errors.AsType[*compute.Error](err); ok && e == err && e.Op == "" {
		err = e.Err
	}
	at.Err = fmt.Errorf("%s: line %d: %w", name, number, err)
	return at
}

// planLine decides and prints one.
func planLine(a *cli.App, ctx context.Context, line []byte, outside string, nodes []string) error {
	c, err := strategy.ParseCase(line)
	if err != nil {
		return err
	}
	if len(nodes) > 0 {
		return explainLine(a, c, nodes)
	}
	var by metal.Strategy = &c.Strategy
	if outside != "" {
		by = &strategy.External{Path: outside, Settings: c.Settings, Case: c.Strategy}
	}
	plan, err := by.Plan(ctx, &c.Fleet)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.PrintLine(strategy.AnswerOf(plan))
	}
	var out bytes.Buffer
	for _, id := range plan.Eject {
		fmt.Fprintf(&out, "eject %s\n", term.Line(id))
	}
	for _, flavor := range slices.Sorted(maps.Keys(plan.Cache)) {
		for _, w := range plan.Cache[flavor] {
			fmt.Fprintf(&out, "cache %s %s (%s)\n", term.Line(w.Node), term.Line(w.Image), term.Line(flavor))
		}
	}
	if out.Len() == 0 {
		out.WriteString("nothing is to be done\n")
	}
	_, err = out.WriteTo(a.Out)
	return err
}
