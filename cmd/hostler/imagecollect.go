package main

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/pool"
)

// imagesSection is [images].
type imagesSection struct {
	Keep time.Duration `conf:"keep"` // so long an image that was built is kept when nothing uses it; 0: 30 days
}

func readImagesSection(cfg *config.Config) (s imagesSection, err error) {
	section := cfg.Sections["images"]
	settings := map[string]string{}
	for key, v := range section {
		settings[key] = v.Text
	}
	position := func(key string) (string, int) { v := section[key]; return v.File, v.Line }
	if err := config.Decode(settings, position, &s); err != nil {
		return s, configError(err)
	}
	s.Keep = cmp.Or(s.Keep, 30*24*time.Hour)
	return s, nil
}

// collect removes images that were built here and that nobody has used for long: each build makes one more. What somebody gave a name stays, what an instance uses,
// what is promoted for a source, and what that was built on.
func (b *builder) collect(ctx context.Context, s *image.Store) error {
	settings, err := readImagesSection(b.cfg)
	if err != nil {
		return err
	}
	promoted, err := pool.RecordedPromotions(ctx, b.app.store)
	if err != nil {
		return err
	}
	all, err := s.List()
	if err != nil {
		return err
	}
	kept := keptFor(promoted, all)
	for _, img := range all {
		if img.Name != "" && !strings.HasPrefix(img.Name, builtPrefix) {
			kept[img.Digest] = cmp.Or(kept[img.Digest], "its name")
		}
	}
	got, err := s.GC(ctx, image.GCOptions{OlderThan: settings.Keep, Keep: func(img image.Image) bool {
		return kept[img.Digest] != "" || time.Since(img.Used) <= settings.Keep
	}})
	for _, img := range got.Images {
		b.app.log.Info("an image that nobody used is removed", "image", cmp.Or(img.Name, img.Digest))
	}
	return err
}
