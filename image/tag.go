package image

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/compute"
)

// Tag gives a local image another name, in a registry's form, and takes it from the image that had
// it. Other calls find the image by it. No registry is asked whether it has the name too.
func (s *Store) Tag(ctx context.Context, ref, as string) (Image, error) {
	to, err := s.tagOf(as)
	if err != nil {
		return Image{}, err
	}
	l, err := s.tree.lock(ctx, storeLock, shared)
	if err != nil {
		return Image{}, failed("Tag", ref, compute.ErrFailed, err, "")
	}
	defer l.unlock()
	img, err := s.Find(ref)
	if err != nil {
		return Image{}, err
	}
	if img.Digest == "" {
		return Image{}, failed(
			"Tag", ref, compute.ErrInvalid, errors.New("it is a directory of yours, not one of the store's"),
			"hostler image export "+ref+" FILE.tar, and import that",
		)
	}
	if err := s.tree.writeJSON(s.tree.nameFile(to.Name), nameRecord{Name: to.Name, Digest: img.Digest}); err != nil {
		return Image{}, failed("Tag", ref, compute.ErrFailed, err, "")
	}
	img.Name = to.Name
	return img, nil
}

// CheckTag checks that Tag can give this name; the error is compute.ErrInvalid.
func CheckTag(by Registry, as string) error {
	_, err := (&Store{opt: Options{Registry: by}}).tagOf(as)
	return err
}

// tagOf reads a name that can be given.
func (s *Store) tagOf(as string) (Reference, error) {
	to, err := s.Parse(as)
	if err == nil && (to.Kind != FromRegistry || !to.Registry.Tagged) {
		err = failed("Tag", as, compute.ErrInvalid, errors.New("it is no name to give"), "NAME[:TAG]")
	}
	return to, err
}
