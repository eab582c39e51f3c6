package deploycmd

import (
	"context"
	"fmt"
	"os"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
)

// credentials puts the provider's credentials where a source's references find them. They are in no
// process' arguments.
func (d *deploying) credentials(ctx context.Context) error {
	o := d.opt
	if o.secretKey != "" {
		_ = term.Printf(
			d.app.Err,
			"%s: -k: all users of this machine can see it among this command's arguments; write a reference into the source's configuration\n",
			d.app.Program,
		)
		d.hide("-k", o.secretKey)
	}
	for _, c := range []struct{ env, given, ref, key string }{
		{envUserID, o.userID, d.settings.UserID, "userid"},
		{envSecretKey, o.secretKey, d.settings.SecretKey, "secret-key"},
	} {
		value := c.given
		if value == "" && c.ref != "" {
			if value = c.ref; config.IsReference(c.ref) {
				var err error
				if value, _, err = d.secret(ctx, c.ref); err != nil {
					return host.ConfigError(fmt.Errorf("[deploy] %s: %w", c.key, err))
				}
			} else if c.env == envSecretKey {
				return fault.Invalid(
					"env:NAME, file:PATH, command:WORDS or keyring:NAME",
					"[deploy] %s: it is a secret, so it is a reference", c.key,
				)
			}
		}
		if value != "" {
			if err := os.Setenv(c.env, value); err != nil {
				return fault.Invalid("", "%s: %v", c.key, err)
			}
		}
	}
	return nil
}
