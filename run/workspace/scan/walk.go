package scan

import (
	"context"
	"errors"
	"io/fs"
)

// The limits of a directory without git, unless the user asks for it.
const (
	plainEntries = 2_000
	plainBytes   = 64 << 20
)

// walk lists a plain directory with its empty directories. It leaves out unsentDirs and what the
// rules exclude.
func (s *scanner) walk(ctx context.Context) ([]foundPath, error) {
	c := cursor{root: s.fd}
	defer c.close()
	var out []foundPath
	count := 0
	err := s.descend(ctx, &c, "", func(dir, name string, isDir bool) (into bool, err error) {
		path := join(dir, name)
		if isUnsentDir(name) || s.rules.out(path, isDir) {
			return false, nil
		}
		if count++; count > plainEntries && !s.opt.Plain {
			return false, s.tooMuch("more than %d files and directories", plainEntries)
		}
		out = append(out, foundPath{Entry: Entry{Path: path}})
		return isDir, nil
	})
	return out, err
}

func (s *scanner) tooMuch(format string, args ...any) error {
	return refused("if all of it belongs there: --sync=dir; what does not, take out by .hostlerignore",
		"%s is no git work tree, and has "+format, append([]any{s.at.root}, args...)...)
}

// included lists the files that match sync.include, even if git ignores them.
func (s *scanner) included(ctx context.Context) ([]foundPath, error) {
	c := cursor{root: s.fd}
	defer c.close()
	var out []foundPath
	wanted := s.include.filter()
	err := s.descend(ctx, &c, "", func(dir, name string, isDir bool) (into bool, err error) {
		path := join(dir, name)
		switch {
		case neverSent(path, isDir), s.rules.out(path, isDir):
			return false, nil
		case isDir:
			return wanted.out(path, true) || s.include.mayMatchBelow(path), nil
		case wanted.out(path, false):
			out = append(out, foundPath{Entry: Entry{Path: path}})
		}
		return false, nil
	})
	return out, err
}

// descend visits everything below a directory, and enters the directories that the callback
// accepts.
func (s *scanner) descend(
	ctx context.Context, c *cursor, dir string, show func(dir, name string, isDir bool) (into bool, err error),
) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	entries, err := c.list(dir)
	if gone(err) && dir != "" {
		return nil
	}
	if err != nil {
		var in *fs.PathError
		if errors.As(err, &in) {
			err = in.Err
		}
		return unreadable(join(dir, "."), err)
	}
	var into []string
	for _, e := range entries {
		yes, err := show(dir, e.Name(), e.IsDir())
		if err != nil {
			return err
		}
		if yes {
			into = append(into, join(dir, e.Name()))
		}
	}
	for _, sub := range into {
		if err := s.descend(ctx, c, sub, show); err != nil {
			return err
		}
	}
	return nil
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
