package cache

import (
	"crypto/md5" // the format wants it; nothing is proved by it
	"encoding/hex"
	"strings"
)

// ReleaseKey is the key of the entries of a software release: the release's URL, or the MD5 sum of
// it in hexadecimal digits, which is the key.
func ReleaseKey(release string) string {
	if isHex(release, 32) {
		return release
	}
	return sum(release)
}

// FileKey is the key of the entries of a file that was downloaded from a URL.
func FileKey(url string) string { return "file-urlmd5:" + sum(url) }

// PackageKey is the key of the entries of a version of a Python package.
func PackageKey(name, version string) string { return "pypi:" + name + "=" + version }

func sum(text string) string {
	s := md5.Sum([]byte(text))
	return hex.EncodeToString(s[:])
}

// isHex says whether a text is n hexadecimal digits.
func isHex(text string, n int) bool {
	return len(text) == n && strings.TrimLeft(text, "0123456789abcdef") == ""
}
