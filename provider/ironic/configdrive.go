package ironic

import (
	"fmt"
)

// configDrive returns what a node is told at its first boot: its name, the keys that may log in,
// and user data.
func configDrive(name, id string, keys []string, userData []byte) map[string]any {
	meta := map[string]any{"uuid": id, "name": name, "hostname": name}
	public := map[string]string{}
	for i, k := range keys {
		public[fmt.Sprintf("hostler-%d", i)] = k
	}
	if len(public) > 0 {
		meta["public_keys"] = public
	}
	out := map[string]any{"meta_data": meta}
	if len(userData) > 0 {
		out["user_data"] = string(userData)
	}
	return out
}
