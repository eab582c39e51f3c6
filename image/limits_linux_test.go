package image

import "testing"

// KeepAtMost makes limits small for a test: bytes that unpacking keeps of directories, and files of an archive that is an image.
func KeepAtMost(t *testing.T, directories, files int) {
	wasKept, wasFiles := mostKept, mostFiles
	t.Cleanup(func() { mostKept, mostFiles = wasKept, wasFiles })
	mostKept, mostFiles = directories, files
}
