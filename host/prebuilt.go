package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// prebuilt is a provider whose computers are made from an image with their bundles. The first
// creation builds the image.
type prebuilt struct {
	compute.Provider
	build       *building
	source, typ string
	def         definition
}

// Unwrap returns the provider that makes the computers.
func (p *prebuilt) Unwrap() compute.Provider { return p.Provider }

// Create makes a computer from the built image, unless the request names an image.
func (p *prebuilt) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	if spec.Image == p.def.Image {
		name, err := p.image(ctx, spec)
		if err != nil {
			return compute.Instance{}, provider.Unasked(fmt.Errorf("its image is not built: %w", err))
		}
		spec.Image = name
	}
	return p.Provider.Create(ctx, spec)
}

// image builds the image if it is missing, and returns its name. The output of scripts goes to the
// instance's log.
func (p *prebuilt) image(ctx context.Context, spec compute.Spec) (string, error) {
	set, err := p.build.host.Bundles()
	if err != nil {
		return "", err
	}
	plan, err := set.Plan(ctx, p.def.Bundles, bundle.PlanOptions{Secret: BundleSecret, GoTemplate: p.build.host.GoTemplate})
	if err != nil {
		return "", err
	}
	state, err := StateDir()
	if err != nil {
		return "", err
	}
	log := &lateLog{open: func() (*os.File, error) {
		return openHookLog(filepath.Join(state, "instances", p.source, "log"), string(spec.ID))
	}}
	defer log.Close()
	def := p.def
	def.Bundles, def.Build = nil, false
	b := &ImageBuilder{building: p.build, Source: p.source, typ: p.typ, def: def, plan: plan, output: log}
	b.Notify = func(o bundle.Outcome) {
		if o.Action == bundle.Running {
			_, _ = fmt.Fprintf(log, "== image: %s\n", o.Step.Title())
		}
	}
	r, _, err := b.Build(ctx)
	return r.name(), err
}

// lateLog is a file that is opened at the first write. Writes may be concurrent.
type lateLog struct {
	open func() (*os.File, error)
	mu   sync.Mutex
	file *os.File
}

// Write opens the file if need be. After a failure the next write tries again.
func (l *lateLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		f, err := l.open()
		if err != nil {
			return 0, err
		}
		l.file = f
	}
	return l.file.Write(b)
}

func (l *lateLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
