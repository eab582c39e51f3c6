package leasecmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
)

// Hand prints the leases for the caller. If printing fails, it gives the leases back, unless the
// caller can ask again: nobody else would release them.
func Hand(a *cli.App, ctx context.Context, leases []compute.Lease, again bool) error {
	gone := make(chan os.Signal, 1)
	// a reader that has gone makes the write fail instead of ending this process
	signal.Notify(gone, syscall.SIGPIPE)
	defer signal.Stop(gone)
	var err error
	if a.JSON {
		views := make([]api.Lease, len(leases))
		for i, l := range leases {
			views[i] = api.NewLease(l)
		}
		err = a.PrintJSON(views)
	} else {
		err = term.Printf(a.Out, "%s\n", strings.Join(leaseNames(leases), " "))
	}
	if err == nil || len(leases) == 0 || again {
		return err
	}
	engine, e := a.Engine(ctx)
	for _, l := range leases {
		if engine != nil {
			e = errors.Join(e, engine.Release(ctx, compute.Who{Owner: l.Owner, Lease: l.ID}, compute.ReleaseOptions{}, l.Instance))
		}
	}
	a.Ring(ctx)
	names := strings.Join(leaseNames(leases), " ")
	if e != nil {
		return errors.Join(fmt.Errorf("the names cannot be printed: %w", err), fmt.Errorf("%s: not given back: %w", names, e))
	}
	return fmt.Errorf("the names cannot be printed: %w; %s: given back", err, names)
}

// handTokens makes the tokens of new leases, and writes them to a file or, for "-", returns them.
// Each token is a line, after its instance's name if there are several. On an error the leases are
// given back.
func handTokens(ctx context.Context, c *client.Client, leases []compute.Lease, file string) (text string, err error) {
	defer func() {
		for _, l := range leases {
			if err != nil {
				err = errors.Join(
					err,
					c.Release(ctx, compute.Who{Owner: l.Owner, Lease: l.ID}, compute.ReleaseOptions{}, l.Instance),
				)
			}
		}
	}()
	var lines []string
	for _, l := range leases {
		t, err := c.LeaseToken(ctx, l.ID, false)
		if err != nil {
			return "", err
		}
		if len(leases) > 1 {
			t.Secret = string(l.Instance) + " " + t.Secret
		}
		lines = append(lines, t.Secret)
	}
	if text = strings.Join(lines, "\n"); file == "-" {
		return text, nil
	}
	return "", TellSecret(text, file)
}

// TellSecret writes a secret to a file that only its owner can read; "" writes nothing.
func TellSecret(secret, file string) error {
	if file == "" {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".hostler-*") // 0600
	if err != nil {
		var in *fs.PathError // it names a file of ours
		if errors.As(err, &in) {
			err = in.Err
		}
		return fault.Invalid("", "--output %s: %w", file, err)
	}
	_, err = f.WriteString(secret + "\n")
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fault.Invalid("", "--output: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
