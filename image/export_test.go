package image

import (
	"context"
	"io"

	"github.com/hostler-project/hostler/image/layer"
)

// Unpack is unpack for tests.
func Unpack(ctx context.Context, dir string, stream io.Reader, owners bool) error {
	_, err := layer.Unpack(ctx, dir, stream, owners, &layer.Meter{Of: layer.NewBudget(0, 0, 0)})
	return err
}

// SetBoot makes a store believe that the machine was started anew.
func (s *Store) SetBoot(id string) { s.tree.boot = id }

// Sweep is sweep for tests.
func (s *Store) Sweep() { collector{s}.sweep() }

// OpenAnyones opens a store whoever it belongs to.
func OpenAnyones(dir string) (*Store, error) {
	s := &Store{tree: tree{dir, layer.BootID()}}
	_, err := s.List()
	return s, err
}

// Expected is expected for tests.
func Expected(text string) string { return expected(text) }
