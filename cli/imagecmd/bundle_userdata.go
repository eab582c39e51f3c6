package imagecmd

import (
	"context"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

// bundleUserData prints a bundle for cloud-init.
func bundleUserData(a *cli.App, ctx context.Context, name string, vars, facts []string, secrets bool) error {
	known, err := renderFacts(facts)
	if err != nil {
		return err
	}
	p, err := planBundles(a, ctx, []string{name}, vars)
	if err != nil {
		return err
	}
	data, err := p.UserData(known, secrets)
	if err != nil {
		return err
	}
	if n := len(data); n > userDataEC2 && !a.Quiet {
		which := "EC2 takes 16384"
		if n > userDataOpenStack {
			which += ", OpenStack 65535"
		}
		_ = term.Printf(a.Err, "%s: warning: %d bytes: %s; cloud-init reads it compressed by gzip too\n", a.Program, n, which)
	}
	_, err = a.Out.Write(data)
	return err
}
