package home

import "strings"

// IsPartition reports whether a text can be the name of a partition, and so of its directory. The
// node's own directories beside it, etc and var, cannot: else an instance's files would replace the
// node's records.
func IsPartition(id string) bool {
	return id != "" && len(id) <= 100 && id[0] != '.' && id[0] != '-' && id != "etc" &&
		id != "var" && strings.IndexFunc(id, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}) < 0
}
