package image

import (
	"testing"

	"github.com/hostler-project/hostler/image/layer"
)

// KeepAtMost makes limits small for a test: bytes that unpacking keeps of directories, and files of
// an archive that is an image.
func KeepAtMost(t *testing.T, directories, files int) {
	wasKept, wasFiles := layer.MostKept, mostFiles
	t.Cleanup(func() { layer.MostKept, mostFiles = wasKept, wasFiles })
	layer.MostKept, mostFiles = directories, files
}

// RatioFrom has the ratio count from so many bytes on, for a test.
func RatioFrom(t *testing.T, size int64) {
	was := layer.RatioFrom
	t.Cleanup(func() { layer.RatioFrom = was })
	layer.RatioFrom = size
}
