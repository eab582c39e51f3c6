package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/applied"
)

// AppliedMirror returns the directory in which config sees what was applied to the store.
func AppliedMirror(cfg *config.Config) (applied.ExportDir, error) {
	state, err := StateDir()
	if err != nil {
		return applied.ExportDir{}, err
	}
	sum := sha256.Sum256([]byte(StoreName(cfg, state)))
	return applied.ExportDir{Dir: filepath.Join(state, "applied", hex.EncodeToString(sum[:4]))}, nil
}

// appliedRoot returns the directory of applied things; "": none is known before the store is open.
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

// takeUp reads the configuration again if the store has newer applied things than it was read with.
func (h *Host) takeUp(ctx context.Context, cfg *config.Config) (*config.Config, error) {
	if h.Former == "crcache" { // crcache's rules have nothing applied
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
