// Package socket says where the controller of a machine listens.
package socket

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
)

// SocketName is a controller's socket in a directory for such things.
const SocketName = "controller.sock"

// MachineDir is where the machine's controller has its socket.
const MachineDir = "/run/hostler"

// ConfigurationName names the directories that a configuration was read from, and that of the
// state, with its store.
func ConfigurationName(cfg *config.Config) string {
	h := sha256.New()
	state, _ := host.StateDir() // where there is none there is no engine either
	words := []string{host.StoreName(cfg, state), state}
	for _, r := range cfg.Roots {
		if r.Exists && r.Kind != config.AppliedKind { // which is the store's
			words = append(words, r.Path)
		}
	}
	h.Write([]byte(strings.Join(words, "\x00")))
	return hex.EncodeToString(h.Sum(nil)[:8])
}
