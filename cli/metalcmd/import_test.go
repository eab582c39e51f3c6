package metalcmd

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/imagecache"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/ironic"
)

// TestPresetRules takes the comment signs from what an import prints of each preset: what hostler
// then reads are the rules of the preset.
func TestPresetRules(t *testing.T) {
	for _, preset := range []string{"devstack", "onmetal-v1", "onmetal-v2"} {
		text, err := presetRules(preset)
		if err != nil {
			t.Fatal(err)
		}
		_, rules, _ := strings.Cut(strings.TrimPrefix(text, "\n"), "\n")
		root := t.TempDir()
		t.Setenv("HOME", t.TempDir())
		for _, name := range []string{"XDG_CONFIG_HOME", "HOSTLER_CONFIG"} {
			t.Setenv(name, "")
		}
		if err := os.WriteFile(
			filepath.Join(root, "hostler.conf"), []byte(strings.ReplaceAll("\n"+rules, "\n# ", "\n")), 0o600,
		); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(config.LoadOptions{Dir: t.TempDir(), ConfigDir: root, Kinds: append(host.Kinds(), clouds.Kinds()...)})
		if err != nil {
			t.Fatal(err)
		}
		images, flavors, err := imagecache.IronicRules(cfg, "")
		if err != nil {
			t.Fatalf("%s: err = %v\ntext = %s; want no error", preset, err, text)
		}
		for n := range images {
			for k, p := range images[n].Properties {
				images[n].Properties[k] = strings.ReplaceAll(p, `\x2c`, ",")
			}
		}
		wantImages, wantFlavors, err := ironic.Preset(preset)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(images, wantImages) || !reflect.DeepEqual(flavors, wantFlavors) {
			t.Errorf("%s: %+v and %+v, want %+v and %+v\n%s", preset, images, flavors, wantImages, wantFlavors, text)
		}
	}
}
