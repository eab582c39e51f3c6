//go:build !linux

package image

import (
	"context"
	"errors"
	"io"
	"os"
)

func unpack(context.Context, string, io.Reader, bool) (unpacked, error) {
	return unpacked{}, errors.New("images can be unpacked on Linux only")
}

func removeTree(name string) error { return os.RemoveAll(name) }

func syncDisk(string) error { return nil }

func bootID() string { return "" }

func readIn([]string, string) ([]byte, error) { return nil, errors.ErrUnsupported }

func (s *Store) makePatch(string, []layerRecord) (bool, error) { return false, nil }
