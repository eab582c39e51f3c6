// Package socket says where a machine's controller listens.
package socket

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
)

// SocketName is the file name of a controller's socket.
const SocketName = "controller.sock"

// MachineDir is the directory of the socket of the machine's controller.
const MachineDir = "/run/hostler"

// ConfigurationName returns a digest of the directories of a configuration, the state directory and
// the store.
func ConfigurationName(cfg *config.Config) string {
	h := sha256.New()
	state, _ := host.StateDir() // without a state directory there is no engine either
	words := []string{host.StoreName(cfg, state), state}
	for _, r := range cfg.Roots {
		if r.Exists && r.Kind != config.AppliedKind { // applied things belong to the store
			words = append(words, r.Path)
		}
	}
	h.Write([]byte(strings.Join(words, "\x00")))
	return hex.EncodeToString(h.Sum(nil)[:8])
}
