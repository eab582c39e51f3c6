//go:build !linux

package image

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/hostler-project/hostler/compute"
)

func unpack(context.Context, string, io.Reader, bool, *meter) (unpacked, error) {
	return unpacked{}, errors.New("images can be unpacked on Linux only")
}

func pack(context.Context, string, bool, io.Writer) error {
	return errors.New("images can be packed on Linux only")
}

type packing struct {
	owners bool
	users  int
	skip   func(string) bool
}

func packAs(context.Context, string, packing, io.Writer) error {
	return errors.New("images can be packed on Linux only")
}

func removeTree(name string) error { return os.RemoveAll(name) }

func syncDisk(string) error { return nil }

func bootID() string { return "" }

func readIn([]string, string) ([]byte, error) { return nil, errors.ErrUnsupported }

func (s *Store) makePatch(string, []layerRecord) (bool, error) { return false, nil }

// Examine tells that images are unpacked on Linux only.
func Examine(context.Context, string) []compute.Finding {
	return []compute.Finding{{Result: "skip", What: "images", Detail: "they can be unpacked on Linux only"}}
}
