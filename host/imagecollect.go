package host

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/pool"
)

// imagesSection is the section [images].
type imagesSection struct {
	// how long an unused built image is kept; 0: 30 days
	Keep time.Duration `conf:"keep"`

	MaxSize int64 `conf:"max-size,size"` // bytes of an image's files; 0: 32 GiB
	// files, directories and links of an image; 0: 1,048,576
	MaxEntries int `conf:"max-entries"`
	// the largest ratio of unpacked to packed size; 0: 100
	MaxRatio int `conf:"max-ratio"`
}

// limits returns the limits on unpacking an image.
func (s imagesSection) limits() image.Limits {
	return image.Limits{Size: s.MaxSize, Entries: s.MaxEntries, Ratio: s.MaxRatio}
}

// readImagesSection reads the section [images], with its defaults.
func readImagesSection(cfg *config.Config) (s imagesSection, err error) {
	section := cfg.Sections["images"]
	settings := map[string]string{}
	for key, v := range section {
		settings[key] = v.Text
	}
	position := func(key string) (string, int) { v := section[key]; return v.File, v.Line }
	if err := config.Decode(settings, position, &s); err != nil {
		return s, ConfigError(err)
	}
	if s.MaxSize < 0 || s.MaxEntries < 0 || s.MaxRatio < 0 {
		return s, fault.Invalid("write a number above 0, or leave the key out", "[images] max-size, max-entries, max-ratio: less than none")
	}
	s.Keep = cmp.Or(s.Keep, 30*24*time.Hour)
	return s, nil
}

// collect removes images that were built here and not used for long, as each build adds one. It
// keeps images that have a name, are in use, are promoted for a source, or are the base of such an
// image.
func (b *ImageBuilder) collect(ctx context.Context, s *image.Store) error {
	settings, err := readImagesSection(b.cfg)
	if err != nil {
		return err
	}
	promoted, err := pool.RecordedPromotions(ctx, b.host.store)
	if err != nil {
		return err
	}
	all, err := s.List()
	if err != nil {
		return err
	}
	kept := KeptFor(promoted, all)
	for _, img := range all {
		if img.Name != "" && !strings.HasPrefix(img.Name, builtPrefix) {
			kept[img.Digest] = cmp.Or(kept[img.Digest], "its name")
		}
	}
	got, err := s.GC(ctx, image.GCOptions{OlderThan: settings.Keep, Keep: func(img image.Image) bool {
		return kept[img.Digest] != "" || time.Since(img.Used) <= settings.Keep
	}})
	for _, img := range got.Images {
		b.host.Log.Info("an image that nobody used is removed", "image", cmp.Or(img.Name, img.Digest))
	}
	return err
}

// KeptFor returns the digests of images to keep, each with the source it is kept for: the promoted
// image, the one before it, and the bases of both.
func KeptFor(promoted map[string]pool.Promotion, all []image.Image) map[string]string {
	kept := map[string]string{}
	for source, pr := range promoted {
		kept[pr.Image] = source
		if n := len(pr.Before); n > 0 {
			kept[pr.Before[n-1].Image] = source
		}
	}
	for again := true; again; { // a base may have been built too
		again = false
		for _, img := range all {
			base := img.Config.Labels[labelBase]
			if source := kept[img.Digest]; source != "" && base != "" && kept[base] == "" {
				kept[base], again = source, true
			}
		}
	}
	return kept
}
