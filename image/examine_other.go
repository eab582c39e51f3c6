//go:build !linux

package image

import (
	"context"

	"github.com/hostler-project/hostler/compute"
)

func (s *Store) makePatch(string, []layerRecord) (bool, error) { return false, nil }

// Examine reports that images are unpacked on Linux only.
func Examine(context.Context, string) []compute.Finding {
	return []compute.Finding{{Result: "skip", What: "images", Detail: "they can be unpacked on Linux only"}}
}
