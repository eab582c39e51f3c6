package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/applied"
)

// AppliedMirror is where what was applied to the store of a configuration is shown to config.
func AppliedMirror(cfg *config.Config) (applied.Mirror, error) {
	state, err := StateDir()
	if err != nil {
		return applied.Mirror{}, err
	}
	sum := sha256.Sum256([]byte(StoreName(cfg, state)))
	return applied.Mirror{Dir: filepath.Join(state, "applied", hex.EncodeToString(sum[:4]))}, nil
}

// appliedRoot names the directory of what was applied; "": nothing was, as far as is known before
// the store is open.
func (h *Host) appliedRoot(cfg *config.Config) string {
	if h.Applied != "" {
		return h.Applied
	}
	m, err := AppliedMirror(cfg)
	if err != nil {
		return ""
	}
	if h.mark = m.Mark(); h.mark == "" {
		return ""
	}
	return m.Path()
}

// takeUp reads the configuration anew if the store has had something applied since it was read.
func (h *Host) takeUp(ctx context.Context, cfg *config.Config) (*config.Config, error) {
	if h.Former == "crcache" { // which reads nothing of ours
		return cfg, nil
	}
	m, err := AppliedMirror(cfg)
	if err != nil {
		return nil, err
	}
	if err := m.Sync(ctx, h.store); err != nil || m.Mark() == h.mark {
		return cfg, err
	}
	h.cfg, h.bundles = nil, &bundleCache{}
	return h.Configuration()
}
