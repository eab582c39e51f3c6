package proxycmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/migrate"
	"github.com/hostler-project/hostler/slapos/slapproxy"
)

// importInto puts the content of a database into a master.
func importInto(ctx context.Context, s *session.Session, content *slapproxy.Content, o *importOptions) error {
	if _, err := os.Stat(o.database); o.DryRun && inFile(o.database) && errors.Is(err, fs.ErrNotExist) {
		dir, err := os.MkdirTemp("", "hostler") // a dry run does not make the file
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		o.database = filepath.Join(dir, "slapos.db")
	}
	m, end, err := openMaster(ctx, s, o.database, master.Options{})
	if err != nil {
		return err
	}
	defer end()
	in := migrate.Records{
		Computers: content.Computers, Supplies: content.Supplies, Instances: content.Instances,
		Forwards: content.Forwards, Root: content.Root,
	}
	return migrate.Import(ctx, m, in, o.ImportOptions)
}

// importRefused adds a hint to a master's refusal.
func importRefused(err error, to string) error {
	refusal, ok := errors.AsType[*access.Refusal](err)
	if !ok {
		return err
	}
	e := &compute.Error{Op: "import", ID: compute.ID(to), Kind: refusal.Kind, Err: fmt.Errorf("%s Nothing was changed", refusal.Reason())}
	if errors.Is(err, compute.ErrConflict) {
		e.Hint = "--replace has what is known of the same computers go first"
	}
	return e
}
