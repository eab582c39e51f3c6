package tree

import (
	"errors"
	"io/fs"
)

// FileError is what went wrong with one file of a tree.
type FileError struct {
	Path string
	Err  error
}

func (e *FileError) Error() string { return e.Path + ": " + e.Err.Error() }

func (e *FileError) Unwrap() error { return e.Err }

// What is at a destination and is not replaced: others have it open or know it by its name, and a
// regular file in its place would do them harm.
var (
	ErrDevice = errors.New("is a device, and is not replaced")
	ErrPipe   = errors.New("is a named pipe, and is not replaced")
	ErrSocket = errors.New("is a socket, and is not replaced")
)

// Special returns why what has this mode is not replaced by a copy; nil: it may be.
func Special(mode fs.FileMode) error {
	switch {
	case mode&fs.ModeDevice != 0:
		return ErrDevice
	case mode&fs.ModeNamedPipe != 0:
		return ErrPipe
	case mode&fs.ModeSocket != 0:
		return ErrSocket
	}
	return nil
}
