package image

import (
	"errors"
	"io/fs"
	"os"

	"github.com/hostler-project/hostler/compute"
)

// Probe reports whether an image is here, ready for use. If not, the error says why it could not be
// pulled, as far as this machine's files tell. Names are as for Pull.
func (s *Store) Probe(ref string) (here bool, err error) {
	_, err = s.Find(ref)
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, compute.ErrNotFound) {
		return false, err
	}
	r, perr := parse(ref)
	if perr != nil || r.Kind == FromDir {
		return false, err // a digest that is not here is nowhere
	}
	if _, err := stampOf(r); errors.Is(err, fs.ErrNotExist) {
		if _, there := os.Stat(r.Path); there == nil {
			return false, failed("Probe", r.Name, compute.ErrInvalid, errors.New("it is no OCI layout: there is no index.json in it"), "")
		}
		return false, failed("Probe", r.Name, compute.ErrNotFound, errors.New("no such file"), "")
	} else if err != nil {
		return false, failed("Probe", r.Name, compute.ErrFailed, err, "")
	}
	return false, nil
}
