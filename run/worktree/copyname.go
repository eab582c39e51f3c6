package worktree

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// Key names a tree's copy on an instance. The user can recognize the name. It differs for each tree
// of this machine, and for each user on the instance.
func Key(root, user string) string {
	host, _ := os.Hostname()
	id := host + "\x00" + root
	if user != "" {
		id += "\x00" + user
	}
	sum := sha256.Sum256([]byte(id))
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' {
			return c
		}
		return '-'
	}, filepath.Base(root))
	name = strings.TrimLeft(name[:min(len(name), 40)], "-")
	return strings.TrimPrefix(name+"-"+hex.EncodeToString(sum[:4]), "-")
}

// State returns the file, below the cache, that remembers what a tree's copy on an instance has.
func State(cache string, instance compute.ID, lease, key string) string {
	sum := sha256.Sum256([]byte(string(instance) + "\x00" + lease + "\x00" + key))
	return filepath.Join(cache, "sync", hex.EncodeToString(sum[:12]))
}
