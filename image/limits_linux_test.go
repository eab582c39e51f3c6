package image

import "testing"

// KeepAtMost makes limits small for a test: bytes that unpacking keeps of directories, and files of
// an archive that is an image.
func KeepAtMost(t *testing.T, directories, files int) {
	wasKept, wasFiles := mostKept, mostFiles
	t.Cleanup(func() { mostKept, mostFiles = wasKept, wasFiles })
	mostKept, mostFiles = directories, files
}

// RatioFrom has the ratio count from so many bytes on, for a test.
func RatioFrom(t *testing.T, size int64) {
	was := ratioFrom
	t.Cleanup(func() { ratioFrom = was })
	ratioFrom = size
}
