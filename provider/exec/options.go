package exec

import (
	"context"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Options of a source whose type is an outside executable's. Which keys it has is the executable's
// affair: it gets them all as Settings.
type Options struct {
	Type     string            // the source's type: the executable is hostler-source-TYPE on PATH
	Path     string            // the executable itself, in place of looking on PATH; "": look
	Settings map[string]string `conf:",rest"` // the source's keys and values
	Secrets  []string          // values that must not show in errors
	// Secret resolves a reference to a secret among the settings; nil: there are none.
	Secret  func(ctx context.Context, text string) (secret string, ok bool, err error)
	Timeout time.Duration // of one call; 0: 10 minutes

	Source       string // the source's name
	Installation string // the installation's id
	Dir          string // the source's own directory, which the executable may use too
}

// Check has nothing to say: the executable judges its keys.
func (o Options) Check() error { return nil }

// resolve puts secrets in the place of references to them.
func (o *Options) resolve(ctx context.Context) error {
	if o.Secret == nil {
		return nil
	}
	settings := map[string]string{}
	for key, value := range o.Settings {
		secret, ok, err := o.Secret(ctx, value)
		if err != nil {
			return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("source %s: %s: %w", o.Source, key, err)}
		}
		if ok {
			o.Secrets = append(o.Secrets, secret)
		}
		settings[key] = secret
	}
	o.Settings = settings
	return nil
}
