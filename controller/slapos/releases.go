package slapos

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/migrate"
)

// A teller reports what happens.
type teller interface {
	Say(format string, args ...any)
	Warn(format string, args ...any)
	Note(format string, args ...any)
}

// logTeller writes reports to a controller's log.
type logTeller struct{ log *slog.Logger }

func (l logTeller) Say(format string, args ...any)  { l.log.Info(fmt.Sprintf(format, args...)) }
func (l logTeller) Warn(format string, args ...any) { l.log.Warn(fmt.Sprintf(format, args...)) }
func (l logTeller) Note(format string, args ...any) { l.log.Debug(fmt.Sprintf(format, args...)) }

// MoveReleases tells a master where local releases are, unless said is "", and reports which ones
// have moved. It first copies the database at path at, if that is a file.
func MoveReleases(ctx context.Context, s teller, m *master.Master, store any, said, at string) error {
	if said == "" {
		return nil
	}
	root, err := filepath.Abs(said)
	if err != nil {
		return err
	}
	from, moved, err := migrate.SetRoot(ctx, m, root, migrate.RootOptions{
		Exists: func(path string) bool { _, err := os.Stat(path); return err == nil },
		Before: func(ctx context.Context, from string) error {
			file, ok := store.(interface {
				Copy(ctx context.Context, path string) error
			})
			if !ok {
				s.Warn("Local releases move from %s to %s; of a database that is no file no copy is made", from, root)
				return nil
			}
			path := at + "-backup-" + time.Now().UTC().Format("20060102T150405.000Z")
			if err := file.Copy(ctx, path); err != nil {
				return err
			}
			s.Say("Local releases move from %s to %s; %s has everything as it was", from, root, path)
			return nil
		},
	})
	if err != nil {
		return err
	}
	for _, url := range slices.Sorted(maps.Keys(moved)) {
		s.Note("%s is %s from now on", url, moved[url])
	}
	if len(moved) > 0 {
		s.Say("Releases that are not below %s any more: %d", from, len(moved))
	}
	return nil
}
