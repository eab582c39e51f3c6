package term

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
)

// FileError is the error about the file that an option names. Where the file is written by way of a
// temporary one, it leaves out that one's name.
func FileError(option, file string, err error) error {
	if err == nil {
		return nil
	}
	var of *fs.PathError
	var moved *os.LinkError
	switch {
	case errors.As(err, &of):
		err = of.Err
	case errors.As(err, &moved):
		err = moved.Err
	}
	hint := ""
	if errors.Is(err, fs.ErrNotExist) {
		hint = "make its directory first"
	}
	return fault.Invalid(hint, "%s %s: %w", option, file, err)
}

// CheckPlace returns an error if the file that an option names cannot be written, as there is no
// directory for it. It is asked before anything is done; "" and "-" are no files.
func CheckPlace(option, file string) error {
	if file == "" || file == "-" {
		return nil
	}
	info, err := os.Stat(filepath.Dir(file))
	if err == nil && !info.IsDir() {
		err = errors.New("its directory is a file")
	}
	if err == nil {
		if info, e := os.Stat(file); e == nil && info.IsDir() {
			err = errors.New("it is a directory")
		}
	}
	return FileError(option, file, err)
}

// Directory returns the current directory.
func Directory() (string, error) {
	dir, err := os.Getwd()
	if errors.Is(err, fs.ErrNotExist) {
		err = &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("the current directory is gone"), Hint: "cd into another one"}
	} else if err != nil {
		err = fault.Invalid("", "the current directory: %v", err)
	}
	return dir, err
}
