package exec

import (
	"context"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// options are those of a source whose type is an outside executable's. The executable gets all keys
// as Settings and judges them.
type options struct {
	Type     string            // the source's type; the executable is hostler-source-TYPE on PATH
	Path     string            // the path of the executable; "": found on PATH
	Settings map[string]string `conf:",rest"` // the source's keys and values
	Secrets  []string          // values that errors must not show
	// Secret resolves a reference to a secret in the settings; nil: there are none.
	Secret  func(ctx context.Context, text string) (secret string, ok bool, err error)
	Timeout time.Duration // of one call; 0: 10 minutes

	Source       string // the source's name
	Installation string // the installation's id
	Dir          string // the source's own directory, which the executable may use too
}

// Check returns nil, as the executable judges its keys.
func (o options) Check() error { return nil }

// resolve replaces the references to secrets by the secrets.
func (o *options) resolve(ctx context.Context) error {
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
