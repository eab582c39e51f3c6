package subprocess

import (
	"errors"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
)

// Word is the first and only argument of the process that answers.
const Word = "image-registry"

// request is one call of an image.Registry.
type request struct {
	Call     call
	Name     string   // of an image
	Insecure []string // for read

	// for fetch
	Dir     string // of the store
	Options image.Options
	Pull    image.PullOptions
}

type call string

const (
	read  call = "read"
	fetch call = "fetch"
	login call = "login"
)

// answer is what a call returns.
type answer struct {
	Name  image.Name
	Image image.Image
	Login string
	Err   *failure
}

// failure is an error.
type failure struct {
	Plain   string // the text of an error without a kind; "": it has one
	Op      string
	Problem api.Problem
}

// failureOf returns nil for nil. Of an error without a kind, only the text crosses over.
func failureOf(err error) *failure {
	var e *compute.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &e):
		return &failure{Plain: err.Error()}
	}
	return &failure{Op: e.Op, Problem: api.PlainProblem(err)}
}

// err returns the error, with the kind, the hint and the text that it had.
func (f *failure) err() error {
	if f == nil {
		return nil
	}
	if f.Plain != "" {
		return errors.New(f.Plain)
	}
	err := f.Problem.Err()
	var e *compute.Error
	if errors.As(err, &e) {
		e.Op = f.Op
	}
	return err
}
