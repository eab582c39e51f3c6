//go:build !linux

package layer

import (
	"context"
	"errors"
	"io"
	"os"
)

func Unpack(context.Context, string, io.Reader, bool, *Meter) (Unpacked, error) {
	return Unpacked{}, errors.New("images can be unpacked on Linux only")
}

func Pack(context.Context, string, bool, io.Writer) error {
	return errors.New("images can be packed on Linux only")
}

type Packing struct {
	Owners bool
	Users  int
	Skip   func(string) bool
}

func PackAs(context.Context, string, Packing, io.Writer) error {
	return errors.New("images can be packed on Linux only")
}

func RemoveTree(name string) error { return os.RemoveAll(name) }

func Sync(string) error { return nil }

func BootID() string { return "" }

func ReadIn([]string, string) ([]byte, error) { return nil, errors.ErrUnsupported }
