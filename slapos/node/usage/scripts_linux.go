package usage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/runas"
)

const (
	scripts = "etc/report"

	maxScripts = 1000
)

// Limit is the default time for the programs of a partition's etc/report together.
const Limit = 5 * time.Minute

// RunScripts runs the programs of a partition's etc/report, each with the path of a file to write.
// as gives their user (nil: our own), and is called only if there are any. Processes with their
// mark, left by a killed run, are ended before each. A failed program does not stop the others; the
// error names all that failed. limit is for all together, so a partition with many cannot make the
// others wait; 0: [Limit].
func RunScripts(ctx context.Context, d *home.Dir, as func(*home.Dir) (*runas.User, error), mark string, limit time.Duration) error {
	names, err := d.List(scripts, maxScripts)
	if err != nil || len(names) == 0 {
		return err
	}
	user, err := as(d)
	if err != nil {
		return err
	}
	if err := d.MakeDir(written, 0o750); err != nil {
		return err
	}
	if limit <= 0 {
		limit = Limit
	}
	env := runas.Environ(os.Environ(), d.Path())
	var wrong []string
	began := time.Now()
	for _, name := range names {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !d.Executable(scripts + "/" + name) {
			wrong = append(wrong, name+": it is not executable")
			continue
		}
		left := limit - time.Since(began)
		if left <= 0 {
			wrong = append(wrong, name+": it was not run, as those before it took all the time there is")
			continue
		}
		var out Tail
		err := runas.Run(ctx, runas.Command{
			Argv: []string{filepath.Join(d.Path(), scripts, name), filepath.Join(d.Path(), written, fresh(name))},
			Dir:  filepath.Join(d.Path(), scripts), Env: env, User: user, Umask: 0o027, Output: &out, Limit: left, Mark: mark,
		})
		if err != nil {
			wrong = append(wrong, strings.TrimSpace(fmt.Sprintf("%s: %v\n%s", name, err, &out)))
		}
	}
	if len(wrong) > 0 {
		return &compute.Error{
			Op: "usage.RunScripts", Kind: compute.ErrFailed,
			Err: errors.New("programs of etc/report failed: " + strings.Join(wrong, "; ")),
		}
	}
	return nil
}

// fresh is a name that no file has yet: a script may have left one that could not be sent.
func fresh(script string) string {
	return fmt.Sprintf("%.100s.%d.xml", script, time.Now().UnixNano())
}
