package home

import "strings"

// IsPartition reports whether a text can be the name of a partition, and so of its directory beside
// the others'. Those of the node's own directories there, etc and var, cannot: a master that has a
// partition of such a name would have the node's records be an instance's files.
func IsPartition(id string) bool {
	return id != "" && len(id) <= 100 && id[0] != '.' && id[0] != '-' && id != "etc" &&
		id != "var" && strings.IndexFunc(id, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}) < 0
}
