package cli

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/slapos/cfg"
)

// SlaposName is the name of SlapOS's program.
const SlaposName = "slapos"

// AsCalled rewrites the commands in a hint to the name by which this program was called, such as
// slapos or a stand-alone's script. A stand-alone starts its own services, so hints to do so change
// too.
func AsCalled(program, hint string) string {
	const own = "hostler " + SlaposName + " "
	if !strings.Contains(hint, own) {
		return hint
	}
	dir := ofStandalone(os.Getenv("SLAPOS_CONFIGURATION"))
	if dir != "" && strings.Contains(hint, own+"node supervisord") {
		return strings.ReplaceAll(hint, own+"node supervisord", own+"standalone "+dir)
	}
	if dir == "" && program != SlaposName {
		return hint
	}
	return strings.ReplaceAll(hint, own, SlaposName+" ")
}

// ofStandalone returns the stand-alone directory that a configuration file belongs to; "" if there
// is none.
func ofStandalone(file string) string {
	dir, ok := strings.CutSuffix(file, "/"+cfg.StandaloneFile)
	if !ok || !filepath.IsAbs(dir) {
		return ""
	}
	if st, err := os.Lstat(filepath.Join(dir, cfg.StandaloneScript)); err != nil || !st.Mode().IsRegular() {
		return ""
	}
	return dir
}
