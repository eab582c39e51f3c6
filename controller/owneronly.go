package controller

import (
	"cmp"
	"slices"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/policy"
)

// ownerOnly reports whether instances of a source are only for the controller's own user. Its kind
// says so, and a pool's are if those of a source below it are. image is the requested image; "":
// the source's own.
func ownerOnly(cfg *config.Config, name, image string) bool {
	var below func(name string, seen []string) bool
	below = func(name string, seen []string) bool {
		s, err := cfg.Source(name)
		if err != nil || slices.Contains(seen, name) {
			return false
		}
		own := cmp.Or(s.Image, s.Settings["image"])
		chosen := image != "" && image != own
		switch {
		case s.Kind == nil:
			return true
		case s.Kind.Pool:
			return slices.ContainsFunc(s.Sources, func(child string) bool { return below(child, append(seen, name)) })
		case chosen && policy.Local(image) && !policy.Allows(s.Limits, image):
			return true
		case chosen:
			own = image
		}
		return s.Kind.Others == nil || !s.Kind.Others(s.Settings, own)
	}
	return below(name, nil)
}
