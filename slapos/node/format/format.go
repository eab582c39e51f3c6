package format

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"

	"github.com/hostler-project/hostler/compute"
)

// rounds is how often a machine is looked at again until nothing is left to do: once to see that
// all is so, and more where other machines turn out to have an address.
const rounds = 5

// A Formatter makes a machine what its options say.
type Formatter struct {
	Options
	Definition *Definition       // nil: none
	Dry        bool              // nothing is done
	Say        func(text string) // called with each step before it is done; may be nil
	Random     func(n int) int   // a number below n; nil: any
}

// Run formats the machine and returns its description. Afterwards nothing is left to do, or there
// is an error. One that is ended in between is taken up by the next.
func (f *Formatter) Run(ctx context.Context) (*Computer, error) {
	random := f.Random
	if random == nil {
		random = rand.IntN
	}
	var steps []step
	for range rounds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		was, err := ReadState(f.State)
		if err != nil {
			return nil, err
		}
		m, err := readMachine(ctx, &f.Options, f.Definition)
		if err != nil {
			return nil, failed("format.Survey", err)
		}
		var c *Computer
		if c, steps, err = plan(&f.Options, f.Definition, was, m, random); err != nil {
			return nil, err
		}
		if len(steps) == 0 {
			return c, nil
		}
		if err := f.take(ctx, steps); err != nil {
			return nil, err
		}
		if f.Dry {
			return c, nil
		}
	}
	return nil, failed("format.Run", fmt.Errorf("it was done %d times, and still is not so: %s", rounds, steps[0]))
}

// take does the steps in their order, up to the first that fails.
func (f *Formatter) take(ctx context.Context, steps []step) error {
	h := newExecutor()

	for _, s := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.Say != nil {
			f.Say(s.String())
		}
		if f.Dry {
			continue
		}
		if err := h.do(ctx, s); err != nil {
			return failed("format", fmt.Errorf("%s: %w", s, err))
		}
	}
	return nil
}

func failed(op string, err error) error {
	if _, ok := errors.AsType[*compute.Error](err); ok || errors.Is(err, context.Canceled) {
		return err
	}
	return &compute.Error{Op: op, Kind: compute.ErrFailed, Err: err}
}

// asked are the paths whose state matters.
func (o *Options) asked(d *Definition, storage []string) (paths, files []string) {
	paths = []string{o.InstanceRoot, o.SoftwareRoot}
	if o.Certificates != "" {
		paths = append(paths, o.Certificates)
	}
	files = []string{o.State}
	for _, file := range []string{o.JSON, o.DefinitionOut} {
		if file != "" {
			files = append(files, file)
		}
	}
	for _, n := range names(o, d) {
		paths = append(paths, n.dir)
		for _, s := range storage {
			paths = append(paths, filepath.Join(s, filepath.Base(n.dir)))
		}
	}
	return paths, files
}
