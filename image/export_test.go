package image

import (
	"context"
	"io"
)

// ReadIn is readIn for tests.
func ReadIn(dirs []string, name string) ([]byte, error) { return readIn(dirs, name) }

// Unpack is unpack for tests.
func Unpack(ctx context.Context, dir string, stream io.Reader, owners bool) error {
	_, err := unpack(ctx, dir, stream, owners, &meter{of: newBudget(Limits{})})
	return err
}

// Decompress is decompress for tests.
func Decompress(r io.Reader) (io.Reader, func(), error) { return decompress(r) }

// SetBoot makes a store believe that the machine was started anew.
func (s *Store) SetBoot(id string) { s.boot = id }

// Sweep is sweep for tests.
func (s *Store) Sweep() { s.sweep() }

// OpenAnyones opens a store whoever it belongs to.
func OpenAnyones(dir string) (*Store, error) {
	s := &Store{dir: dir, boot: bootID()}
	_, err := s.List()
	return s, err
}

// Pack is pack for tests.
func Pack(ctx context.Context, dir string, owners bool, w io.Writer) error {
	return pack(ctx, dir, owners, w)
}
